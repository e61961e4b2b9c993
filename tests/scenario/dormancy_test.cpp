// Dormancy: a connection is let go while nobody needs it, and both applications keep what they
// hold; the next use wakes it (paper II.D, Carrier::deactivate).
#include <malloc.h>

#include <algorithm>
#include <cstdlib>

#include <post/coro.hpp>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

constexpr Duration one_way = 10ms;

ListenOptions lasting() { return {.bounds = {.continuity = 30s}}; }
InitiateOptions lasting(std::vector<Stack> all) {
    return {.policy = {.stacks = std::move(all)}, .bounds = {.continuity = 30s}};
}

// A client and an echoing server whose Carriers may rest.
struct Rest : Scene {
    explicit Rest(std::vector<Stack> stacks = {Stack::quic}, ListenOptions options = lasting(),
                  std::uint64_t of = seed())
        : Scene(of) {
        serve(std::move(options));
        carrier = initiate(lasting(std::move(stacks)));
        gather(carrier, answers);
    }
    void serve(ListenOptions options = lasting()) {
        listener = listen(std::move(options));
        listener.accept([this](Carrier taken) {
            accepted.push_back(std::move(taken));
            gather_end(accepted.back(), far_ends);
            accepted.back().ready([this](Carrier& self, InMessage message) {
                const std::string text = message.content().string();
                heard.push_back(text);
                self.send("re: " + text, {}, fates.watch());
                return true;
            });
            return true;
        });
    }
    void talk(const std::string& text) {
        const std::size_t before = answers.size();
        carrier.send(text, {}, fates.watch());
        REQUIRE(until([&] { return answers.size() == before + 1 && fates.all(); }, 60s));
        CHECK(answers[before] == "re: " + text);
    }
    void rest() {
        auto resting = carrier.deactivate();
        REQUIRE(until([&] { return resting.ready(); }));
        REQUIRE(resting.get());
        CHECK(carrier.activity() == Activity::dormant);
        REQUIRE(until([&] { return accepted.front().activity() == Activity::dormant; }));
    }
    std::uint64_t packets() const { return link.there.counters().sent + link.back.counters().sent; }

    Carrier carrier;
    Texts answers;
    Texts heard;
    Ends far_ends;
    Fates fates;
};

// Its rows are not what is measured.
class NoStore final : public AssociationStore {
public:
    std::optional<KeptAssociation> find(const AssociationKey&) override { return std::nullopt; }
    bool change(const AssociationKey&, Function<void(KeptAssociation&)>) override { return false; }
    std::vector<Listed> list() override { return {}; }
    std::size_t forget(std::string_view) override { return 0; }
};

