// Storms: two hosts that talk both ways over a network that loses, reorders, doubles, corrupts,
// shrinks, slows down, goes dark and moves them, each seed in its own way. Whatever happened, when
// it is over every reliable message has been received once, in order and byte for byte, each has
// had one last word, and both sides come to rest. A suite of its own: it runs for thousands of
// seeds (tests/CMakeLists.txt). One of them:
//
//     POST_SEED=42 POST_SEEDS=1 build/default/tests/post_tests -ts=storm
#include <cstdio>

#include "tests/scenario/ledger.hpp"
#include "tests/scenario/weather.hpp"
#include "tests/sim/ambient.hpp"
#include "tests/sim/child.hpp"

namespace post::test {

namespace {

// So long after the last fault everything has its last word. A probe timeout that doubled while
// nothing got through is not longer than that lasted, which is 5 s at most; a client that had
// nothing to say when its NAT forgot says something after a third of the idle timeout of 30 s; and
// what a peer will never speak of is given up 30 s after its stream was over.
constexpr Duration aftermath = 40s;

class Storm {
public:
    explicit Storm(std::uint64_t seed)
        : weather_(sim::Random(seed, 1), stack_of_stories()),
          dice_(seed, 2),
          ledger_(seed),
          scene_(seed) {
        scene_.world.record("storm-" + std::to_string(seed));
        scene_.world.link(scene_.near, scene_.far, weather_.there(), weather_.back());
        weather_.begin(scene_.world, scene_.link, scene_.near,
                       [this] { return ledger_.acked(Side::client); });
        ListenOptions options;
        options.bounds = bounds();
        scene_.listener = scene_.listen(options);
        scene_.listener.accept(
            [this](Carrier carrier) { return take(std::move(carrier), Side::server); });
        InitiateOptions client;
        client.bounds = bounds();
        if (dice_.below(2) == 0) client.bounds.send_budget = 100'000;
        for (std::uint64_t n = 1 + dice_.below(3); n > 0; --n)
            take(scene_.initiate(client), Side::client);
    }

    void run() {
        INFO("the weather: ", weather_.describe());
        for (std::uint64_t n = 10 + dice_.below(30); n > 0; --n) {
            step();
            scene_.world.run_for(std::chrono::milliseconds(dice_.below(120)));
        }
        // For storms in which the client never came to say anything.
        ends_.front().carrier.activate();
        const Duration rest = weather_.clears() - scene_.world.elapsed();
        if (rest > Duration{}) scene_.world.run_for(rest);
        // Messages that had lifetimes can all be over before the handshake is.
        const Association association = ends_.front().carrier.association();
        CHECK(scene_.until([&] { return ledger_.settled() && association.active(); }, aftermath));
        ledger_.check();
        end();
    }

    std::uint64_t digest() const { return scene_.world.digest(); }

private:
    struct End {
        Carrier carrier;
        Side side;
        bool over = false;    // nothing more is sent on it
        bool closed = false;  // nor received
        bool forked = false;  // a fork would go astray without its parent's end
        bool spared = false;  // keeps the Association
    };

    // What a storm may not end: a handshake and a silence that last as long as it does.
    static Bounds bounds() {
        Bounds bounds;
        bounds.handshake_timeout = 60s;
        bounds.linger = 60s;
        return bounds;
    }

    bool take(Carrier carrier, Side side) {
        const CarrierId id = carrier.id();
        carrier.accept([this, side](Carrier fork) { return take(std::move(fork), side); });
        carrier.on_closed([this, id](const Error& error) {
            CAPTURE(id.value());
            CAPTURE(error.message());
            // One that is first spoken of when it is closed finds the Listener closed, too.
            const bool late = ending_ && error == Errc::carrier_refused;
            CHECK((error == Errc::carrier_closed || ended_early_.count(id) != 0 || late));
        });
        if (carrier.can_receive()) read(carrier, id, side);
        ends_.push_back({std::move(carrier), side});
        ends_.back().spared = id == ends_.front().carrier.id();
        if (ending_) ends_.back().carrier.close();
        return true;
    }

