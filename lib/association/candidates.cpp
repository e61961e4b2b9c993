// One list for each (stack, family) of a path, dealt out in turns.
#include "lib/association/candidates.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "lib/policy/stacks.hpp"

namespace post::core {

namespace {

using Family = Address::Family;

const char* name(Family family) { return family == Family::v6 ? "IPv6" : "IPv4"; }
Family other(Family family) { return family == Family::v6 ? Family::v4 : Family::v6; }

// A stack on one family of addresses.
struct Lineage {
    Stack stack;
    Family family;
    auto operator<=>(const Lineage&) const = default;
};

Lineage lineage(const Candidate& candidate) {
    return {candidate.stack, candidate.endpoint.address.family};
}

using Known = RaceOptions::Known;

bool failed_before(const std::vector<Known>& failed_on, const Lineage& line) {
    return std::any_of(failed_on.begin(), failed_on.end(), [&](const Known& known) {
        return known.stack == line.stack && known.remote.family == line.family;
    });
}

// Where the candidates of one path begin, and what is known of it.
struct Leg {
    const Interface* interface = nullptr;  // none: as the system routes
    const std::optional<Known>& winner;
    const std::vector<Known>& failed_on;
    std::string name() const { return interface ? interface->name : std::string(); }
};

std::vector<Leg> legs(const RaceOptions& options) {
    if (!options.out) return {{nullptr, options.winner, options.failed_on}};
    std::vector<Leg> all;
    for (const RaceOptions::Path& path : options.out->paths)
        all.push_back({&path.interface, path.winner, path.failed_on});
    return all;
}

// One over TCP is the second: where UDP is blocked nobody waits for all the others.
std::vector<Stack> with_tcp_second(std::vector<Stack> stacks) {
    if (stacks.size() < 3 || row(stacks.front()).tcp) return stacks;
    const auto tcp = std::find_if(stacks.begin() + 1, stacks.end(),
                                  [](Stack stack) { return row(stack).tcp; });
    if (tcp != stacks.end()) std::rotate(stacks.begin() + 1, tcp, tcp + 1);
    return stacks;
}

// Each stack once with the families by turns, then each with its other family.
std::vector<Lineage> lineages(const std::vector<Stack>& stacks, const std::vector<Known>& failed_on,
                              Family begin) {
    std::vector<Lineage> lines;
    for (Family first : {begin, other(begin)}) {
        Family family = first;
        for (Stack stack : stacks) {
            lines.push_back({stack, family});
            family = other(family);
        }
    }
    std::stable_partition(lines.begin(), lines.end(),
                          [&](const Lineage& line) { return !failed_before(failed_on, line); });
    return lines;
}

class Arranging {
public:
    Arranging(std::span<const Endpoint> endpoints, const RaceOptions& options)
        : endpoints_(endpoints.begin(), endpoints.end()), options_(options) {
        std::stable_sort(
            endpoints_.begin(), endpoints_.end(),
            [](const Endpoint& a, const Endpoint& b) { return a.priority < b.priority; });
    }

    Order run(std::span<const Begun> begun) {
        for (const Endpoint& endpoint : endpoints_)
            if (std::string why = wrong_with(endpoint.address, options_.groups); !why.empty())
                refuse({}, endpoint, std::move(why));
        const std::vector<Stack> safe = admitted(options_.stacks, true);
        const std::vector<Stack> unsafe = admitted(options_.insecure, false);
        std::vector<Candidate> secure;
        std::vector<Candidate> insecure;
        for (const Leg& leg : legs(options_)) {
            find_sources(leg);
            deal(leg, safe, true, secure);
            deal(leg, unsafe, false, insecure);
        }
        share_out(secure, insecure);
        drop(secure, begun);
        drop(insecure, begun);
        for (const Leg& leg : legs(options_)) put_in_order(leg, secure, begun);
        order_.candidates.insert(order_.candidates.end(), insecure.begin(), insecure.end());
        return std::move(order_);
    }

private:
    void refuse(std::optional<Stack> stack, const Endpoint& endpoint, std::string why,
                bool unspoken = false) {
        order_.refused.push_back({stack, endpoint.address, std::move(why), unspoken});
    }

    std::vector<Stack> admitted(const std::vector<Stack>& stacks, bool secure) {
        std::vector<Stack> taken;
        const bool alone = options_.stacks.size() + options_.insecure.size() == 1;
        for (Stack stack : stacks) {
            const char* why = nullptr;
            if (secure && !row(stack).secure)
                why = "it is not secure, and security is required";
            else if (!row(stack).races && !alone)
                why = "it would win every race unheard; name it alone";
            if (std::find(taken.begin(), taken.end(), stack) != taken.end()) continue;
            if (!why)
                taken.push_back(stack);
            else
                order_.refused.push_back({stack, {}, why, false});
        }
        return with_tcp_second(std::move(taken));
    }

