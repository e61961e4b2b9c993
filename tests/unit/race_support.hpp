// RaceWorld: a Race in virtual time, with a tiny model around it: name servers that answer when
// they are told to, and hosts that answer, refuse or swallow what is sent to them.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/association/race.hpp"
#include "lib/policy/stacks.hpp"

namespace post::test {

using core::AttemptId;
using core::Endpoint;
using core::Race;

inline Address v6(int host, std::uint16_t port = 4433) {
    return *Address::parse("2001:db8::" + std::to_string(host), port);
}
inline Address v4(int host, std::uint16_t port = 4433) {
    return *Address::parse("192.0.2." + std::to_string(host), port);
}

// Which question an answer belongs to. What SVCB hints at belongs to svcb.
enum class Answered : std::uint8_t { aaaa, a, svcb };

// What an answer of that kind leaves to be waited for.
inline void note(core::Resolution::Answered& known, Answered which,
                 const std::vector<Endpoint>& endpoints) {
    if (which == Answered::aaaa) known.aaaa = true;
    if (which == Answered::a) known.a = true;
    if (which == Answered::svcb) known.services = true;
    for (const Endpoint& endpoint : endpoints) {
        known.aaaa |= endpoint.address.family == Address::Family::v6;
        known.a |= endpoint.address.family == Address::Family::v4;
    }
}
inline RecordKind kind_of(Answered which) {
    return which == Answered::aaaa ? RecordKind::aaaa
           : which == Answered::a  ? RecordKind::a
                                   : RecordKind::svcb;
}

class RaceWorld {
public:
    enum class Way : std::uint8_t { good, silent, refused, half };  // half: TCP is up, and no more

    struct Try {
        AttemptId id;
        Stack stack;
        Address remote;
        Instant at;
    };

    Race race;
    Instant now{std::chrono::seconds(100)};
    Duration rtt = std::chrono::milliseconds(40);
    std::function<Way(Stack, const Address&)> way = [](Stack, const Address&) { return Way::good; };
    std::vector<Try> tries;
    std::vector<Instant> failures;
    Instant began{};
    core::Resolution::Answered known{};
    std::optional<Try> winner{};
    Instant won_at = never;

    void answer(Duration after, std::vector<Endpoint> endpoints, Answered which, bool complete,
                Error error = {}) {
        at(began_or_now() + after, [this, endpoints, which, complete, error] {
            note(known, which, endpoints);
            race.handle_resolved(now, endpoints, error, kind_of(which), known, complete);
        });
    }
    void at(Instant when, std::function<void()> what) { events_.emplace(when, std::move(what)); }

    void begin(const Remote& remote, const Race::Options& options) {
        began = now;
        race.begin(now, remote, options);
    }
    // Until somebody has won, or nothing will happen any more.
    void run() {
        for (int steps = 0; steps < 10000; ++steps) {
            take();
            if (winner || race.exhausted()) return;
            Instant next = race.deadline();
            if (!events_.empty()) next = std::min(next, events_.begin()->first);
            if (next == never) return;
            REQUIRE(next >= now);
            now = next;
            while (!events_.empty() && events_.begin()->first <= now && !winner) {
                const auto event = std::move(events_.begin()->second);
                events_.erase(events_.begin());
                event();
            }
        }
        FAIL("the race spins");
    }
    // Since it began.
    Duration of(std::size_t attempt) const { return tries.at(attempt).at - began; }
    Duration took() const { return won_at - began; }
    // "quic6 tls4": what was begun, in order.
    std::string order() const {
        std::string text;
        for (const Try& each : tries) {
            if (!text.empty()) text += ' ';
            text += std::string(to_string(each.stack)) +
                    (each.remote.family == Address::Family::v6 ? "6" : "4");
        }
        return text;
    }
    // Round trips of a handshake, as they are on our stacks: QUIC 1, TCP 1 and TLS 1, DTLS 1.2 with
    // cookie 3 and SCTP 2, SCTP alone 2.
    static int round_trips(Stack stack) {
        switch (stack) {
            case Stack::quic: return 1;
            case Stack::tls: return 2;
            case Stack::sctp_dtls: return 5;
            default: return 2;
        }
    }

private:
    Instant began_or_now() const { return began == Instant{} ? now : began; }

    void take() {
        while (const auto connect = race.next(now)) {
            const Try each{connect->attempt, connect->stack, connect->remote, now};
            tries.push_back(each);
            play(each);
        }
    }
    void play(const Try& each) {
        const Way how = way(each.stack, each.remote);
        if (how == Way::silent) return;
        if (how == Way::refused) {
            at(now + rtt, [this, each] {
                failures.push_back(now);
                race.handle_failure(now, each.id, Error(Errc::refused_port, {}, Stage::connect));
            });
            return;
        }
        const int trips = round_trips(each.stack);
        if (trips > 1 || how == Way::half)
            at(now + rtt, [this, each] { race.handle_progress(now, each.id); });
        if (how == Way::half) return;
        at(now + trips * rtt, [this, each] {
            winner = each;
            won_at = now;
            race.handle_won(now, each.id);
        });
    }

    std::multimap<Instant, std::function<void()>> events_;
};

}  // namespace post::test
