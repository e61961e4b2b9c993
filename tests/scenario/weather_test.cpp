// The borders of what a network may do: one evil each, as bad as it gets, in the middle of 200 KB
// each way. Everything arrives, on the connection that there was, and soon.
#include "tests/scenario/ledger.hpp"

namespace post::test {

namespace {

// One Carrier with 10 messages of 20 KB under way in the directions asked for.
class Transfer {
public:
    Transfer(std::uint64_t seed, const sim::LinkOptions& both) : ledger(seed), scene(seed, both) {
        scene.listener = scene.listen();
        scene.listener.accept([this](Carrier taken) {
            read(taken, Side::server);
            theirs = std::move(taken);
            return true;
        });
        ours = scene.initiate();
        read(ours, Side::client);
        ours.on_closed([this](const Error& error) { ends.push_back(error); });
        ledger.send(ours, Side::client, 1, {});
        REQUIRE(scene.until([this] { return ledger.settled(); }));
    }

    void up() { send(ours, Side::client); }
    void down() { send(theirs, Side::server); }
    void both_ways() {
        up();
        down();
    }
    // Until some of it has arrived, but not all.
    void run_into_the_middle() {
        const std::size_t half = received + 100'000;
        REQUIRE(scene.until([&] { return received >= half; }, 60s));
        REQUIRE_FALSE(ledger.settled());
    }
    bool finish(Duration limit) {
        const bool done = scene.until([this] { return ledger.settled(); }, limit);
        ledger.check();
        CHECK(ends.empty());
        return done;
    }
    void change(const std::function<void(sim::LinkOptions&)>& change) { scene.link.change(change); }
    Path path(Carrier& carrier) { return carrier.association().paths().at(0); }

    std::size_t received = 0;
    Ledger ledger;
    std::vector<Error> ends;
    Scene scene;
    Carrier ours;
    Carrier theirs;

private:
    void read(Carrier& carrier, Side side) {
        carrier.ready([this, side](Carrier& self, InMessage message) {
            received += message.size();
            ledger.receive(side, self.id(), std::move(message));
            return true;
        });
    }
    void send(Carrier& carrier, Side side) {
        for (int i = 0; i < 10; ++i) ledger.send(carrier, side, 20'000, {});
    }
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("200 KB each way get through a loss of 30 % in bursts") {
        for (auto seed : seeds(5)) {
            CAPTURE(seed);
            Transfer transfer(seed, {.delay = 10ms});
            transfer.change([](sim::LinkOptions& options) {
                options.loss = 0.3;
                options.sticky = 0.6;
                options.burst = 8;
            });
            transfer.both_ways();
            // SCTP has no probes: what it sends after silence is one packet a second at most.
            CHECK(transfer.finish(stack_of_stories() == Stack::quic ? 60s : 180s));
            CHECK(transfer.scene.link.there.counters().lost > 20);
            CHECK(transfer.scene.link.back.counters().lost > 20);
        }
    }

    TEST_CASE("a path whose MTU drops from 1500 to 1280 in mid-flow goes on") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Transfer transfer(seed, {.delay = 10ms, .rate = 10'000'000});
            transfer.both_ways();
            transfer.run_into_the_middle();
            const bool grows = stack_of_stories() != Stack::tls;
            if (grows) CHECK(transfer.path(transfer.ours).mtu > 1252);
            transfer.change([](sim::LinkOptions& options) { options.mtu = 1280; });
            CHECK(transfer.finish(10s));
            if (grows) CHECK(transfer.scene.link.there.counters().too_big > 0);
        }
    }

