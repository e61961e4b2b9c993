// Responders: one function answers many remotes, at once or later, for as long as there is a way
// back.
#include <post/responder.hpp>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

using Requests = std::shared_ptr<std::vector<std::pair<std::string, Source>>>;

Requests keep_all(Scene& scene) {
    Requests requests = std::make_shared<Requests::element_type>();
    respond(scene.listen(), [requests](InMessage request, Source reply) {
        requests->emplace_back(request.content().string(), std::move(reply));
    });
    return requests;
}

void echo(InMessage request, Source reply) { reply.send(std::move(request).content()); }

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a responder answers many remotes, each on its own Carriers") {
        Scene scene;
        respond(scene.listen(), echo);
        sim::Host& third = scene.world.host("10.0.0.3");
        scene.world.link(third, scene.far, {.delay = 30ms});
        sim::Node other(scene.world, third);
        const Texts here;
        const Texts there;
        auto near = scene.initiate();
        auto fork = near.fork();
        auto far = other->initiate("post://server.test:4433", scene.pinned());
        for (Carrier* carrier : {&near, &fork}) gather(*carrier, here);
        gather(far, there);
        for (const char* text : {"a", "b"}) near.send(text);
        fork.send("c");
        for (const char* text : {"d", "e"}) far.send(text);
        REQUIRE(scene.until([&] { return here.size() == 3 && there.size() == 2; }));
        CHECK(there.all() == std::vector<std::string>{"d", "e"});
        CHECK(std::count(here.all().begin(), here.all().end(), "c") == 1);
        other.end();
    }

    TEST_CASE("a request knows whom it is from and how it came, also when its peer is gone") {
        Scene scene;
        std::vector<InMessage> requests;
        respond(scene.listen(),
                [&](InMessage request, Source) { requests.push_back(std::move(request)); });
        sim::Host& third = scene.world.host("10.0.0.3");
        scene.world.link(third, scene.far, {.delay = 30ms});
        sim::Node other(scene.world, third);
        auto near = scene.initiate();
        auto far = other->initiate("post://server.test:4433", scene.pinned());
        near.send("near");
        far.send("far");
        REQUIRE(scene.until([&] { return requests.size() == 2; }));
        other.end();
        scene.client.reset();
        scene.server.reset();
        for (const InMessage& request : requests) {
            REQUIRE(request.remote());
            REQUIRE(request.path());
            CHECK(request.path()->remote == *request.remote());
            CHECK(request.path()->local == *Address::parse("10.0.0.2", server_port));
            CHECK_FALSE(request.early());
        }
        CHECK(requests[0].view() == "near");
        CHECK(requests[0].remote()->string().starts_with("10.0.0.1:"));
        CHECK(requests[1].remote()->string().starts_with("10.0.0.3:"));
        CHECK(InMessage().remote() == std::nullopt);
    }

    TEST_CASE("a reply may come later, more than once, and after the request was the last") {
        Scene scene;
        const Requests requests = keep_all(scene);
        auto carrier = scene.initiate();
        const Texts replies;
        const Ends ends;
        gather(carrier, replies);
        gather_end(carrier, ends);
        carrier.send("question", {.final = true});
        REQUIRE(scene.until([&] { return requests->size() == 1; }));
        scene.world.run_for(1s);
        CHECK(ends.empty());
        Source& reply = requests->front().second;
        reply.send("one moment");
        REQUIRE(scene.until([&] { return replies.size() == 1; }));
        reply.send("answer", {.final = true});
        Fates fates;
        reply.send("too late", {}, fates.watch());
        REQUIRE(scene.until([&] { return replies.size() == 2 && fates.all(); }));
        CHECK(fates[0].error == Errc::carrier_closed);
        CHECK(replies[1] == "answer");
        REQUIRE(scene.until([&] { return ends.size() == 1; }));
        CHECK(ends[0] == Errc::carrier_closed);
    }

    TEST_CASE("a request that nobody answers ends with its dropped Source") {
        Scene scene;
        const Requests requests = keep_all(scene);
        auto carrier = scene.initiate();
        auto answer = carrier.receive();
        carrier.send("question", {.final = true});
        REQUIRE(scene.until([&] { return requests->size() == 1; }));
        CHECK_FALSE(answer.ready());
        requests->clear();
        REQUIRE(scene.until([&] { return answer.ready(); }));
        CHECK(answer.get().error() == Errc::carrier_closed);
    }

    TEST_CASE("a Source that is dropped leaves the Carrier to its next request") {
        Scene scene;
        const Requests requests = keep_all(scene);
        auto carrier = scene.initiate();
        for (int i = 0; i < 3; ++i) {
            carrier.send(std::to_string(i));
            REQUIRE(scene.until([&] { return !requests->empty(); }));
            CHECK(requests->front().first == std::to_string(i));
            requests->clear();
        }
        CHECK(carrier.is_active());
    }

    TEST_CASE("there is no way back to a Source") {
        Scene scene;
        const Requests requests = keep_all(scene);
        auto source = scene.near_context().initiate_source("post://server.test:4433",
                                                           scene.pinned());
        source.send("take this");
        REQUIRE(scene.until([&] { return requests->size() == 1; }));
        auto sent = requests->front().second.send("thanks");
        REQUIRE(sent.ready());
        CHECK(sent.get().error() == Errc::no_return_path);
    }

    TEST_CASE("a reply to a peer that is gone fails with what ended it") {
        Scene scene;
        const Requests requests = keep_all(scene);
        auto carrier = scene.initiate();
        carrier.send("question");
        REQUIRE(scene.until([&] { return requests->size() == 1; }));
        carrier.abort(AbortCode{7});
        scene.world.run_for(1s);
        auto sent = requests->front().second.send("answer");
        REQUIRE(sent.ready());
        CHECK(sent.get().error() == Errc::carrier_reset);
    }

    TEST_CASE("a responder ends when its callback returns false, or is closed") {
        for (const bool closed : {false, true}) {
            CAPTURE(closed);
            Scene scene;
            int asked = 0;
            auto responder = respond(scene.listen(), [&](InMessage request, Source reply) {
                ++asked;
                reply.send(std::move(request).content());
                return closed;
            });
            CHECK(responder);
            CHECK(responder.port() == server_port);
            auto carrier = scene.initiate();
            const Texts replies;
            const Ends ends;
            gather(carrier, replies);
            gather_end(carrier, ends);
            carrier.send("one");
            REQUIRE(scene.until([&] { return replies.size() == 1; }));
            if (closed) responder.close();
            CHECK_FALSE(responder);
            carrier.send("two");
            REQUIRE(scene.until([&] { return ends.size() == 1; }));
            CHECK(asked == 1);
            CHECK(replies.size() == 1);
            const Ends late;
            auto another = scene.initiate();
            gather_end(another, late);
            another.send("anybody?");
            REQUIRE(scene.until([&] { return late.size() == 1; }, 20s));
        }
    }
}

}  // namespace post::test