const std::vector<Stack> secured_stacks = {Stack::quic, Stack::tls, Stack::sctp_dtls};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("dormancy: a Carrier rests, is silent, and goes on with its next message") {
        for (const Stack stack : secured_stacks) {
            CAPTURE(std::string(to_string(stack)));
            Rest scene({stack});
            Log<Activity> near_log;
            Log<Activity> far_log;
            scene.carrier.on_activity([near_log](Activity now) { near_log.push_back(now); });
            CHECK(scene.carrier.activity() == Activity::fresh);
            scene.talk("one");
            scene.accepted.front().on_activity([far_log](Activity now) { far_log.push_back(now); });
            const CarrierId id = scene.carrier.id();
            for (int round = 0; round < 3; ++round) {
                scene.rest();
                CHECK_FALSE(scene.carrier.is_active());
                CHECK(scene.carrier.transients().empty());
                CHECK(scene.carrier.explain().find("dormant") != std::string::npos);
                scene.world.run_for(2s);
                const auto before = scene.packets();
                scene.world.run_for(10min);
                CHECK(scene.packets() == before);
                CHECK(scene.carrier.activity() == Activity::dormant);
                scene.talk("more " + std::to_string(round));
                CHECK(scene.carrier.association().resumed());
            }
            CHECK(scene.carrier.id() == id);
            CHECK(scene.accepted.size() == 1);
            CHECK(scene.far_ends.empty());
            using enum Activity;
            CHECK(near_log.all() == std::vector{active, dormant, connecting, active, dormant,
                                                connecting, active, dormant, connecting, active});
            CHECK(far_log.all() == std::vector{dormant, active, dormant, active, dormant, active});
            scene.fates.check();
            CHECK(scene.fates.acked() == static_cast<int>(scene.fates.size()));
            CHECK(scene.unhandled.empty());
            CHECK(scene.server_unhandled.empty());
        }
    }

    TEST_CASE("dormancy: activate() wakes, and can be awaited") {
        Rest scene({Stack::quic, Stack::tls});
        scene.talk("one");
        scene.rest();
        bool woken = false;
        auto wake = [](Carrier& carrier, bool& done) -> Task<> {
            const auto active = co_await carrier.activate();
            done = static_cast<bool>(active);
        };
        const auto task = wake(scene.carrier, woken);
        CHECK(scene.carrier.activity() == Activity::connecting);
        REQUIRE(scene.until([&] { return woken; }));
        CHECK(scene.carrier.is_active());
        REQUIRE(scene.until([&] { return scene.accepted.front().is_active(); }));
        // What was to rest stays, when somebody wants it.
        auto resting = scene.carrier.deactivate();
        CHECK(scene.carrier.activate().ready());
        REQUIRE(scene.until([&] { return resting.ready(); }));
        CHECK(resting.get().error() == Errc::cancelled);
        scene.world.run_for(2s);
        CHECK(scene.carrier.is_active());
        scene.talk("two");
    }

    TEST_CASE("dormancy: what is on its way arrives first") {
        for (const auto seed : seeds(10)) {
            CAPTURE(seed);
            Rest scene({Stack::quic}, lasting(), seed);
            scene.link.set({.delay = one_way, .loss = 0.05});
            scene.talk("hello");
            for (int i = 0; i < 20; ++i)
                scene.carrier.send(std::to_string(i) + std::string(3000, 'x'), {},
                                   scene.fates.watch());
            auto resting = scene.carrier.deactivate();
            scene.carrier.send("last", {}, scene.fates.watch());
            REQUIRE(scene.until([&] { return resting.ready(); }, 60s));
            CHECK(resting.get());
            CHECK(scene.heard.size() == 22);
            REQUIRE(scene.until([&] { return scene.heard[21] == "last"; }));
            // An answer may have crossed the end, and waits for us.
            scene.carrier.send("again", {}, scene.fates.watch());
            const auto whole = [&] { return scene.answers.size() == 23 && scene.fates.all(); };
            REQUIRE(scene.until(whole, 60s));
            scene.fates.check();
            CHECK(scene.answers[22] == "re: again");
            CHECK(scene.fates.acked() == static_cast<int>(scene.fates.size()));
        }
    }

    TEST_CASE("dormancy: silence for the idle timeout lets go, where both ends allow it") {
        for (const Stack stack : secured_stacks) {
            CAPTURE(std::string(to_string(stack)));
            Scene scene;
            const Bounds quiet = {.idle_timeout = 5s, .keep_alive = Duration{}, .continuity = 30s};
            scene.collect({.bounds = quiet});
            Carrier carrier = scene.initiate({.policy = {.stacks = {stack}}, .bounds = quiet});
            Fates fates;
            carrier.send("one", {}, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }));
            REQUIRE(scene.until(
                [&] {
                    return carrier.activity() == Activity::dormant &&
                           scene.accepted.front().activity() == Activity::dormant;
                },
                20s));
            scene.world.run_for(5min);
            carrier.send("two", {}, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }));
            CHECK(fates.acked() == 2);
            CHECK(scene.accepted.size() == 1);
            CHECK(scene.accepted.front().receive().get()->view() == "one");
            CHECK(scene.accepted.front().receive().get()->view() == "two");
            CHECK(scene.unhandled.empty());
            CHECK(scene.server_unhandled.empty());
        }
    }

    TEST_CASE("dormancy: all Carriers keep their places, and what nobody took yet") {
        Rest scene;
        scene.talk("one");
        Carrier fork = scene.carrier.fork();
        Fates fates;
        fork.send("fork", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all() && scene.accepted.size() == 2; }));
        // The server's own.
        Carrier back = scene.accepted.front().fork();
        Carrier taken;
        scene.carrier.accept([&](Carrier accepted) {
            taken = std::move(accepted);
            return false;
        });
        back.send("back", {.niceness = 3}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all() && taken; }));
        scene.rest();
        scene.world.run_for(1min);
        CHECK(taken.activity() == Activity::dormant);
        auto untaken = taken.receive();
        REQUIRE(scene.until([&] { return untaken.ready(); }));
        CHECK(untaken.get()->view() == "back");
        taken.send("thanks", {.niceness = 2}, fates.watch());
        fork.send("fork again", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        back.send("welcome", {.niceness = 3}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        fates.check();
        CHECK(fates.acked() == 5);
        CHECK(scene.accepted.size() == 2);
        CHECK(back.receive().get()->view() == "thanks");
        CHECK(taken.receive().get()->view() == "welcome");
    }

    TEST_CASE("dormancy: what the listener's end sends waits for the client, or its lifetime") {
        Rest scene;
        scene.talk("one");
        scene.rest();
        Carrier& far = scene.accepted.front();
        Fates fates;
        far.send("late", {}, fates.watch());
        far.send("too late", {.lifetime = 3s}, fates.watch());
        auto active = far.activate();
        scene.world.run_for(1min);
        CHECK(far.activity() == Activity::dormant);
        CHECK_FALSE(active.ready());
        CHECK(fates.expired() == 1);
        CHECK(scene.carrier.activity() == Activity::dormant);
        scene.carrier.activate();
        REQUIRE(scene.until([&] { return fates.all() && active.ready(); }));
        CHECK(active.get());
        CHECK(fates.acked() == 1);
        CHECK(scene.answers.all().back() == "late");
    }

    TEST_CASE("dormancy: a listener keeps it for so long, and then the client begins anew") {
        ListenOptions brief = lasting();
        brief.bounds.dormant_for = 1min;
        Rest scene({Stack::quic}, brief);
        scene.talk("one");
        scene.rest();
        scene.world.run_for(59s);
        CHECK(scene.far_ends.empty());
        scene.world.run_for(2s);
        REQUIRE(scene.far_ends.size() == 1);
        CHECK(scene.far_ends[0] == Errc::connection_lost);
        CHECK(scene.far_ends[0].cause == make_error_code(Errc::dormant));
        CHECK(scene.server_unhandled.empty());
        scene.talk("two");
        CHECK(scene.accepted.size() == 2);
    }

    TEST_CASE("dormancy: a server that was started anew gets a Carrier anew") {
        Rest scene({Stack::quic, Stack::tls});
        scene.talk("one");
        scene.rest();
        scene.accepted.clear();
        scene.listener = {};
        scene.server = std::make_unique<sim::Node>(scene.world, scene.far);
        Scene::hear(**scene.server, scene.server_unhandled);
        scene.serve();
        scene.talk("two");
        CHECK(scene.accepted.size() == 1);
        CHECK(scene.unhandled.empty());
    }

    TEST_CASE("dormancy: where nobody answers, waking fails with what the race found") {
        Rest scene({Stack::quic, Stack::tls});
        scene.talk("one");
        Ends ends;
        gather_end(scene.carrier, ends);
        scene.rest();
        scene.world.run_for(20min);
        scene.link.set({.delay = one_way, .down = true});
        Fates fates;
        scene.carrier.send("lost", {}, fates.watch());
        auto active = scene.carrier.activate();
        scene.world.run_for(29s);
        CHECK(ends.empty());  // it may still come
        REQUIRE(scene.until([&] { return ends.size() == 1; }, 15s));
        CHECK(fates.failed() == 1);
        CHECK_FALSE(fates[0].maybe_delivered);
        CHECK(active.get().error() == Errc::handshake_timeout);
        CHECK(ends[0].detail.string().find("quic") != std::string::npos);
    }

    TEST_CASE("dormancy: both ends have to want it, and the answer says who does not") {
        struct Row {
            const char* name;
            Bounds near;
            Bounds far;
            const char* says;
        };
        const std::vector<Row> rows = {
            {"not here", {.continuity = {}}, {}, "at this end"},
            {"not there", {}, {.continuity = {}}, "at the peer"},
            {"it keeps none", {}, {.dormant_for = {}}, "at the peer"},
        };
        for (const Row& row : rows) {
            CAPTURE(row.name);
            Scene scene;
            scene.collect({.bounds = row.far});
            Carrier carrier = scene.initiate(
                {.policy = {.stacks = {Stack::quic}}, .bounds = row.near});
            Fates fates;
            carrier.send("one", {}, fates.watch());
            auto early = carrier.deactivate();  // nobody knows yet
            REQUIRE(scene.until([&] { return fates.all() && early.ready(); }));
            const auto refused = early.get();
            CHECK(refused.error() == Errc::unsupported);
            CHECK(refused.error().detail.string().find(row.says) != std::string::npos);
            CHECK(carrier.deactivate().get().error() == Errc::unsupported);
            carrier.send("two", {}, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }));
            CHECK(fates.acked() == 2);
        }
    }

    TEST_CASE("dormancy: a listener's end may let go, too") {
        Rest scene;
        scene.talk("one");
        auto resting = scene.accepted.front().deactivate();
        REQUIRE(scene.until([&] { return resting.ready(); }));
        CHECK(resting.get());
        REQUIRE(scene.until([&] { return scene.carrier.activity() == Activity::dormant; }));
        scene.world.run_for(1min);
        scene.talk("two");
        CHECK(scene.accepted.size() == 1);
    }

    TEST_CASE("dormancy: closing wakes, so that the peer hears of it; aborting, too") {
        for (const bool aborts : {false, true}) {
            CAPTURE(aborts);
            Rest scene;
            scene.talk("one");
            scene.rest();
            scene.world.run_for(1min);
            if (aborts)
                scene.carrier.abort(AbortCode{7});
            else
                scene.carrier.close();
            REQUIRE(scene.until([&] { return scene.far_ends.size() == 1; }, 20s));
            CHECK(scene.far_ends[0] == (aborts ? Errc::carrier_reset : Errc::carrier_closed));
            scene.world.run_for(1min);
            CHECK(scene.unhandled.empty());
        }
    }

    TEST_CASE("dormancy: who initiates again joins what rests, and wakes it") {
        Rest scene;
        scene.talk("one");
        scene.rest();
        scene.world.run_for(1min);
        Carrier other = scene.initiate(lasting({Stack::quic}));
        CHECK(other.reuse().joins());
        CHECK(other.association() == scene.carrier.association());
        Fates fates;
        other.send("two", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates.acked() == 1);
        CHECK(scene.accepted.size() == 2);
        CHECK(scene.carrier.is_active());
    }

    TEST_CASE("dormancy: Contexts end while something rests") {
        for (const bool far : {false, true}) {
            CAPTURE(far);
            Rest scene;
            scene.talk("one");
            Ends ends;
            gather_end(scene.carrier, ends);
            scene.rest();
            scene.world.run_for(1min);
            if (far) {
                scene.server.reset();
            } else {
                CHECK(scene.near_context().shutdown(1s));
                CHECK(ends.size() == 1);
            }
        }
    }

    TEST_CASE("dormancy: an Association that rests takes little memory, at both ends") {
        const char* const asked = std::getenv("POST_DORMANT");
        const std::size_t many = asked ? std::strtoul(asked, nullptr, 10) : 1000;
        // Twice as many fill what is kept of the last 1024 races and connections.
        constexpr std::size_t few = 520;
        Scene scene(seed(), {.delay = 5ms, .rate = 1'000'000'000, .queue = 10'000}, {},
                    {.store = std::make_shared<NoStore>()});
        for (std::size_t i = 0; i < 2 * few + many; ++i)
            scene.world.name("name" + std::to_string(i) + ".example", {"10.0.0.2"});
        scene.listener = scene.listen(lasting());
        scene.listener.accept([&](Carrier carrier) {
            carrier.ready([](Carrier&, const InMessage&) { return true; });
            scene.accepted.push_back(std::move(carrier));
            return true;
        });
        std::vector<Carrier> carriers;
        carriers.reserve(2 * few + many);
        scene.accepted.reserve(2 * few + many);
        // Some at a time: each says something, and rests.
        const auto visit = [&](std::size_t count) {
            for (const std::size_t end = carriers.size() + count; carriers.size() < end;) {
                const std::size_t first = carriers.size();
                Fates fates;
                while (carriers.size() < std::min(end, first + 100)) {
                    const std::string url = "post://name" + std::to_string(carriers.size()) +
                                            ".example:4433";
                    carriers.push_back(
                        scene.near_context().initiate(url, scene.pinned(lasting({Stack::quic}))));
                    carriers.back().send("hello", {}, fates.watch());
                }
                REQUIRE(scene.until([&] { return fates.all(); }));
                for (std::size_t i = first; i < carriers.size(); ++i) carriers[i].deactivate();
                REQUIRE(scene.until([&] {
                    return std::all_of(
                        carriers.begin() + static_cast<std::ptrdiff_t>(first), carriers.end(),
                        [](const Carrier& one) { return one.activity() == Activity::dormant; });
                }));
            }
            scene.world.run_for(5min);
        };
        const auto heap = [] { return static_cast<double>(mallinfo2().uordblks); };
        visit(few);
        visit(few);
        const double before = heap();
        visit(many);
        const double each = (heap() - before) / static_cast<double>(many);
        MESSAGE("bytes of both ends: " << each);
        CHECK(each < 2 * 1024);
        // And all of them are there, be it that more come at once than a listener proves at once.
        for (std::size_t first = 0; first < carriers.size(); first += 2500) {
            Fates fates;
            for (std::size_t i = first; i < std::min(carriers.size(), first + 2500); ++i)
                carriers[i].send("again", {}, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }, 60s));
            CHECK(fates.acked() == static_cast<int>(fates.size()));
            for (std::size_t i = first; i < std::min(carriers.size(), first + 2500); ++i)
                carriers[i].deactivate();
            scene.world.run_for(10s);
        }
        CHECK(scene.accepted.size() == carriers.size());
    }
}

}  // namespace post::test