    // Some applications are not ready at once.
    void read(Carrier& carrier, CarrierId id, Side side) {
        const auto on_message = [this, id, side](Carrier&, InMessage message) {
            ledger_.receive(side, id, std::move(message));
            return true;
        };
        if (dice_.below(4) != 0) return carrier.ready(on_message);
        const std::size_t place = ends_.size();
        scene_.world.after(std::chrono::milliseconds(dice_.below(500)), [this, place, on_message] {
            if (!ends_[place].closed) ends_[place].carrier.ready(on_message);
        });
    }

    void step() {
        const std::size_t which = dice_.below(ends_.size());
        switch (dice_.below(12)) {
            case 0:
            case 1: return fork(which);
            case 2: return finish(ends_[which]);
            case 3: return close(ends_[which]);
            case 4: return abort(ends_[which]);
            case 5:  // everybody speaks at once
                for (End& end : ends_) send(end, 1 + dice_.below(3));
                return;
            default: send(ends_[which], 1 + dice_.below(8));
        }
    }

    std::size_t draw_size() {
        switch (dice_.below(16)) {
            case 0: return 0;
            case 1: return dice_.below(200'000);
            case 2: return dice_.below(50'000);
            case 3:
            case 4: return dice_.below(5'000);
            default: return dice_.below(300);
        }
    }

    void send(End& end, std::uint64_t messages) {
        if (end.over || !end.carrier.can_send()) return;
        constexpr std::array<std::uint32_t, 5> classes = {0, 1, 2, 7, 62};
        for (; messages > 0; --messages) {
            SendOptions options;
            options.niceness = classes[dice_.below(classes.size())];
            if (dice_.below(10) == 0)
                options.lifetime = std::chrono::milliseconds(1 + dice_.below(500));
            ledger_.send(end.carrier, end.side, draw_size(), options);
        }
    }

    // The client has no Listener for forks of Carriers that are gone.
    void fork(std::size_t which) {
        const bool astray = ends_[which].side == Side::server && !ends_[which].spared;
        if (ends_.size() > 24 || ends_[which].over || astray) return;
        auto fork = ends_[which].carrier.fork(
            {.priority = static_cast<std::uint32_t>(dice_.below(3)),
             .announce = dice_.below(4) == 0,
             .one_way = dice_.below(5) == 0});
        if (!fork) return;
        for (End& end : ends_)
            if (end.carrier.id() == ends_[which].carrier.id()) end.forked = true;
        take(std::move(fork), ends_[which].side);
        send(ends_.back(), 1);
    }

    // What waits for room in the send budget would fail: it is not sent yet.
    void finish(End& end) {
        if (end.over || end.spared || !end.carrier.writable()) return;
        end.carrier.finish();
        end.over = true;
    }

    // What the other end sends is discarded.
    void close(End& end) {
        if (!may_end(end) || !end.carrier.writable()) return;
        ledger_.give_up(end.carrier.id(), other(end.side));
        end.carrier.close();
        end.over = end.closed = true;
    }

    void abort(End& end) {
        if (!may_end(end) || dice_.below(2) == 0) return;
        ledger_.give_up(end.carrier.id(), Side::client);
        ledger_.give_up(end.carrier.id(), Side::server);
        ended_early_.insert(end.carrier.id());
        end.carrier.abort(AbortCode{7});
        end.over = end.closed = true;
    }

    bool may_end(const End& end) const { return !end.over && !end.forked && !end.spared; }

    void end() {
        CHECK(complaints(scene_.unhandled) == "");
        CHECK(complaints(scene_.server_unhandled) == "");
        const Association association = ends_.front().carrier.association();
        CHECK(association.active());
        ending_ = true;
        for (std::size_t i = 0; i < ends_.size(); ++i) ends_[i].carrier.close();
        // A client whose connection breaks now comes back to a Listener that is open.
        scene_.until([&] { return association.carriers() == 0; }, aftermath);
        scene_.listener.close();
        // Neither side has anything left to do, nor anything that would turn it for ever. Of a
        // connection that its client gave up unheard the handshake lasts as long as one may.
        CHECK(scene_.world.run_until_quiet(aftermath + bounds().handshake_timeout));
        CHECK_FALSE(association.active());
        CHECK(association.carriers() == 0);
    }

    // Errors that nobody took. A wrong bit in a client's first packet begins a connection that
    // nobody ever finishes.
    static std::string complaints(const std::vector<Error>& errors) {
        std::string text;
        for (const Error& error : errors)
            if (error.stage != Stage::handshake) text += error.message() + '\n';
        return text;
    }

    Weather weather_;
    sim::Random dice_;
    Ledger ledger_;
    std::set<CarrierId> ended_early_;
    std::vector<End> ends_;
    bool ending_ = false;
    Scene scene_;
};

// In a thread of its own, so that GnuTLS too begins anew (tests/sim/ambient.hpp).
std::uint64_t weather_a_storm(std::uint64_t seed) {
    std::uint64_t digest = 0;
    sim::ambient::apart([&] {
        CAPTURE(seed);
        Storm storm(seed);
        storm.run();
        digest = storm.digest();
    });
    return digest;
}

}  // namespace

TEST_SUITE("storm") {
    TEST_CASE("after a storm every reliable message has arrived once, in order, as it was sent") {
        constexpr int most_failures = 5;
        int failures = 0;
        for (auto seed : seeds(100)) {
            sim::set_test_failed(false);
            try {
                weather_a_storm(seed);
            } catch (const std::exception& trouble) {
                FAIL_CHECK("seed ", seed, ": ", trouble.what());
            }
            if (!sim::test_failed()) continue;
            std::fprintf(stderr,
                         "to repeat it, with the keys of its packets: SSLKEYLOGFILE=storm.keys "
                         "POST_SEED=%llu POST_SEEDS=1 post_tests -ts=storm\n",
                         static_cast<unsigned long long>(seed));
            if (++failures == most_failures) break;
        }
    }
}

TEST_SUITE("scenario") {
    // In this storm a client's port changes while it says little: the server has used up what an
    // unvalidated path allows, and its window is full of what went to the old port.
    TEST_CASE("a client that says little from a new port is not left behind") {
        if (stack_of_stories() != Stack::quic) return;
        weather_a_storm(41745);
    }

    // Another connection was looked for while the first one went on.
    TEST_CASE("what was settled on an earlier connection is not failed by the end of its stream") {
        if (stack_of_stories() != Stack::quic) return;
        weather_a_storm(968);
        weather_a_storm(3314);
    }

    // More was granted to a message that an earlier connection had begun.
    TEST_CASE("a window that is told before its Carrier is known is not lost") {
        if (stack_of_stories() == Stack::sctp_dtls) weather_a_storm(1015);
    }

    // A copy had been begun, and its window was full, when the peer said that it has it all.
    TEST_CASE("what came to its end on an earlier connection waits for no window on this one") {
        if (stack_of_stories() != Stack::quic) return;
        weather_a_storm(60707);
        weather_a_storm(67056);
    }

    TEST_CASE("a client that is turned away hears whether it was ever known") {
        if (stack_of_stories() == Stack::quic) weather_a_storm(597);
    }

    TEST_CASE("a Carrier of which the peer has stopped one direction goes on in the other") {
        if (stack_of_stories() == Stack::quic) weather_a_storm(2630);
    }

    TEST_CASE("tells the digest of a storm" * doctest::skip()) {
        sim::say(std::to_string(weather_a_storm(seed())));
    }

    TEST_CASE("a storm is the same in every byte for the same seed") {
        const auto digest = [](std::uint64_t of) {
            return sim::run_in_child("tells the digest of a storm", of);
        };
        const std::string first = digest(seed());
        CHECK(digest(seed()) == first);
        CHECK(digest(seed() + 1) != first);
        // usrsctp remembers, process-wide, what the stories before had.
        const Stack stack = stack_of_stories();
        if (stack != Stack::quic && stack != Stack::tls) return;
        CHECK(std::to_string(weather_a_storm(seed())) + '\n' == first);
    }
}

}  // namespace post::test
