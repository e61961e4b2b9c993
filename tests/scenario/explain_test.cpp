// What Carriers say of themselves: what the stack in use gives them, and whose connection they
// have, and why.
#include <post/stream.hpp>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

bool activate(Scene& scene, Carrier& carrier) {
    auto active = carrier.activate();
    return scene.until([&] { return active.ready(); }) && active.get();
}

// That of the Carrier's alone.
std::vector<Reuse::Aspect> differs(const Carrier& carrier) {
    const Reuse reuse = carrier.reuse();
    CAPTURE(reuse.string());
    CHECK(reuse.how == Reuse::How::differs);
    return reuse.differs;
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a Carrier explains every feature, one by one, as data and in words") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        CHECK(carrier.features().size() == feature_count);
        CHECK(carrier.explain().find("not connected; what may be expected\n") != std::string::npos);
        CHECK(carrier.explain(Feature::antecedents).reason ==
              Policy{}.explain(Feature::antecedents)[0].support.reason);
        REQUIRE(activate(scene, carrier));
        const Association association = carrier.association();
        const std::string text = carrier.explain();
        CAPTURE(text);
        CHECK(text.starts_with("post://server.test:4433 over "));
        CHECK(text.find("\na new Association: there was none to post://server.test:4433\n") !=
              std::string::npos);
        CHECK(text.ends_with(to_string(carrier.features())));
        CHECK(association.explain().ends_with(to_string(association.features())));
        for (const auto& each : carrier.features()) {
            CAPTURE(to_string(each.first));
            CHECK(each.second.level == association.explain(each.first).level);
            CHECK(each.second.reason == carrier.explain(each.first).reason);
        }
        auto source = carrier.fork({.one_way = true});
        CHECK(source.explain(Feature::fork).level == Support::Level::unsupported);
        scene.client->end();
        CHECK(carrier.features().empty());
        CHECK(carrier.explain() == "the association is gone\n");
        CHECK(association.explain() == "the association is gone\n");
    }

    TEST_CASE("a Stream has no message boundaries") {
        Scene scene;
        scene.collect();
        auto carrier = scene.initiate();
        CHECK(carrier.explain(Feature::message_boundaries).level != Support::Level::unsupported);
        auto stream = carrier.as_stream();
        REQUIRE(stream);
        auto written = stream->write("bytes");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        const Carrier& there = scene.accepted[0];
        CHECK(there.explain(Feature::message_boundaries).level == Support::Level::unsupported);
        CHECK(there.explain(Feature::acked).level != Support::Level::unsupported);
    }

    TEST_CASE("who shares an Association, and who does not, says why") {
        Scene scene;
        scene.collect({.alpn = {"echo"}});
        Context& context = scene.near_context();
        auto base = scene.initiate();
        CHECK(base.reuse().how == Reuse::How::first);
        CHECK_FALSE(base.reuse().joins());
        auto early = scene.initiate();
        CHECK(early.reuse().joins());
        CHECK(early.reuse().age == Reuse::never_was);
        REQUIRE(activate(scene, base));
        scene.until([] { return false; }, 2s);
        auto joined = scene.initiate();
        CHECK(joined.reuse().joins());
        CHECK(joined.reuse().association == base.association().id());
        CHECK(joined.reuse().age >= Duration::zero());
        CHECK(joined.explain().find("\nshares the Association to post://server.test:4433, which "
                                    "has been up for ") != std::string::npos);
        CHECK(base.fork().reuse().how == Reuse::How::forked);
        base.send("hello");
        REQUIRE(scene.until([&] { return !scene.accepted.empty(); }));
        CHECK(scene.accepted[0].reuse().how == Reuse::How::accepted);

        using Aspect = Reuse::Aspect;
        CHECK(differs(context.initiate("post://server.test", {.policy = policy_of_stories(),
                                                              .trust = Trust::danger_anyone()})) ==
              std::vector{Aspect::trust});
        CHECK(differs(scene.initiate({.alpn = "echo"})) == std::vector{Aspect::alpn});
        CHECK(differs(scene.initiate({.local = {.identity = Identity::self_signed("me")}})) ==
              std::vector{Aspect::identity});
        CHECK(differs(scene.initiate({.bounds = {.idle_timeout = 20s}})) ==
              std::vector{Aspect::bounds});
        CHECK(differs(scene.initiate({.isolation = "another user"})) ==
              std::vector{Aspect::isolation});
        Policy policy = policy_of_stories();
        policy.preferences.features[Feature::text] = Preference::prefer;
        CHECK(differs(scene.initiate({.policy = policy})) == std::vector{Aspect::preferences});
        CHECK(context.initiate("post://10.0.0.2:4433", scene.pinned()).reuse().how ==
              Reuse::How::first);
        auto isolated = scene.initiate({.isolation = "another user"});
        CHECK(isolated.reuse().joins());
    }

    TEST_CASE("bug: Remotes that go other ways shared the Association of their name") {
        Scene scene;
        scene.collect();
        Context& context = scene.near_context();
        const Remote name("post://server.test:4433");
        auto base = context.initiate(name, scene.pinned());
        std::vector<Remote> others = {name.at(*Address::parse("10.0.0.2", 4433)),
                                      name.at(*Address::parse("10.0.0.9", 4433)),
                                      Remote::any({name, Remote("post://spare.test:4433")}),
                                      Remote::any({name, Remote("post://other.test:4433")})};
        others.push_back(others[2]);
        others.back().set_port(Scheme::tls, 8443);
        std::vector<Carrier> all;
        for (const Remote& other : others) {
            all.push_back(context.initiate(other, scene.pinned()));
            CAPTURE(other.string());
            CHECK(differs(all.back()) == std::vector{Reuse::Aspect::ways});
            for (std::size_t i = 0; i + 1 < all.size(); ++i)
                CHECK_FALSE(all[i].association() == all.back().association());
        }
        CHECK(context.initiate(others[2], scene.pinned()).association() == all[2].association());
    }

    TEST_CASE("a plan says whether it would come to a race at all") {
        Scene scene;
        scene.collect();
        const auto plan = [&](InitiateOptions options) {
            auto operation = scene.near_context().plan("post://server.test:4433",
                                                       scene.pinned(std::move(options)));
            REQUIRE(scene.until([&] { return operation.ready(); }));
            auto made = operation.get();
            REQUIRE(made);
            return *made;
        };
        const Plan first = plan({});
        CHECK(first.reuse.how == Reuse::How::first);
        CHECK(first.string().find("reuse") == std::string::npos);
        auto carrier = scene.initiate();
        REQUIRE(activate(scene, carrier));
        const Plan again = plan({});
        CHECK(again.reuse.joins());
        CHECK(again.string().find("reuse  shares the Association to post://server.test:4433") !=
              std::string::npos);
        const Plan other = plan({.isolation = "x"});
        CHECK(other.string().find("reuse  a new Association: the one to post://server.test:4433 "
                                  "has another isolation") != std::string::npos);
    }

    TEST_CASE("the system's preferences are those that the Context was given") {
        Preferences preferences;
        preferences.stacks[Stack::tls] = Preference::prohibit;
        ContextOptions options;
        options.preferences = preferences;
        Scene scene(seed(), {.delay = 10ms}, {}, std::move(options));
        CHECK(scene.near_context().preferences() == preferences);
        CHECK(scene.far_context().preferences() == Preferences{});
        const Policy policy{.stacks = {Stack::tls, Stack::quic}};
        CHECK(policy.explain(scene.near_context().preferences()).find("not tls: ") !=
              std::string::npos);
        auto operation = scene.near_context().plan("post://server.test:4433", {.policy = policy});
        REQUIRE(scene.until([&] { return operation.ready(); }));
        const auto plan = operation.get();
        REQUIRE(plan);
        for (const Plan::Candidate& each : plan->candidates) CHECK(each.stack == Stack::quic);
        CHECK_FALSE(plan->candidates.empty());
    }
}

}  // namespace post::test
