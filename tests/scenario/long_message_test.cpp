// Messages larger than memory: made while they are sent, received in parts; what breaks off, what
// overtakes, and who refuses a message for its length.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

char byte_at(std::uint64_t offset) { return static_cast<char>('a' + offset * 7 % 26); }

std::string bytes_from(std::uint64_t offset, std::size_t size) {
    std::string text(size, ' ');
    for (std::size_t i = 0; i < size; ++i) text[i] = byte_at(offset + i);
    return text;
}

// Makes byte_at, a little less than is asked for each time.
Generated pattern(std::uint64_t size, std::uint64_t* made = nullptr) {
    return {size, [made](std::uint64_t offset, std::size_t most) -> Result<Bytes> {
                const std::size_t part = most > 1000 ? most - 1000 : most;
                if (made) *made = offset + part;
                return Bytes(bytes_from(offset, part));
            }};
}

// What came in parts: of each message so much, in order and right.
struct Collected {
    std::uint64_t size = 0;
    std::size_t parts = 0;
    std::size_t largest = 0;
    bool right = true;
    bool last = false;
    bool cut = false;

    void add(const InMessage& part) {
        right = right && part.offset() == size && !last;
        part.segments([&](const Bytes& segment) {
            for (const std::byte one : segment.span())
                right = right && std::to_integer<char>(one) == byte_at(size++);
        });
        ++parts;
        largest = std::max(largest, part.size());
        last = part.last();
        cut = part.cut();
    }
};

