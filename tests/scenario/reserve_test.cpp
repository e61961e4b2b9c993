// The last of a Carrier's window: long messages of a niceness above 0 leave it to what is more
// urgent, and nothing stands still for it.
#include "tests/scenario/scene.hpp"

namespace post::test {

TEST_SUITE("scenario") {
    TEST_CASE("long messages that nobody takes leave room for what is more urgent") {
        Scene scene;
        scene.collect();
        Carrier carrier = scene.initiate();
        Fates bulk;
        Fates urgent;
        // The first has all the window it needs, since nothing is there; the second has not.
        for (int i = 0; i < 2; ++i)
            carrier.send(std::string(400'000, 'b'), {.niceness = 1}, bulk.watch());
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1 && bulk.acked() == 1; }));
        scene.world.run_for(2s);
        CHECK(bulk.acked() == 1);
        for (int i = 0; i < 100; ++i) carrier.send(std::string(64, 'u'), {}, urgent.watch());
        CHECK(scene.until([&] { return urgent.all(); }, 2s));
        CHECK(urgent.acked() == 100);
        CHECK_FALSE(bulk.all());
        std::size_t taken = 0;
        scene.accepted[0].ready([&](Carrier&, const InMessage& message) {
            taken += message.size();
            return true;
        });
        CHECK(scene.until([&] { return bulk.all(); }));
        CHECK(bulk.acked() == 2);
        CHECK(taken == 800'000 + 6400);
    }

    TEST_CASE("a message that is taken in parts leaves room for what is more urgent") {
        Scene scene;
        scene.collect();
        Carrier carrier = scene.initiate();
        carrier.send(std::string(1 << 20, 'b'), {.niceness = 3});
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        std::size_t parts = 0;
        std::size_t whole = 0;
        // It takes one part, and then for a while nothing.
        scene.accepted[0].ready(ReceiveParts{.minimum = 1, .maximum = 1000},
                                [&](Carrier&, const InMessage& message) {
                                    parts += message.size();
                                    return false;
                                });
        REQUIRE(scene.until([&] { return parts > 0; }));
        scene.world.run_for(2s);
        const std::size_t before = parts;
        Fates urgent;
        for (int i = 0; i < 20; ++i) carrier.send(std::string(64, 'u'), {}, urgent.watch());
        CHECK(scene.until([&] { return urgent.all(); }, 2s));
        CHECK(parts == before);
        scene.accepted[0].ready(ReceiveParts{}, [&](Carrier&, const InMessage& message) {
            (message.total() == 64 ? whole : parts) += message.size();
            return true;
        });
        CHECK(scene.until([&] { return parts == 1 << 20 && whole == 20 * 64; }));
    }

    TEST_CASE("long messages begin, and end, wherever in a window they begin") {
        Scene scene;
        std::size_t received = 0;
        scene.listener = scene.listen();
        scene.listener.accept([&](Carrier carrier) {
            carrier.ready([&](Carrier&, const InMessage& message) {
                received += message.size();
                return true;
            });
            return true;
        });
        Carrier first = scene.initiate();
        first.send("x");
        std::size_t sent = 1;
        std::vector<Carrier> forks;
        for (const std::size_t behind : {0, 1, 7000, 8192, 12'000, 16'000, 16'384, 17'000, 24'000,
                                         31'000, 32'768, 33'000, 50'000, 64'000}) {
            for (const std::size_t size : {16'385, 20'000, 32'768, 40'000, 100'000}) {
                CAPTURE(behind);
                CAPTURE(size);
                forks.push_back(first.fork());
                Carrier& carrier = forks.back();
                for (std::size_t left = behind; left > 0; left -= std::min<std::size_t>(left, 900))
                    carrier.send(std::string(std::min<std::size_t>(left, 900), 's'),
                                 {.niceness = 1});
                sent += behind;
                REQUIRE(scene.until([&] { return received == sent; }));
                for (const std::uint32_t niceness : {1u, 2u, 70u})
                    carrier.send(std::string(size, 'b'), {.niceness = Niceness(niceness)});
                sent += 3 * size;
                REQUIRE(scene.until([&] { return received == sent; }));
            }
        }
    }
}

}  // namespace post::test
