// How the simulated resolver answers, with the status codes that c-ares gives for the same.
#include "tests/sim/names.hpp"

#include <algorithm>
#include <cassert>
#include <stdexcept>

namespace post::sim {

namespace {

// ares.h: ARES_ENODATA, ARES_ESERVFAIL, ARES_ENOTFOUND, ARES_ETIMEOUT.
constexpr int no_data = 1;
constexpr int server_failure = 3;
constexpr int not_found = 4;
constexpr int timeout = 12;
constexpr int no_service = 25;  // ARES_ESERVICE

Error failure(int status, const std::string& what) {
    return {Errc::resolve_failed, std::error_code(status, resolver_category()), Stage::resolve,
            what + ", asked of the simulated name server"};
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!result.empty() && result.back() == '.') result.pop_back();
    return result;
}

int status_of(NameFate fate, bool has_addresses) {
    switch (fate) {
        case NameFate::answered: return has_addresses ? 0 : no_data;
        case NameFate::no_such_name: return not_found;
        case NameFate::server_failure: return server_failure;
        case NameFate::silent: return timeout;
    }
    return timeout;
}

}  // namespace

Names::Names() { set("localhost", {"127.0.0.1", "::1"}, {.delay_v4 = {}, .delay_v6 = {}}); }

void Names::set(std::string_view name, const std::vector<std::string>& addresses,
                const NameOptions& options) {
    Entry entry{.v4 = {}, .v6 = {}, .options = options};
    for (const auto& text : addresses) {
        const auto address = Address::parse(text);
        if (!address) throw std::invalid_argument("not an address: " + text);
        (address->family == Address::Family::v4 ? entry.v4 : entry.v6).push_back(*address);
    }
    entries_[lower(name)] = std::move(entry);
}

void Names::set_records(std::string_view name, Answer answer, const RecordOptions& options) {
    const Question questions[] = {Question::addresses, Question::addresses, Question::svcb,
                                  Question::https,     Question::srv,       Question::tlsa};
    const Question question = questions[static_cast<std::size_t>(answer.kind)];
    if (question == Question::addresses) throw std::invalid_argument("addresses are given by set");
    records_[{question, lower(name)}] = {std::move(answer), options};
}

void Names::set_service(std::string_view service, std::uint16_t port) {
    services_[std::string(service)] = port;
}

void Names::set_interface(std::string_view name, std::uint32_t index) {
    interfaces_[std::string(name)] = index;
}

std::vector<Names::Timed> Names::answers(const Io::Lookup& asked) const {
    Io::Lookup lookup = asked;
    if (!lookup.service.empty()) {
        const auto found = services_.find(lookup.service);
        if (found == services_.end()) {
            Timed unknown;
            unknown.resolved.id = lookup.id;
            unknown.resolved.error = failure(no_service, lookup.service);
            unknown.resolved.complete = true;
            return {unknown};
        }
        lookup.port = found->second;
    }
    if (lookup.question == Question::addresses) return address_answers(lookup);
    std::vector<Timed> all{record_answer(lookup)};
    all.back().resolved.complete = true;
    return all;
}

Names::Timed Names::record_answer(const Io::Lookup& lookup) const {
    const auto found = records_.find({lookup.question, lower(lookup.host)});
    Timed timed{.after = RecordOptions{}.delay, .resolved = {}};
    int status = not_found;
    if (found != records_.end()) {
        const auto& [answer, options] = found->second;
        const bool any = !answer.services.empty() || !answer.servers.empty() ||
                         !answer.tlsa.empty();
        status = status_of(options.fate, any);
        timed.after = options.fate == NameFate::silent ? options.timeout : options.delay;
        if (status == 0) static_cast<Answer&>(timed.resolved) = answer;
        timed.resolved.authenticated = answer.authenticated && trusted_;
    }
    const RecordKind kinds[] = {RecordKind::a, RecordKind::svcb, RecordKind::https, RecordKind::srv,
                                RecordKind::tlsa};
    timed.resolved.kind = kinds[static_cast<std::size_t>(lookup.question)];
    if (timed.resolved.name.empty()) timed.resolved.name = lower(lookup.host);
    timed.resolved.id = lookup.id;
    if (status == 0) return timed;
    timed.resolved.denied = status == no_data || status == not_found;
    timed.resolved.error = failure(status, lookup.host + " " + to_string(timed.resolved.kind));
    return timed;
}

std::vector<Names::Timed> Names::address_answers(const Io::Lookup& lookup) const {
    if (const std::size_t percent = lookup.host.find('%'); percent != std::string::npos) {
        Timed zoned;
        zoned.resolved.id = lookup.id;
        zoned.resolved.complete = true;
        const auto index = interfaces_.find(lookup.host.substr(percent + 1));
        if (index == interfaces_.end())
            zoned.resolved.error = failure(not_found, lookup.host);
        else
            zoned.resolved.addresses = {*Address::parse(
                lookup.host.substr(0, percent + 1) + std::to_string(index->second), lookup.port)};
        return {zoned};
    }
    static const Entry nobody{
        .v4 = {},
        .v6 = {},
        .options = {.fate_v4 = NameFate::no_such_name, .fate_v6 = NameFate::no_such_name}};
    const auto found = entries_.find(lower(lookup.host));
    const Entry& entry = found == entries_.end() ? nobody : found->second;
    const NameOptions& options = entry.options;

    const auto answer = [&](NameFate fate, Duration delay, const std::vector<Address>& addresses,
                            RecordKind kind) {
        Timed timed{.after = fate == NameFate::silent ? options.timeout : delay, .resolved = {}};
        timed.resolved.id = lookup.id;
        timed.resolved.kind = kind;
        timed.resolved.name = lower(lookup.host);
        const int status = status_of(fate, !addresses.empty());
        if (status == 0) {
            timed.resolved.addresses = addresses;
            for (Address& address : timed.resolved.addresses) address.port = lookup.port;
            timed.resolved.authenticated = options.authenticated && trusted_;
        } else {
            timed.resolved.denied = status == no_data || status == not_found;
            timed.resolved.error = failure(status, lookup.host + " " + to_string(kind));
        }
        return timed;
    };
    std::vector<Timed> answers;
    answers.push_back(answer(options.fate_v6, options.delay_v6, entry.v6, RecordKind::aaaa));
    answers.push_back(answer(options.fate_v4, options.delay_v4, entry.v4, RecordKind::a));
    if (answers[1].after < answers[0].after) std::swap(answers[0], answers[1]);
    answers.back().resolved.complete = true;
    return answers;
}

}  // namespace post::sim
