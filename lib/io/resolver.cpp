// Resolver: lookups, on c-ares.
#include "lib/io/resolver.hpp"

#include <sys/epoll.h>
#include <sys/time.h>

#include <algorithm>

#include <ares.h>

#include "lib/io/address_order.hpp"
#include "lib/io/resolver_records.hpp"

namespace post::io {
namespace {

class ResolverCategory final : public std::error_category {
public:
    const char* name() const noexcept override { return "resolver"; }
    std::string message(int code) const override { return ares_strerror(code); }
};

// For people's eyes: what the application calls a host may hold anything.
std::string printable(const std::string& host) {
    std::string text = host.substr(0, 64);
    for (char& c : text)
        if (c < ' ' || c > '~') c = '?';
    if (host.size() > text.size()) text += "...";
    return text;
}

// The answer for IPv6 is the one worth waiting for (Happy Eyeballs v3, 4.1): it is asked first.
std::vector<RecordKind> kinds_of(Question question) {
    switch (question) {
        case Question::addresses: return {RecordKind::aaaa, RecordKind::a};
        case Question::svcb: return {RecordKind::svcb};
        case Question::https: return {RecordKind::https};
        case Question::srv: return {RecordKind::srv};
        case Question::tlsa: return {RecordKind::tlsa};
    }
    return {};
}

}  // namespace

// One kind of record of a lookup.
struct Resolver::Part {
    bool done = false;
    bool told = false;
    bool fresh = false;  // from a name server, and to be kept
    ReadAnswer read{};
};

// One lookup. c-ares keeps pointers into it: it does not move, and goes after its channel.
struct Resolver::Query {
    Io::Lookup wanted;
    std::uint32_t serial = 0;
    Instant give_up = never;  // the lookup's end, whatever c-ares would still try
    Instant next = never;     // when c-ares wants to be called
    bool over = false;        // answered or cancelled: to be destroyed
    bool trusted = false;     // whether an answer can be authenticated
    std::vector<Part> parts;
    std::vector<SocketChange> changes;
    Channel channel;

