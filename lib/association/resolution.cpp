// Resolution: which lookups follow from which answers, and what comes of them all.
#include "lib/association/resolution.hpp"

#include <algorithm>
#include <utility>

namespace post::core {
namespace {

constexpr std::size_t most_failures = 32;

bool is_local(std::string_view host) {
    if (host.ends_with('.')) host.remove_suffix(1);
    return host == "localhost" || host.ends_with(".localhost");
}

bool is_name(const Remote& remote) {
    return remote.address().family == Address::Family::none &&
           remote.host().find(':') == std::string::npos;
}

const char* protocol_label(Scheme scheme) {
    switch (scheme) {
        case Scheme::https:
        case Scheme::tls:
        case Scheme::tcp: return "._tcp.";
        case Scheme::sctp: return "._sctp.";
        case Scheme::post:
        case Scheme::quic:
        case Scheme::udp: return "._udp.";
    }
    return "._udp.";
}

bool same_name(std::string_view left, std::string_view right) {
    const auto fold = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    for (std::string_view* name : {&left, &right})
        if (name->ends_with('.')) name->remove_suffix(1);
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [&](char a, char b) { return fold(a) == fold(b); });
}

// Under what a host is known: the port that the system's list has comes with its addresses.
std::string key_of(const std::string& host, const std::string& service) {
    return service.empty() ? host : host + " (" + service + ')';
}

// RFC 9460, 7.1.2: what is offered besides, unless the record says otherwise. Post has no protocol
// that goes without saying; HTTPS has HTTP/1.1 (9).
std::optional<std::vector<std::string>> offered(const ServiceRecord& record, Scheme scheme) {
    std::vector<std::string> alpn = record.alpn;
    if (scheme == Scheme::https && !record.no_default_alpn) alpn.emplace_back("http/1.1");
    if (alpn.empty()) return {};
    return alpn;
}

}  // namespace

void Resolution::begin(const Remote& remote, const Options& options) {
    *this = Resolution();
    options_ = options;
    random_.seed(options.seed);
    ways_.push_back({remote});
    for (const Remote& other : remote.others()) ways_.push_back({other});
    for (std::size_t way = 0; way < ways_.size(); ++way) begin_way(way);
    if (!options_.dane || !is_name(remote) || is_local(remote.host()) || remote.port() == 0) return;
    own_base_ = ask_certificates(remote.host(), remote.port());
    for (Target& target : targets_) target.base = own_base_;
}

void Resolution::begin_way(std::size_t way) {
    const Remote& remote = ways_[way].remote;
    const std::string& host = remote.host();
    if (!remote.service().empty()) {
        if (!is_name(remote) || is_local(host)) return ask_system(way);
        return ask({{.question = Question::srv,
                     .name = '_' + remote.service() + protocol_label(remote.scheme()) + host},
                    way});
    }
    if (remote.address().family != Address::Family::none) {
        const std::string text = remote.address().string();
        targets_.push_back({.way = way, .host = text, .port = remote.port(), .own = true});
        Host& known = hosts_[text];
        const bool v4 = remote.address().family == Address::Family::v4;
        for (Family& family : known.families) family.answered = true;
        known.families[v4 ? 1 : 0].addresses = {remote.address()};
        return;
    }
    targets_.push_back({.way = way, .host = host, .port = remote.port(), .own = true});
    const std::string port = '_' + std::to_string(remote.port());
    const bool records = options_.services && is_name(remote) && !is_local(host);
    // The order of Happy Eyeballs v3, 4.1: services, AAAA, A.
    if (records && remote.scheme() == Scheme::post)
        ask({{.question = Question::svcb, .name = port + "._post." + host}, way});
    if (records && remote.scheme() == Scheme::https)
        ask({{.question = Question::https,
              .name = remote.port() == 443 ? host : port + "._https." + host},
             way});
    ask_addresses(way, host, remote.port());
}

void Resolution::ask(Query query) {
    query.lookup.id = QueryId{++last_id_};
    wanted_.push_back(std::move(query));
}

void Resolution::ask_addresses(std::size_t way, const std::string& host, std::uint16_t port,
                               const std::string& service) {
    if (!hosts_.try_emplace(key_of(host, service)).second) return;
    ask({{.question = Question::addresses, .name = host, .port = port, .service = service}, way});
}

// The host itself, at the port that the system's list has for the service.
void Resolution::ask_system(std::size_t way) {
    const Remote& remote = ways_[way].remote;
    targets_.push_back({.way = way, .host = key_of(remote.host(), remote.service()), .own = true});
    ask_addresses(way, remote.host(), 0, remote.service());
}

std::optional<Resolution::Lookup> Resolution::poll_lookup() {
    if (wanted_.empty()) return {};
    Query query = std::move(wanted_.front());
    wanted_.pop_front();
    Lookup lookup = query.lookup;
    asked_.emplace(lookup.id, std::move(query));
    return lookup;
}