struct Parted : Scene {
    explicit Parted(std::uint64_t seed = test::seed(),
                    const sim::LinkOptions& both = {.delay = 5ms}, ReceiveParts size = {})
        : Scene(seed, both) {
        listener = listen();
        listener.accept([this, size](Carrier accepted_one) {
            accepted_one.ready(size, [this](Carrier&, InMessage part) {
                if (part.niceness() == Niceness{0})
                    urgent.push_back(collected.size);
                else
                    collected.add(part);
                return true;
            });
            return true;
        });
        carrier = initiate();
    }
    Carrier carrier;
    Collected collected;
    std::vector<std::uint64_t> urgent;  // how much of the long one was here
    Fates fates;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a message is made while it is sent, and received in parts, over any path") {
        for (auto seed : seeds(10)) {
            CAPTURE(seed);
            Parted scene(seed, {.delay = 5ms, .rate = 50'000'000, .loss = 0.02, .burst = 2},
                         {.minimum = 1, .maximum = 100'000});
            constexpr std::uint64_t size = 20'000'000;
            std::uint64_t made = 0;
            std::vector<std::uint64_t> progress;
            Generated content = pattern(size, &made);
            content.progress = [&](std::uint64_t bytes) { progress.push_back(bytes); };
            std::uint64_t most_ahead = 0;
            scene.carrier.send(std::move(content), {.niceness = 1}, scene.fates.watch());
            REQUIRE(scene.until(
                [&] {
                    most_ahead = std::max(most_ahead, made - scene.collected.size);
                    return scene.fates.all();
                },
                60s));
            scene.fates.check();
            CHECK(scene.fates.acked() == 1);
            CHECK(scene.collected.right);
            CHECK(scene.collected.last);
            CHECK_FALSE(scene.collected.cut);
            CHECK(scene.collected.size == size);
            CHECK(scene.collected.largest <= 100'000);
            // In memory: what is made ahead, in flight, or in the receiver's window.
            CHECK(most_ahead < 12'000'000);
            CHECK(progress.size() > 20);
            CHECK(progress.back() == size);
            CHECK(std::is_sorted(progress.begin(), progress.end()));
        }
    }

    TEST_CASE("nothing is made ahead of a receiver that takes nothing") {
        Scene scene;
        scene.collect();
        Carrier carrier = scene.initiate();
        std::uint64_t made = 0;
        Fates fates;
        carrier.send(pattern(100'000'000, &made), {.niceness = 1}, fates.watch());
        carrier.send("urgent");
        CHECK_FALSE(scene.until([&] { return fates.all(); }, 20s));
        CHECK(made < 2'000'000);
        REQUIRE(scene.accepted.size() == 1);
        auto urgent = scene.accepted[0].receive(ReceiveParts{});
        REQUIRE(scene.until([&] { return urgent.ready(); }));
        CHECK(urgent.get()->view() == "urgent");
        scene.accepted[0].abort();
        REQUIRE(scene.until([&] { return fates.all(); }));
        fates.check();
    }

    TEST_CASE("an urgent message overtakes the parts of a long one of its Carrier") {
        Parted scene(test::seed(), {.delay = 5ms, .rate = 10'000'000});
        scene.carrier.send(pattern(10'000'000), {.niceness = 1}, scene.fates.watch());
        REQUIRE(scene.until([&] { return scene.collected.size > 1'000'000; }));
        scene.carrier.send("urgent", {}, scene.fates.watch());
        REQUIRE(scene.until([&] { return !scene.urgent.empty(); }, 1s));
        CHECK(scene.urgent[0] < 3'000'000);
        REQUIRE(scene.until([&] { return scene.fates.all(); }, 60s));
        CHECK(scene.fates.acked() == 2);
        CHECK(scene.collected.right);
        CHECK(scene.collected.size == 10'000'000);
    }

    TEST_CASE("what cannot be made ends the message, and the receiver hears of it") {
        Parted scene;
        std::string why;
        std::string thrown;
        Generated content = pattern(5'000'000);
        SUBCASE("an error") {
            content.produce = [](std::uint64_t offset, std::size_t most) -> Result<Bytes> {
                if (offset > 3'000'000) return Error(Errc::cancelled, {}, Stage::none, "disk gone");
                return Bytes(bytes_from(offset, most));
            };
            why = "disk gone";
        }
        SUBCASE("no bytes") {
            content.produce = [](std::uint64_t offset, std::size_t most) -> Result<Bytes> {
                if (offset > 3'000'000) return Bytes{};
                return Bytes(bytes_from(offset, most));
            };
            why = "gave 0 bytes";
        }
        SUBCASE("too many") {
            content.produce = [](std::uint64_t offset, std::size_t most) -> Result<Bytes> {
                return Bytes(bytes_from(offset, offset > 3'000'000 ? most + 1 : most));
            };
            why = "were asked for";
        }
        SUBCASE("an exception") {
            content.produce = [](std::uint64_t offset, std::size_t most) -> Result<Bytes> {
                if (offset > 3'000'000) throw std::runtime_error("out of ideas");
                return Bytes(bytes_from(offset, most));
            };
            why = "threw";
            thrown = "out of ideas";
        }
        scene.carrier.send(std::move(content), {.niceness = 1}, scene.fates.watch());
        scene.carrier.send(pattern(1000), {.niceness = 0}, scene.fates.watch());
        std::string caught;
        for (int i = 0; i < 3; ++i) {
            try {
                if (scene.until([&] { return scene.fates.all() && scene.collected.cut; })) break;
            } catch (const std::runtime_error& error) {
                caught = error.what();
            }
        }
        CHECK(caught == thrown);
        scene.fates.check();
        CHECK(scene.fates.failed() == 1);
        CHECK(scene.fates.acked() == 1);
        CHECK(scene.fates[0].error.detail.string().find(why) != std::string::npos);
        CHECK(scene.collected.right);
        CHECK(scene.collected.cut);
        CHECK(scene.collected.size >= 2'000'000);
        CHECK(scene.collected.size < 5'000'000);
        CHECK(scene.urgent.size() == 1);
    }

    TEST_CASE("a long message that expires half way is cut for whoever saw a part of it") {
        Parted scene(test::seed(), {.delay = 5ms, .rate = 1'000'000});
        scene.carrier.send(pattern(50'000'000), {.niceness = 1, .lifetime = 1s},
                           scene.fates.watch());
        REQUIRE(scene.until([&] { return scene.collected.cut; }));
        scene.fates.check();
        CHECK(scene.fates.expired() == 1);
        CHECK(scene.collected.size > 50'000);
        CHECK(scene.unhandled.empty());
    }

    TEST_CASE("a message that is made may destroy its Carrier, its Context and what makes it") {
        Scene scene;
        scene.collect();
        Fates fates;
        Carrier carrier = scene.initiate();
        auto owned = std::make_shared<int>(1);
        const std::weak_ptr<int> watched = owned;
        SUBCASE("the Carrier is aborted by it") {
            carrier.send(Generated{1000,
                                   [&carrier, owned](std::uint64_t, std::size_t most) {
                                       carrier.abort();
                                       return Result<Bytes>(Bytes(std::string(most, 'x')));
                                   }},
                         {}, fates.watch());
            owned.reset();
            REQUIRE(scene.until([&] { return fates.all(); }));
        }
        SUBCASE("the Context goes") {
            carrier.send(Generated{1'000'000'000,
                                   [owned](std::uint64_t, std::size_t most) {
                                       return Result<Bytes>(Bytes(std::string(most, 'x')));
                                   }},
                         {.niceness = 1}, fates.watch());
            owned.reset();
            scene.until([] { return false; }, 100ms);
            CHECK_FALSE(watched.expired());
            scene.client.reset();
            REQUIRE(fates.all());
        }
        fates.check();
        CHECK(fates.failed() == 1);
        CHECK(watched.expired());
    }

    TEST_CASE("a Carrier's own limit refuses a message at its header, and names itself") {
        Scene scene;
        scene.listener = scene.listen();
        const Texts texts;
        const Ends ends;
        scene.listener.accept([&](Carrier carrier) {
            carrier.largest_message(1000);
            carrier.on_closed([ends](const Error& error) { ends.push_back(error); });
            gather(carrier, texts);
            return true;
        });
        Fates fates;
        Carrier carrier = scene.initiate();
        carrier.send(std::string(1000, 'x'), {}, fates.watch());
        // What came in one turn with the Carrier itself had no limit yet.
        REQUIRE(scene.until([&] { return texts.size() == 1; }));
        carrier.send(std::string(1001, 'y'), {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all() && !ends.empty(); }));
        fates.check();
        CHECK(texts.size() == 1);
        CHECK(fates[1].failed == 1);
        CHECK(fates[1].error.code == Errc::message_too_large);
        CHECK(ends[0].code == Errc::message_too_large);
        CHECK(ends[0].detail.string().find("1001 bytes is announced, 1000 are allowed") !=
              std::string::npos);
    }

    TEST_CASE("a message too long to be taken whole is refused when whole ones are asked for") {
        Scene scene;
        scene.collect();
        Fates fates;
        Carrier carrier = scene.initiate();
        carrier.send(pattern(20'000'000), {}, fates.watch());
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.until([] { return false; }, 1s);
        CHECK_FALSE(fates.all());
        auto message = scene.accepted[0].receive();
        REQUIRE(scene.until([&] { return fates.all() && message.ready(); }));
        CHECK(message.get().error() == Errc::message_too_large);
        CHECK(fates[0].error.code == Errc::message_too_large);
    }

    TEST_CASE("parts and whole messages may be asked for in turn") {
        Scene scene;
        scene.collect();
        Carrier carrier = scene.initiate();
        carrier.send(std::string(100'000, 'x'));
        carrier.send("whole");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto part = scene.accepted[0].receive({.minimum = 1000, .maximum = 1000});
        REQUIRE(scene.until([&] { return part.ready(); }));
        CHECK(part.get()->size() == 1000);
        auto rest = scene.accepted[0].receive();
        REQUIRE(scene.until([&] { return rest.ready(); }));
        const auto got = rest.get();
        CHECK(got->offset() == 1000);
        CHECK(got->size() == 99'000);
        CHECK(got->total() == 100'000);
        CHECK(got->last());
        auto whole = scene.accepted[0].receive();
        REQUIRE(scene.until([&] { return whole.ready(); }));
        CHECK(whole.get()->view() == "whole");
        auto wrong = scene.accepted[0].receive({.minimum = 0, .maximum = 10});
        REQUIRE(wrong.ready());
        CHECK(wrong.get().error() == Errc::invalid_argument);
        CHECK_THROWS_AS(scene.accepted[0].ready({.minimum = 11, .maximum = 10}, nullptr), Failure);
    }

    TEST_CASE("messages without options have what their Carrier has by default") {
        Scene scene;
        scene.collect();
        Carrier carrier = scene.initiate();
        carrier.defaults({.niceness = 7, .idempotent = true, .properties = {{"k", "v"}}});
        carrier.send("by default");
        carrier.send("of its own", {.niceness = 2});
        auto options = carrier.defaults();
        options.niceness = 9;
        carrier.send("changed", options);
        std::vector<InMessage> got;
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        scene.accepted[0].ready([&](Carrier&, InMessage message) {
            got.push_back(std::move(message));
            return true;
        });
        REQUIRE(scene.until([&] { return got.size() == 3; }));
        std::sort(got.begin(), got.end(), [](const InMessage& a, const InMessage& b) {
            return a.niceness() < b.niceness();
        });
        CHECK(got[0].niceness() == Niceness{2});
        CHECK_FALSE(got[0].idempotent());
        CHECK(got[1].niceness() == Niceness{7});
        CHECK(got[1].idempotent());
        CHECK(*got[1].properties().find("k") == "v");
        CHECK(got[2].niceness() == Niceness{9});
        CHECK(got[2].idempotent());
    }
}

}  // namespace post::test