    // Whether the record offers what we would say there.
    bool offers(const Endpoint& endpoint, Stack stack) const {
        if (!endpoint.alpn) return true;
        const std::string_view ours = options_.alpn.empty() ? row(stack).alpn : options_.alpn;
        return std::find(endpoint.alpn->begin(), endpoint.alpn->end(), ours) !=
               endpoint.alpn->end();
    }

    // From where each endpoint is reached on this path; those that are not are refused.
    void find_sources(const Leg& leg) {
        sources_.clear();
        if (!leg.interface) return;
        for (const Endpoint& endpoint : endpoints_) {
            if (!wrong_with(endpoint.address, options_.groups).empty()) continue;
            if (sources_.contains(endpoint.address)) continue;
            auto path = reach(*leg.interface, endpoint.address, options_.out->choice,
                              options_.out->from, options_.out->own);
            if (path) {
                sources_.emplace(endpoint.address, *std::move(path));
                continue;
            }
            refuse({}, endpoint, path.error().detail.string());
            order_.refused.back().path = leg.interface->name;
        }
    }

    void deal(const Leg& leg, const std::vector<Stack>& stacks, bool secure,
              std::vector<Candidate>& dealt) {
        leg_ = &leg;
        for (auto first = endpoints_.begin(); first != endpoints_.end();) {
            const auto last = std::find_if(first, endpoints_.end(), [&](const Endpoint& endpoint) {
                return endpoint.priority != first->priority;
            });
            const bool preferred = std::any_of(first, last, [&](const Endpoint& endpoint) {
                return endpoint.address.family == options_.preferred && reaches(leg, endpoint);
            });
            const Family begin = preferred ? options_.preferred : other(options_.preferred);
            deal_group({first, last}, lineages(stacks, leg.failed_on, begin), secure, dealt);
            first = last;
        }
    }

    bool reaches(const Leg& leg, const Endpoint& endpoint) const {
        return !leg.interface || sources_.contains(endpoint.address);
    }

    void deal_group(std::span<const Endpoint> group, const std::vector<Lineage>& lines, bool secure,
                    std::vector<Candidate>& dealt) {
        std::vector<std::vector<Candidate>> piles(lines.size());
        std::size_t longest = 0;
        for (std::size_t i = 0; i < lines.size(); ++i) {
            for (const Endpoint& endpoint : group) take(endpoint, lines[i], secure, piles[i]);
            longest = std::max(longest, piles[i].size());
        }
        for (std::size_t round = 0; round < longest; ++round)
            for (auto& pile : piles)
                if (round < pile.size() && !has(dealt, pile[round]))
                    dealt.push_back(std::move(pile[round]));
    }

    void take(const Endpoint& endpoint, const Lineage& line, bool secure,
              std::vector<Candidate>& pile) {
        if (endpoint.address.family != line.family ||
            !wrong_with(endpoint.address, options_.groups).empty() || !reaches(*leg_, endpoint))
            return;
        if (!offers(endpoint, line.stack)) {
            refuse(line.stack, endpoint, "its record offers other protocols", true);
            return;
        }
        const auto source = sources_.find(endpoint.address);
        pile.push_back({line.stack, secure, endpoint, reason(endpoint, line, secure),
                        source == sources_.end() ? LocalPath{} : source->second});
    }

    std::string reason(const Endpoint& endpoint, const Lineage& line, bool secure) const {
        const auto& stacks = secure ? options_.stacks : options_.insecure;
        const auto at = std::find(stacks.begin(), stacks.end(), line.stack) - stacks.begin();
        std::string text = secure ? "" : "not secure: after every secure one has failed; ";
        text += std::string(to_string(line.stack)) + " is number " + std::to_string(at + 1) +
                " of the policy; " + name(line.family);
        if (line.family == options_.preferred) text += " is preferred";
        if (endpoint.priority != 0)
            text += "; the service's priority " + std::to_string(endpoint.priority);
        if (failed_before(leg_->failed_on, line)) text += "; failed lately";
        return text;
    }

    static bool has(const std::vector<Candidate>& candidates, const Candidate& candidate) {
        return std::any_of(candidates.begin(), candidates.end(), [&](const Candidate& each) {
            return each.stack == candidate.stack &&
                   each.endpoint.address == candidate.endpoint.address &&
                   each.path.interface == candidate.path.interface;
        });
    }

    // The cap is filled in turns, so that no (path, stack, family) crowds out another.
    void share_out(std::vector<Candidate>& secure, std::vector<Candidate>& insecure) {
        if (secure.size() + insecure.size() <= most_attempts) return;
        struct Share {
            std::size_t wanted = 0;
            std::size_t given = 0;
            std::size_t left = 0;
        };
        // Of each path, in their order.
        std::vector<std::map<Lineage, Share>> shares(options_.out ? options_.out->paths.size() : 1);
        const auto share = [&](const Candidate& candidate) -> Share& {
            std::size_t path = 0;
            while (options_.out &&
                   options_.out->paths[path].interface.name != candidate.path.interface)
                ++path;
            return shares[path][lineage(candidate)];
        };
        for (const auto* list : {&secure, &insecure})
            for (const Candidate& candidate : *list) ++share(candidate).wanted;
        for (std::size_t given = 0, at = 0; given < most_attempts; ++at) {
            Share* least = nullptr;
            for (auto& [line, each] : shares[at % shares.size()])
                if (each.given < each.wanted && (!least || each.given < least->given))
                    least = &each;
            if (!least) continue;
            ++least->given;
            ++least->left;
            ++given;
        }
        for (auto* list : {&secure, &insecure}) {
            std::vector<Candidate> kept;
            for (Candidate& candidate : *list) {
                if (std::size_t& left = share(candidate).left; left > 0) {
                    --left;
                    kept.push_back(std::move(candidate));
                } else {
                    refuse(candidate.stack, candidate.endpoint,
                           "beyond the " + std::to_string(most_attempts) +
                               " candidates that are tried at most");
                }
            }
            *list = std::move(kept);
        }
    }