void Resolution::handle_answer(QueryId id, const Answer& answer, bool complete) {
    const auto found = asked_.find(id);
    if (found == asked_.end()) return;
    const Query query = found->second;
    if (complete) asked_.erase(found);
    // That a name has no records beside its addresses is how most names are.
    if (answer.error && (query.lookup.question == Question::addresses || !answer.denied))
        fail(answer.error);
    switch (query.lookup.question) {
        case Question::addresses: handle_addresses(query, answer, complete); break;
        case Question::svcb:
        case Question::https: handle_services(query, answer); break;
        case Question::srv: handle_servers(query, answer); break;
        case Question::tlsa: handle_certificates(query, answer); break;
    }
}

void Resolution::handle_addresses(const Query& query, const Answer& answer, bool complete) {
    Host& host = hosts_[key_of(query.lookup.name, query.lookup.service)];
    Family& family = host.families[answer.kind == RecordKind::a ? 1 : 0];
    family.answered = true;
    for (const Address& address : answer.addresses)
        if (family.addresses.size() < most_of_family) family.addresses.push_back(address);
    // One answer for both: an error before anybody was asked, or an address as text.
    if (complete)
        for (Family& each : host.families) each.answered = true;
    if (!answer.authenticated) return;
    host.authenticated = true;
    if (!host.alias.empty() || answer.name.empty() || same_name(answer.name, query.lookup.name))
        return;
    host.alias = answer.name;
    for (Target& target : targets_) ask_alias(target);
}

void Resolution::handle_services(const Query& query, const Answer& answer) {
    Way& way = ways_[query.way];
    if (!answer.services.empty()) way.authenticated = way.authenticated && answer.authenticated;
    if (!answer.services.empty() && answer.services.front().priority == 0)
        return follow_alias(query, answer);
    if (answer.services.empty()) {
        // RFC 9460, 3: where the alias leads to without records, its addresses are the ones.
        if (!way.aliases.empty()) {
            way.services = true;
            add_target({.way = query.way, .host = way.aliases.back(), .port = way.remote.port()});
        }
        return;
    }
    way.services = true;
    std::vector<ServiceRecord> records = answer.services;
    // 2.4.1: those of the same priority in any order.
    std::shuffle(records.begin(), records.end(), random_);
    std::stable_sort(records.begin(), records.end(),
                     [](const auto& a, const auto& b) { return a.priority < b.priority; });
    for (const ServiceRecord& record : records) {
        Target target{.way = query.way,
                      .host = record.target,
                      .port = record.port.value_or(way.remote.port()),
                      .priority = record.priority,
                      .place = targets_.size(),
                      .alpn = offered(record, way.remote.scheme()),
                      .hints = record.ipv6_hint};
        target.hints.insert(target.hints.end(), record.ipv4_hint.begin(), record.ipv4_hint.end());
        add_target(std::move(target));
    }
}

void Resolution::follow_alias(const Query& query, const Answer& answer) {
    Way& way = ways_[query.way];
    const std::string& target = answer.services[random_() % answer.services.size()].target;
    // 2.5.1: there is no such service. That is advice, and clients may try without records.
    if (target.empty()) return;
    const bool seen = std::find(way.aliases.begin(), way.aliases.end(), target) !=
                      way.aliases.end();
    if (seen || target == query.lookup.name || way.aliases.size() == most_aliases)
        return fail({Errc::resolve_failed,
                     {},
                     Stage::resolve,
                     Bytes("the aliases of " + way.remote.host() +
                           (way.aliases.size() == most_aliases
                                ? " are more than " + std::to_string(most_aliases)
                                : " go round, at " + target))});
    way.aliases.push_back(target);
    ask({{.question = query.lookup.question, .name = target}, query.way});
}

void Resolution::handle_servers(const Query& query, const Answer& answer) {
    const Remote& remote = ways_[query.way].remote;
    std::vector<ServerRecord> records = answer.servers;
    if (records.size() == 1 && records.front().target.empty())
        return fail({Errc::resolve_failed,
                     {},
                     Stage::resolve,
                     Bytes("there is no service " + remote.service() + " at " + remote.host() +
                           ": its SRV record says so")});
    std::erase_if(records, [](const ServerRecord& record) { return record.target.empty(); });
    if (records.empty()) return ask_system(query.way);
    ways_[query.way].authenticated = answer.authenticated;
    std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) {
        return std::pair(a.priority, a.weight) < std::pair(b.priority, b.weight);
    });
    // RFC 2782, "Weight": of those with the same priority the next one is drawn by lot, and those
    // of weight 0 stand first, so that they have hardly a chance.
    while (!records.empty()) {
        const std::uint16_t priority = records.front().priority;
        const auto end = std::find_if(records.begin(), records.end(), [&](const auto& record) {
            return record.priority != priority;
        });
        std::uint64_t sum = 0;
        for (auto at = records.begin(); at != end; ++at) sum += at->weight;
        const std::uint64_t drawn = random_() % (sum + 1);
        auto chosen = records.begin();
        for (std::uint64_t run = chosen->weight; run < drawn; run += chosen->weight) ++chosen;
        add_target({.way = query.way,
                    .host = chosen->target,
                    .port = chosen->port,
                    .priority = priority,
                    .place = targets_.size()});
        records.erase(chosen);
    }
}

