// Pair: two mappings joined by a link in memory, in virtual time. One clock, one queue of datagrams
// in flight, one seed: a run is repeated by its seed. FakePair, QuicPair and the others fill in
// what is between the two ends.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "mappings/mapping.hpp"
#include "tests/fake/queue_supply.hpp"

namespace post::test {

using namespace std::chrono_literals;

struct Link {
    Duration delay = 10ms;
    double loss = 0;  // share of the datagrams
    double duplicate = 0;
    Duration jitter{};  // up to so much later, which reorders
};

struct PairOptions {
    Limits client;
    Limits server;
    Link link;
    std::uint64_t seed = 1;
    bool raw = false;  // an ALPN that is not Post's; bytes go as they are
};

// One end: the mapping, what it shall send, and what came.
class End {
public:
    explicit End(Role role) : next_carrier_(role == Role::client ? 0 : 1) {}

    std::unique_ptr<Mapping> mapping;
    QueueSupply supply;
    std::vector<Event> events;  // all of them, in order
    bool take = true;           // what arrives is taken at once, and its window given back

    // What the application side of an association would do.
    CarrierId open(CarrierKind kind = CarrierKind::messages,
                   std::optional<CarrierId> parent = std::nullopt);
    void send(CarrierId carrier, Bytes content, NicenessClass niceness = NicenessClass{0});
    // As pieces of at most `chunk` bytes.
    void send_cut(CarrierId carrier, const Bytes& content, std::size_t chunk,
                  NicenessClass niceness = NicenessClass{0});
    // One that may travel alone; what of such has come.
    void send_alone(CarrierId carrier, Bytes content, const Properties& properties = {});
    std::vector<std::string> messages_alone(CarrierId carrier) const;
    void finish(CarrierId carrier) { supply.push(Finish{carrier}); }

    // What came, by Carrier.
    std::vector<std::string> messages(CarrierId carrier) const;
    std::uint64_t bytes_arrived(CarrierId carrier) const;
    template <class Kind> std::vector<Kind> all() const {
        std::vector<Kind> found;
        for (const auto& event : events)
            if (auto* one = std::get_if<Kind>(&event)) found.push_back(*one);
        return found;
    }
    template <class Kind> std::vector<Kind> all(CarrierId carrier) const {
        std::vector<Kind> found;
        for (const auto& one : all<Kind>())
            if (one.carrier == carrier) found.push_back(one);
        return found;
    }
    bool established() const { return !all<event::Established>().empty(); }
    std::optional<Error> lost() const {
        auto found = all<event::Lost>();
        if (found.empty()) return std::nullopt;
        return found.front().error;
    }
    std::uint64_t acked(CarrierId carrier) const;

    // Moves the mapping's events here and does what an association does at once.
    void drain();

private:
    std::uint64_t next_carrier_;
    std::map<std::tuple<CarrierId, NicenessClass>, std::uint64_t> sequences_;
};

class Pair {
public:
    explicit Pair(const PairOptions& options)
        : client(Role::client), server(Role::server), options_(options), random_(options.seed) {}
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    virtual ~Pair() = default;

    End client;
    End server;

    Instant now() const { return now_; }
    // Lets time pass.
    void run(Duration duration) {
        auto end = now_ + duration;
        while (step(end)) {}
        now_ = end;
        moved();
    }
    // Until it holds; false when `limit` is over first.
    template <class Condition> bool run_until(Condition condition, Duration limit = 60s) {
        auto end = now_ + limit;
        while (!condition())
            if (!step(end)) return condition();
        return true;
    }
    bool connect() {
        return run_until([&] { return client.established() && server.established(); });
    }
    // Both ends send what they have, and no time passes.
    void transmit_now() {
        transmit(client, true);
        transmit(server, false);
    }

    // Asked for each datagram that is sent. It may be made to arrive at another time; false: it is
    // lost.
    std::function<bool(bool to_server, Instant& at)> on_launch;
    // Asked for the size of each; false: the link does not carry it.
    std::function<bool(std::size_t)> on_size;
    // Cuts the link: nothing arrives any more, in both directions.
    void cut() { cut_ = true; }
    std::uint64_t datagrams() const { return datagrams_; }
    // Deadlines that lay before the time at which they were set, and did not move when served.
    std::uint64_t stuck_deadlines() const { return stuck_; }

protected:
    struct Flight {
        Instant at;
        std::uint64_t number;
        bool to_server;
        std::vector<std::byte> bytes;
        Ecn ecn;
    };

    // A datagram reaches an end.
    virtual void deliver(bool to_server, const Datagrams& datagram) = 0;
    virtual void sent(const Flight&) {}
    // The clock has moved on.
    virtual void moved() {}
    // What serves both mappings, and has a deadline of its own.
    virtual Instant shared_deadline() const { return never; }
    // The byte streams of an end are looked after, before it fills runs and after it.
    virtual void serve_links(bool) {}
    virtual void serve_shared() {}
    virtual void launch(bool to_server, const Datagrams& run);

    static Address address(bool of_server);
    bool step(Instant end);
    void transmit(End& from, bool to_server);

    PairOptions options_;
    std::mt19937_64 random_;
    Instant now_ = Instant(1s);
    std::map<std::pair<Instant, std::uint64_t>, Flight> flights_;
    std::uint64_t datagrams_ = 0;
    std::uint64_t stuck_ = 0;
    bool cut_ = false;
};

}  // namespace post::test
