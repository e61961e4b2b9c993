// Context::resolve: a Remote becomes more specific ones, and nothing is sent.
#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// What resolve() answers, after at most 20 s.
Result<std::vector<Remote>> resolve(Scene& scene, Remote remote) {
    auto operation = scene.near_context().resolve(std::move(remote));
    CHECK_FALSE(operation.ready());
    REQUIRE(scene.until([&] { return operation.ready(); }, 20s));
    return operation.get();
}

Answer services(std::vector<ServiceRecord> records) {
    Answer answer{.kind = RecordKind::svcb};
    answer.services = std::move(records);
    return answer;
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a name is resolved to Remotes with addresses, and one of them is reached") {
        Scene scene;
        scene.collect();
        scene.world.name("far.test", {"10.0.0.2"});
        scene.world.name("spare.test", {"10.0.0.9"});
        scene.world.names().set_records(
            "_1._post.server.test",
            services({{.priority = 2, .target = "spare.test", .port = 9},
                      {.priority = 1, .target = "far.test", .port = 4433}}),
            {});
        auto found = resolve(scene, "post://server.test:1");
        REQUIRE(found);
        REQUIRE(found->size() == 3);
        CHECK((*found)[0].address() == *Address::parse("10.0.0.2", 4433));
        CHECK((*found)[1].address() == *Address::parse("10.0.0.9", 9));
        CHECK((*found)[2].address().port == 1);
        for (const Remote& remote : *found) {
            CHECK(remote.complete());
            CHECK(remote.server_name() == "server.test");
        }
        auto carrier = scene.near_context().initiate((*found)[0], scene.pinned());
        auto active = carrier.activate();
        REQUIRE(scene.until([&] { return active.ready(); }));
        CHECK(active.get());
    }

    TEST_CASE("what cannot be resolved says what was asked") {
        Scene scene;
        scene.world.name(
            "silent.test", {},
            {.fate_v4 = sim::NameFate::silent, .fate_v6 = sim::NameFate::server_failure});
        for (const char* url : {"post://nobody.test", "post://silent.test"}) {
            CAPTURE(url);
            const auto none = resolve(scene, url);
            REQUIRE_FALSE(none);
            CHECK(none.error() == Errc::resolve_failed);
            CHECK(none.error().stage == Stage::resolve);
            CHECK(none.error().detail.view().find(url) != std::string_view::npos);
        }
    }

    TEST_CASE("a service has its port from SRV, else from the system, and a zone its interface") {
        Scene scene;
        scene.world.name("a.test", {"10.0.0.2"});
        scene.world.names().set_service("echo", 7);
        scene.world.names().set_interface("eth0", 4);
        const auto listed = resolve(scene, Remote::service("a.test", "echo", Scheme::udp));
        REQUIRE(listed);
        CHECK(listed->at(0).address() == *Address::parse("10.0.0.2", 7));
        Answer answer{.kind = RecordKind::srv};
        answer.servers = {{1, 1, 1007, "a.test"}};
        scene.world.names().set_records("_echo._udp.a.test", answer, {});
        const auto found = resolve(scene, Remote::service("a.test", "echo", Scheme::udp));
        REQUIRE(found);
        CHECK(found->at(0).port() == 1007);
        CHECK_FALSE(resolve(scene, Remote::service("a.test", "nothing", Scheme::udp)));
        const auto zoned = resolve(scene, "post://[fe80::1%25eth0]");
        REQUIRE(zoned);
        CHECK(zoned->at(0).address().scope == 4);
        CHECK_FALSE(resolve(scene, "post://[fe80::1%25eth9]"));
    }

    TEST_CASE("a resolution has a limit, may be forgotten, and ends with its Context") {
        Scene scene;
        scene.world.name("slow.test", {"10.0.0.2"}, {.delay_v4 = 2s, .delay_v6 = 2s});
        std::vector<Operation<std::vector<Remote>>> all;
        for (int i = 0; i < 65; ++i)
            all.push_back(scene.near_context().resolve("post://slow.test"));
        REQUIRE(all.back().ready());
        CHECK(all.back().get().error() == Errc::too_many);
        all.erase(all.begin() + 1, all.end());
        REQUIRE(scene.until([&] { return all[0].ready(); }));
        CHECK(all[0].get());
        auto late = scene.near_context().resolve("post://slow.test");
        scene.client.reset();
        REQUIRE(late.ready());
        CHECK(late.get().error() == Errc::context_closed);
    }
}

}  // namespace post::test