void Resolution::add_target(Target target) {
    if (targets_of_records_ == most_targets) return;
    ++targets_of_records_;
    ask_addresses(target.way, target.host, target.port);
    if (target.way != 0)
        target.base = own_base_;
    else if (options_.dane && ways_[0].authenticated && target.port != 0 && !is_local(target.host))
        target.base = ask_certificates(target.host, target.port);
    ask_alias(target);
    targets_.push_back(std::move(target));
}

std::vector<Endpoint> Resolution::endpoints() const {
    std::vector<Endpoint> all;
    for (Place& place : places()) all.push_back(std::move(place.endpoint));
    return all;
}

std::vector<Resolution::Place> Resolution::places() const {
    std::vector<Place> all;
    std::vector<Target> targets = targets_;
    for (Target& target : targets)
        if (target.own && ways_[target.way].services) target.priority = unassociated;
    std::stable_sort(targets.begin(), targets.end(), [](const Target& a, const Target& b) {
        return std::pair(a.priority, a.place) < std::pair(b.priority, b.place);
    });
    std::array<std::size_t, 2> counts{};
    const std::vector<Address> none;
    for (const Target& target : targets) {
        if (held(target)) continue;
        const auto known = hosts_.find(target.host);
        for (const std::size_t v4 : {0u, 1u}) {
            const auto wanted = v4 == 0 ? Address::Family::v6 : Address::Family::v4;
            const bool answered = known != hosts_.end() && known->second.families[v4].answered;
            // Whether there is an alias to be asked for certificates is known with the addresses.
            const auto& found = answered              ? known->second.families[v4].addresses
                                : target.base.empty() ? target.hints
                                                      : none;
            const char* answer = answered ? (v4 == 0 ? "AAAA of " : "A of ")
                                          : (v4 == 0 ? "ipv6hint of " : "ipv4hint of ");
            const bool literal = !is_name(ways_[target.way].remote) && target.own;
            for (Address address : found) {
                if (address.family != wanted || counts[v4] == most_of_family) continue;
                if (target.port != 0) address.port = target.port;
                const bool again = std::any_of(all.begin(), all.end(), [&](const Place& one) {
                    return one.endpoint.address == address;
                });
                if (again || all.size() == most_endpoints) continue;
                ++counts[v4];
                all.push_back({{address, target.priority, target.alpn,
                                literal ? "as given" : answer + target.host},
                               target.base,
                               target.alias});
            }
        }
    }
    return all;
}

std::vector<Endpoint> Resolution::poll_endpoints() {
    const std::vector<Place> now = places();
    const std::vector<Endpoint> before = std::exchange(told_, {});
    std::vector<Endpoint> fresh;
    for (const Place& place : now) {
        told_.push_back(place.endpoint);
        ever_told_[place.endpoint.address.string()] = place;
        if (std::find(before.begin(), before.end(), place.endpoint) == before.end())
            fresh.push_back(place.endpoint);
    }
    return fresh;
}

Resolution::Answered Resolution::answered() const {
    Answered answered{true, true, true};
    const auto look = [&](const Query& query) {
        switch (query.lookup.question) {
            case Question::addresses: {
                const auto known = hosts_.find(key_of(query.lookup.name, query.lookup.service));
                if (known == hosts_.end()) break;
                answered.aaaa = answered.aaaa && known->second.families[0].answered;
                answered.a = answered.a && known->second.families[1].answered;
                break;
            }
            // What SRV says are addresses, too; without it there are none.
            case Question::srv: answered.aaaa = answered.a = answered.services = false; break;
            case Question::svcb:
            case Question::https: answered.services = false; break;
            case Question::tlsa: break;
        }
    };
    for (const Query& query : wanted_) look(query);
    for (const auto& [id, query] : asked_) look(query);
    bool reached = targets_of_records_ == 0 || complete();
    for (const Endpoint& endpoint : endpoints()) {
        reached = reached || endpoint.priority < unassociated;
        answered.aaaa = answered.aaaa || endpoint.address.family == Address::Family::v6;
        answered.a = answered.a || endpoint.address.family == Address::Family::v4;
    }
    // Records without an address behind them do not say yet where the service is.
    answered.services = answered.services && reached;
    return answered;
}

void Resolution::fail(const Error& error) {
    if (failures_.size() < most_failures) failures_.push_back(error);
}

Error Resolution::error() const {
    if (failures_.empty() || !endpoints().empty()) return {};
    Error error(Errc::resolve_failed, failures_.front().cause, Stage::resolve);
    std::string text = "nothing is known of " + ways_.front().remote.string() + ":";
    for (const auto& [key, base] : bases_)
        if (kept_from_us(key))
            text += "\n  the certificates (TLSA) of " + base.host +
                    " are kept from us, so nobody there can be believed";
    for (const Error& failure : failures_) text += "\n  " + failure.message();
    for (const Error& failure : failures_)
        if (!failure.detail.empty()) text += "\n  " + failure.detail.string();
    error.detail = Bytes(std::move(text));
    return error;
}

}  // namespace post::core
