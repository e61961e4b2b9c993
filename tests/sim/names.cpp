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

std::vector<Names::Answer> Names::answers(const Io::Lookup& lookup) const {
    static const Entry nobody{
        .v4 = {},
        .v6 = {},
        .options = {.fate_v4 = NameFate::no_such_name, .fate_v6 = NameFate::no_such_name}};
    const auto found = entries_.find(lower(lookup.host));
    const Entry& entry = found == entries_.end() ? nobody : found->second;
    const NameOptions& options = entry.options;

    const auto answer = [&](NameFate fate, Duration delay, const std::vector<Address>& addresses,
                            const char* family) {
        Answer result{.after = fate == NameFate::silent ? options.timeout : delay,
                      .resolved = {.id = lookup.id, .addresses = {}, .error = {}}};
        const int status = status_of(fate, !addresses.empty());
        if (status == 0) {
            result.resolved.addresses = addresses;
            for (Address& address : result.resolved.addresses) address.port = lookup.port;
        } else {
            result.resolved.error = Error(
                Errc::resolve_failed, std::error_code(status, resolver_category()), Stage::resolve,
                Bytes(lookup.host + " " + family + ", asked of the simulated name server"));
        }
        return result;
    };
    std::vector<Answer> answers;
    answers.push_back(answer(options.fate_v6, options.delay_v6, entry.v6, "AAAA"));
    answers.push_back(answer(options.fate_v4, options.delay_v4, entry.v4, "A"));
    if (answers[1].after < answers[0].after) std::swap(answers[0], answers[1]);
    answers.back().resolved.complete = true;
    return answers;
}

}  // namespace post::sim