    Error error_of(const Part& part) const {
        const RecordKind kind = part.read.answer.kind;
        std::string text = "looking up the ";
        if (wanted.question != Question::addresses)
            text += std::string(to_string(kind)) + " records";
        else
            text += kind == RecordKind::aaaa ? "IPv6 addresses" : "IPv4 addresses";
        text += " of " + printable(wanted.host);
        if (channel) {
            const std::string servers = NameServers::text(channel.get());
            text += ", name servers " + (servers.empty() ? "none" : servers);
        }
        if (part.read.status == ARES_ESERVFAIL)
            text += "; SERVFAIL: they cannot find out, or what they found has wrong signatures";
        if (!part.read.reason.empty()) text += "; they say: " + part.read.reason;
        if (part.read.unusable)
            text += wanted.question == Question::addresses
                        ? "; the answer has no address that can be used"
                        : "; the answer has no record that can be used";
        return {
            Errc::resolve_failed, {part.read.status, resolver_category()}, Stage::resolve, text};
    }
};

Resolver::Resolver(int epoll, NameServers::Options options)
    : epoll_(epoll), servers_(std::move(options)) {}

Resolver::~Resolver() = default;

void Resolver::lookup(const Io::Lookup& asked, Instant now) {
    Io::Lookup wanted = asked;
    if (!wanted.service.empty()) {
        wanted.port = NameServers::port_of(wanted.service);
        if (wanted.port == 0)
            return answer_alone(wanted, {},
                                {Errc::resolve_failed,
                                 {ARES_ESERVICE, resolver_category()},
                                 Stage::resolve,
                                 "no SRV record, and the system's list has no service " +
                                     printable(wanted.service)});
    }
    if (answer_here(wanted)) return;
    if (queries_.size() >= most_lookups)
        return answer_alone(wanted, {},
                            {Errc::too_many,
                             {},
                             Stage::resolve,
                             "more than " + std::to_string(most_lookups) + " lookups at once, at " +
                                 printable(wanted.host)});

    auto made = std::make_unique<Query>();
    Query& query = *made;
    query.wanted = wanted;
    query.serial = ++last_serial_ & 0x7fffffff;
    query.give_up = now + servers_.timeout();
    for (const RecordKind kind : kinds_of(wanted.question))
        query.parts.emplace_back().read.answer.kind = kind;
    if (!answer_from_cache(query, now)) {
        int status = ARES_SUCCESS;
        query.channel = servers_.channel(query.changes, status);
        std::vector<Address> here;
        if (status == ARES_SUCCESS && wanted.question == Question::addresses)
            here = servers_.known_here(query.channel.get(), wanted.host);
        query.trusted = status == ARES_SUCCESS && servers_.trusted(query.channel.get());
        for (Part& part : query.parts) {
            if (part.done) continue;
            if (status == ARES_SUCCESS && here.empty()) {
                ask(query, part);
                continue;
            }
            part.done = true;
            part.read.status = status == ARES_SUCCESS ? ARES_ENODATA : status;
            const auto family = part.read.answer.kind == RecordKind::a ? Address::Family::v4
                                                                       : Address::Family::v6;
            for (const Address& address : here) {
                auto& known = part.read.answer.addresses;
                if (address.family == family && known.size() < Answer::most)
                    known.push_back(address);
            }
            if (!part.read.answer.addresses.empty()) part.read.status = ARES_SUCCESS;
        }
    }
    queries_[query.serial] = std::move(made);
    settle(query, now);
    tidy();
}

bool Resolver::answer_here(const Io::Lookup& wanted) {
    const std::string& host = wanted.host;
    if (wanted.question == Question::addresses) {
        auto literal = Address::parse(host, wanted.port);
        if (!literal && host.find(':') != std::string::npos) {
            literal = NameServers::zoned(host);
            literal->port = wanted.port;
            if (literal->family == Address::Family::none) literal.reset();
        }
        if (literal) {
            answer_alone(wanted, {*literal}, {});
            return true;
        }
    }
    // One dot at the end says that the name is whole, and is no part of its length.
    const std::size_t length = host.size() - (!host.empty() && host.back() == '.' ? 1 : 0);
    const bool zoned = host.find('%') != std::string::npos;
    if (length != 0 && length <= longest_name && host.find('\0') == std::string::npos && !zoned)
        return false;
    answer_alone(
        wanted, {},
        {Errc::resolve_failed,
         {ARES_EBADNAME, resolver_category()},
         Stage::resolve,
         (zoned ? "no interface of this machine: \"" : "not a name: \"") + printable(host) + '"'});
    return true;
}

// True when nothing is left to be asked.
bool Resolver::answer_from_cache(Query& query, Instant now) {
    for (Part& part : query.parts) {
        auto kept = cache_.find(query.wanted.host, part.read.answer.kind, now);
        if (!kept) continue;
        part.done = true;
        part.read.status = kept->error ? kept->error.cause.value() : ARES_SUCCESS;
        part.read.answer = std::move(*kept);
    }
    return std::all_of(query.parts.begin(), query.parts.end(),
                       [](const Part& part) { return part.done; });
}

void Resolver::ask(Query& query, Part& part) {
    const auto take = [](void* cookie, ares_status_t status, std::size_t,
                         const ares_dns_record_t* message) {
        auto& asked = *static_cast<Part*>(cookie);
        asked.done = true;
        asked.read.status = static_cast<int>(status);
        if (!message) return;
        // The message says more of itself than the status does.
        asked.read = read_answer(*message, asked.read.answer.kind);
        asked.fresh = true;
    };
    const std::unique_ptr<ares_dns_record_t, decltype(&ares_dns_record_destroy)> message(
        make_query(query.wanted.host, part.read.answer.kind), ares_dns_record_destroy);
    ares_status_t status = ARES_EBADNAME;
    if (message && query.wanted.question == Question::addresses)
        status = ares_search_dnsrec(query.channel.get(), message.get(), take, &part);
    else if (message)
        status = ares_send_dnsrec(query.channel.get(), message.get(), take, &part, nullptr);
    // Where it could not even begin, the callback may not have been called.
    if (status != ARES_SUCCESS && !std::exchange(part.done, true))
        part.read.status = static_cast<int>(status);
}

void Resolver::cancel(LookupId id) {
    for (auto& [serial, query] : queries_)
        if (query->wanted.id == id) query->over = true;
    std::erase_if(resolved_, [id](const Io::Resolved& resolved) { return resolved.id == id; });
    tidy();
}

void Resolver::handle_event(std::uint64_t data, std::uint32_t events, Instant now) {
    const auto serial = static_cast<std::uint32_t>(data >> 32) & 0x7fffffff;
    const auto found = queries_.find(serial);
    if (found == queries_.end()) return;
    Query& query = *found->second;
    const int fd = static_cast<int>(data & 0x7fffffff);
    const bool failed = (events & (EPOLLERR | EPOLLHUP)) != 0;
    const bool readable = failed || (events & EPOLLIN) != 0;
    const bool writable = failed || (events & EPOLLOUT) != 0;
    ares_process_fd(query.channel.get(), readable ? fd : ARES_SOCKET_BAD,
                    writable ? fd : ARES_SOCKET_BAD);
    settle(query, now);
    tidy();
}

void Resolver::handle_timeout(Instant now) {
    if (now < deadline_) return;
    for (auto& [serial, query] : queries_) {
        if (now >= query->give_up) {
            for (Part& part : query->parts)
                if (!std::exchange(part.done, true)) part.read.status = ARES_ETIMEOUT;
        } else if (now >= query->next) {
            ares_process_fd(query->channel.get(), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        }
        settle(*query, now);
    }
    tidy();
}

std::vector<Io::Resolved> Resolver::poll_resolved() {
    if (resolved_.empty()) return {};
    auto resolved = std::exchange(resolved_, {});
    tidy();
    return resolved;
}

void Resolver::settle(Query& query, Instant now) {
    if (query.over) return;
    for (const SocketChange& change : query.changes) {
        epoll_event event{};
        event.events = (change.readable ? EPOLLIN : 0u) | (change.writable ? EPOLLOUT : 0u);
        event.data.u64 = event_bit | std::uint64_t{query.serial} << 32 |
                         static_cast<std::uint32_t>(change.fd);
        // A closed socket has left epoll by itself, and its number may already be another's.
        if (event.events == 0)
            epoll_ctl(epoll_, EPOLL_CTL_DEL, change.fd, nullptr);
        else if (epoll_ctl(epoll_, EPOLL_CTL_MOD, change.fd, &event) != 0)
            epoll_ctl(epoll_, EPOLL_CTL_ADD, change.fd, &event);
    }
    query.changes.clear();

    for (Part& part : query.parts)
        if (part.done && !std::exchange(part.told, true)) tell(query, part, now);
    if (query.over) return;
    // c-ares counts from its own reading of the clock, which is a little later than the turn's: a
    // millisecond more, or it would be called too early again and again.
    query.next = never;
    timeval wait{};
    if (ares_timeout(query.channel.get(), nullptr, &wait))
        query.next = now + std::chrono::seconds(wait.tv_sec) +
                     std::chrono::microseconds(wait.tv_usec) + std::chrono::milliseconds(1);
}

void Resolver::tell(Query& query, Part& part, Instant now) {
    Answer& answer = part.read.answer;
    if (part.fresh) answer.authenticated = answer.authenticated && query.trusted;
    if (part.fresh && servers_.public_only()) keep_public(part.read);
    if (part.read.status != ARES_SUCCESS && !answer.error) answer.error = query.error_of(part);
    if (part.fresh) cache_.keep(query.wanted.host, answer, now);

    Io::Resolved resolved;
    static_cast<Answer&>(resolved) = std::move(answer);
    resolved.id = query.wanted.id;
    for (Address& address : resolved.addresses) address.port = query.wanted.port;
    sort_addresses(resolved.addresses);
    resolved.complete = std::all_of(query.parts.begin(), query.parts.end(),
                                    [](const Part& any) { return any.told; });
    query.over = resolved.complete;
    resolved_.push_back(std::move(resolved));
}

void Resolver::answer_alone(const Io::Lookup& wanted, std::vector<Address> addresses, Error error) {
    Io::Resolved resolved;
    resolved.id = wanted.id;
    resolved.kind = kinds_of(wanted.question).back();
    if (!addresses.empty() && addresses.front().family == Address::Family::v6)
        resolved.kind = RecordKind::aaaa;
    resolved.name = wanted.host;
    resolved.addresses = std::move(addresses);
    resolved.error = std::move(error);
    resolved.complete = true;
    resolved_.push_back(std::move(resolved));
    tidy();
}

void Resolver::tidy() {
    std::erase_if(queries_, [](const auto& entry) { return entry.second->over; });
    // What stands in the queue is wanted now: the beginning of time is past for everybody.
    deadline_ = resolved_.empty() ? never : Instant{};
    for (const auto& [serial, query] : queries_)
        deadline_ = std::min({deadline_, query->give_up, query->next});
}

}  // namespace post::io

namespace post {

const std::error_category& resolver_category() noexcept {
    static const io::ResolverCategory category;
    return category;
}

}  // namespace post