    TEST_CASE("a NAT that forgets in mid-flow costs no connection and no message") {
        if (stack_of_stories() != Stack::quic) return;  // SCTP does not migrate
        struct Row {
            const char* name;
            bool up, down, new_address;
        };
        for (const Row& row : {Row{"up, a new port", true, false, false},
                               Row{"up, a new address", true, false, true},
                               Row{"down, a new port", false, true, false},
                               Row{"down, a new address", false, true, true},
                               Row{"both ways, a new port", true, true, false},
                               Row{"both ways, a new address", true, true, true}}) {
            for (auto seed : seeds(3)) {
                CAPTURE(row.name);
                CAPTURE(seed);
                Transfer transfer(seed, {.delay = 10ms, .rate = 5'000'000});
                if (row.up) transfer.up();
                if (row.down) transfer.down();
                transfer.run_into_the_middle();
                const Address before = transfer.path(transfer.theirs).remote;
                if (row.new_address)
                    transfer.scene.world.rebind(transfer.scene.near, "10.0.0.99");
                else
                    transfer.scene.world.rebind(transfer.scene.near);
                CHECK(transfer.finish(10s));
                const Address after = transfer.path(transfer.theirs).remote;
                CHECK(after != before);
                CHECK((after.ip_string() == "10.0.0.99") == row.new_address);
            }
        }
    }

    // The server's packets go where nobody is, until the client speaks from where it is now.
    TEST_CASE("a NAT that forgets while the client is silent costs a keep-alive interval") {
        if (stack_of_stories() != Stack::quic) return;  // SCTP does not migrate
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Transfer transfer(seed, {.delay = 10ms, .rate = 5'000'000});
            transfer.scene.world.run_for(1s);
            transfer.scene.world.rebind(transfer.scene.near);
            transfer.down();
            CHECK_FALSE(transfer.scene.until([&] { return transfer.ledger.settled(); }, 8s));
            CHECK(transfer.finish(3s));
        }
    }

    TEST_CASE("two seconds of darkness in mid-flow are over two seconds later") {
        for (auto seed : seeds(5)) {
            CAPTURE(seed);
            Transfer transfer(seed, {.delay = 10ms, .rate = 10'000'000});
            transfer.both_ways();
            transfer.run_into_the_middle();
            transfer.change([](sim::LinkOptions& options) { options.down = true; });
            transfer.scene.world.run_for(2s);
            REQUIRE_FALSE(transfer.ledger.settled());
            transfer.change([](sim::LinkOptions& options) { options.down = false; });
            // The probe timeout doubles: the next one is at most as far away as the last good one.
            CHECK(transfer.finish(3s));
        }
    }

    TEST_CASE("a network that doubles every packet delivers every message once") {
        Transfer transfer(seed(), {.delay = 10ms, .rate = 10'000'000, .duplicate = 1});
        transfer.both_ways();
        CHECK(transfer.finish(2s));
        const sim::Counters& counters = transfer.scene.link.there.counters();
        CHECK(counters.duplicated == counters.passed);
    }

    TEST_CASE("packets that are overtaken by 50 ms bring no disorder") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Transfer transfer(
                seed, {.delay = 10ms, .rate = 10'000'000, .reorder = 0.3, .reorder_by = 50ms});
            transfer.both_ways();
            CHECK(transfer.finish(10s));
            CHECK(transfer.scene.link.there.counters().reordered > 20);
        }
    }

    TEST_CASE("a twentieth of all packets with a wrong bit change no byte of a message") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Transfer transfer(seed, {.delay = 10ms, .rate = 10'000'000});
            transfer.change([](sim::LinkOptions& options) { options.corrupt = 0.05; });
            transfer.both_ways();
            CHECK(transfer.finish(10s));
            CHECK(transfer.scene.link.there.counters().corrupted > 3);
        }
    }

    TEST_CASE("1 Mbit/s with a queue of ten packets is used by half at least") {
        for (auto seed : seeds(3)) {
            CAPTURE(seed);
            Transfer transfer(seed, {.delay = 10ms, .rate = 1'000'000, .queue = 10});
            transfer.both_ways();
            // 200 KB take 1.6 s at the full rate.
            CHECK(transfer.finish(3200ms));
            CHECK(transfer.scene.link.there.counters().queue_full > 0);
        }
    }
}

}  // namespace post::test