    static void drop(std::vector<Candidate>& candidates, std::span<const Begun> begun) {
        std::erase_if(candidates, [&](const Candidate& candidate) {
            return std::any_of(begun.begin(), begun.end(), [&](const Begun& each) {
                return each.stack == candidate.stack && each.remote == candidate.endpoint.address &&
                       each.path == candidate.path.interface;
            });
        });
    }

    // The secure candidates of one path.
    void put_in_order(const Leg& leg, const std::vector<Candidate>& secure,
                      std::span<const Begun> begun) {
        std::vector<Candidate> mine;
        std::vector<Begun> here;
        for (const Candidate& candidate : secure)
            if (candidate.path.interface == leg.name()) mine.push_back(candidate);
        for (const Begun& each : begun)
            if (each.path == leg.name()) here.push_back(each);
        if (here.empty()) winner_first(leg, mine);
        tcp_second(mine, here);
        order_.candidates.insert(order_.candidates.end(), mine.begin(), mine.end());
    }

    static void move_to(std::vector<Candidate>& list, std::vector<Candidate>::iterator from,
                        std::size_t place) {
        std::rotate(list.begin() + static_cast<std::ptrdiff_t>(place), from, from + 1);
    }

    static void winner_first(const Leg& leg, std::vector<Candidate>& list) {
        if (!leg.winner) return;
        const Known& winner = *leg.winner;
        auto found = std::find_if(list.begin(), list.end(), [&](const Candidate& each) {
            return each.stack == winner.stack && each.endpoint.address == winner.remote;
        });
        if (found == list.end())
            found = std::find_if(list.begin(), list.end(), [&](const Candidate& each) {
                return lineage(each) == Lineage{winner.stack, winner.remote.family};
            });
        if (found == list.end()) return;
        found->reason = "won the last time";
        move_to(list, found, 0);
    }

    static void tcp_second(std::vector<Candidate>& list, std::span<const Begun> begun) {
        if (begun.size() > 1 || (begun.empty() && list.empty())) return;
        const Stack first = begun.empty() ? list.front().stack : begun.front().stack;
        const Family family = begun.empty() ? list.front().endpoint.address.family
                                            : begun.front().remote.family;
        if (row(first).tcp) return;
        const std::size_t place = 1 - begun.size();
        auto best = list.end();
        for (auto each = list.begin(); each != list.end(); ++each) {
            if (!row(each->stack).tcp) continue;
            if (best == list.end()) best = each;
            if (each->endpoint.address.family == family) continue;
            best = each;
            break;
        }
        if (best == list.end()) return;
        best->reason = "TCP gets through where UDP does not: one of the first two; " +
                       std::string(name(best->endpoint.address.family));
        if (best->endpoint.address.family != family) best->reason += ", the other family";
        move_to(list, best, place);
    }

    std::vector<Endpoint> endpoints_;
    const RaceOptions& options_;
    const Leg* leg_ = nullptr;              // whose candidates are dealt
    std::map<Address, LocalPath> sources_;  // of what it reaches
    Order order_;
};

}  // namespace

Order arrange(std::span<const Endpoint> endpoints, const RaceOptions& options,
              std::span<const Begun> begun) {
    return Arranging(endpoints, options).run(begun);
}

Duration attempt_delay(const RaceOptions& options) {
    const Duration wanted = options.history_rtt
                                ? 3 * std::min(*options.history_rtt, RaceOptions::most_delay)
                                : options.attempt_delay;
    return std::clamp(wanted, RaceOptions::least_delay, RaceOptions::most_delay);
}

std::string wrong_with(const Address& address, bool groups) {
    if (address.family == Family::none) return "no address";
    if (address.port == 0) return "port 0 names no service";
    if (address.is_any()) return "the address of every host and of none";
    const bool v4 = address.family == Family::v4;
    if (address.is_multicast()) return groups ? "" : "a multicast address";
    if (v4 && std::all_of(address.ip.begin(), address.ip.begin() + 4,
                          [](std::uint8_t byte) { return byte == 0xff; }))
        return "the broadcast address";
    if (v4 && address.ip[0] == 0) return "no host has an address in 0.0.0.0/8";
    return {};
}

}  // namespace post::core
