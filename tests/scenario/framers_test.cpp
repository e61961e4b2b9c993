// Framers over a raw QUIC stream: Bytes go both ways in frames, what the peer frames wrongly or
// leaves half done is an error and no short message, and what cannot be framed is never sent.
#include <post/framers.hpp>

#include "tests/scenario/scene.hpp"
#include "tests/unit/codec_support.hpp"
#include "tests/unit/framers_support.hpp"

namespace post::test {

namespace {

const std::vector<std::string> both{"one", "two"};

// A server with a protocol of its own, over a path that loses a little.
struct FramedScene : Scene {
    explicit FramedScene(std::uint64_t seed = test::seed(), double loss = 0)
        : Scene(seed, {.delay = 10ms, .loss = loss}) {
        collect({.alpn = {"frames"}});
        carrier = initiate({.alpn = "frames"});
    }
    // The other end, to which something was sent.
    Carrier& other() {
        REQUIRE(until([&] { return !accepted.empty(); }));
        return accepted[0];
    }
    Carrier carrier;
};

// What a Carrier of a framer's got, and how that ended.
struct Got {
    Texts values;
    Ends ends;
    template <class C> void from(TypedCarrier<C>& carrier) const {
        carrier.ready([*this](TypedCarrier<C>&, const auto& value) {
            if (value)
                values.push_back(text_of(*value));
            else
                ends.push_back(value.error());
            return true;
        });
    }
};

// Everything that is sent comes back from an echo with the same framer.
template <class C> void check_echo(const C& codec, std::uint64_t seed) {
    FramedScene scene(seed, 0.02);
    TypedCarrier<C> near(std::move(scene.carrier), codec);
    std::vector<std::string> wanted;
    for (int i = 0; i < 40; ++i) {
        wanted.push_back(as_value(codec, std::string(static_cast<std::size_t>(i * i * 7), 'x')));
        near.send(Bytes(wanted.back()));
    }
    TypedCarrier<C> far(std::move(scene.other()), codec);
    far.ready([](TypedCarrier<C>& from, const Result<Bytes>& value) {
        if (value) from.send(*value);
        return value.has_value();
    });
    const Got got;
    got.from(near);
    REQUIRE(scene.until([&] { return got.values.size() == wanted.size(); }));
    CHECK(got.values.all() == wanted);
    CHECK(got.ends.empty());
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("Bytes go both ways over a raw stream in any framing") {
        for (const auto seed : seeds(1)) {
            CAPTURE(seed);
            using Width = LengthPrefix::Width;
            for (const Width width : {Width::bits16, Width::bits32, Width::bits64, Width::varint})
                check_echo(LengthPrefix{.width = width}, seed);
            check_echo(Netstring{}, seed);
            check_echo(Delimiter("\r\n\r\n"), seed);
            check_echo(Delimiter("\n", Delimiter::Keep::yes), seed);
        }
    }

    TEST_CASE("raw framing gives the stream as it is") {
        FramedScene scene;
        TypedCarrier<Raw> near(std::move(scene.carrier));
        near.send("hello ");
        near.send("world");
        near->finish();
        TypedCarrier<Raw> far(std::move(scene.other()));
        const Got got;
        got.from(far);
        scene.world.run_for(1s);
        std::string all;
        for (const std::string& piece : got.values.all()) all += piece;
        CHECK(all == "hello world");
        CHECK(got.ends.empty());
    }

    TEST_CASE("a codec's values travel in netstrings, and a stream in frames") {
        FramedScene scene;
        SUBCASE("one value in each frame") {
            TypedCarrier<Framed<Netstring, LineCodec>> near(std::move(scene.carrier));
            near.send("one");
            near.send("two");
            TypedCarrier<Framed<Netstring, LineCodec>> far(std::move(scene.other()));
            const Got got;
            got.from(far);
            REQUIRE(scene.until([&] { return got.values.size() == 2; }));
            CHECK(got.values.all() == both);
        }
        SUBCASE("values wherever the frames end") {
            scene.carrier.send("2:on,6:e\ntwo\n,");
            TypedCarrier<Layered<Netstring, LineCodec>> far(std::move(scene.other()));
            const Got got;
            got.from(far);
            REQUIRE(scene.until([&] { return got.values.size() == 2; }));
            scene.carrier.send("3:thr,", {.final = true});
            REQUIRE(scene.until([&] { return got.ends.size() == 1; }));
            CHECK(got.values.all() == both);
            CHECK(got.ends[0] == Errc::malformed);
        }
    }

    TEST_CASE("a raw stream that is framed wrongly, too long or cut off is an error") {
        struct Row {
            const char* name;
            const char* bytes;
            Errc errc;
        };
        for (const Row& row : {
                 Row{"wrong", "3:one,3:two;3:six,", Errc::malformed},
                 Row{"too long", "3:one,999999999:", Errc::message_too_large},
                 Row{"cut off in its content", "3:one,3:tw", Errc::malformed},
                 Row{"cut off before its comma", "3:one,3:two", Errc::malformed},
                 Row{"cut off in its header", "3:one,3", Errc::malformed},
             }) {
            CAPTURE(row.name);
            FramedScene scene;
            scene.carrier.send(row.bytes);
            TypedCarrier<Netstring> far(std::move(scene.other()));
            far.largest_value(1000);
            const Got got;
            got.from(far);
            scene.carrier.finish();
            REQUIRE(scene.until([&] { return got.ends.size() == 1; }));
            CHECK(got.values.all() == std::vector<std::string>{"one"});
            CHECK(got.ends[0] == row.errc);
            CHECK(got.ends[0].detail.view().starts_with("at byte "));
        }
    }

    TEST_CASE("what cannot be framed is not sent, and every way of sending says so") {
        FramedScene scene;
        TypedCarrier<LengthPrefix> near(std::move(scene.carrier),
                                        {.width = LengthPrefix::Width::bits8});
        const std::string large(256, 'x');
        Fates fates;
        near.send("one", {}, fates.watch());
        auto with_fate = near.send(large, {.niceness = 3}, fates.watch());
        CHECK_FALSE(fates[1].failed);  // never from inside send
        REQUIRE(with_fate.ready());
        CHECK(with_fate.get().error() == Errc::message_too_large);
        auto plain = near.send(large);
        REQUIRE(plain.ready());
        CHECK(plain.get().error() == Errc::message_too_large);
        for (auto delivery : {near.deliver(large).get(), near.deliver(large, {}).get()}) {
            REQUIRE(delivery);
            CHECK(delivery->kind == Fate::Kind::failed);
            CHECK(delivery->error == Errc::message_too_large);
        }
        near.send("two", {}, fates.watch());
        TypedCarrier<LengthPrefix> far(std::move(scene.other()), near.codec());
        const Got got;
        got.from(far);
        REQUIRE(scene.until([&] { return got.values.size() == 2 && fates.all(); }));
        CHECK(got.values.all() == both);
        fates.check();
        CHECK(fates[1].error == Errc::message_too_large);
    }
}

}  // namespace post::test
