// Forks from either side: who is asked to take them, and what the opener hears when nobody does.
#include "tests/scenario/scene.hpp"

namespace post::test {

TEST_SUITE("scenario") {
    TEST_CASE("a fork goes to the accept of the Carrier that it was forked from") {
        Scene scene;
        scene.collect();
        auto parent = scene.initiate();
        parent.send("parent");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        std::vector<Carrier> forks;
        scene.accepted[0].accept([&](Carrier fork) {
            forks.push_back(std::move(fork));
            return true;
        });
        Texts got;
        auto fork = parent.fork();
        fork.send("fork");
        REQUIRE(scene.until([&] { return forks.size() == 1; }));
        gather(forks[0], got);
        REQUIRE(scene.until([&] { return got.size() == 1; }));
        CHECK(got[0] == "fork");
        CHECK(forks[0].id() == fork.id());
        CHECK(fork.id() != parent.id());
        CHECK(fork.association() == parent.association());
        CHECK(parent.association().carriers() == 2);
        CHECK(scene.accepted.size() == 1);
    }

    TEST_CASE("a fork that its parent does not accept goes to the Listener") {
        Scene scene;
        scene.collect();
        auto parent = scene.initiate();
        parent.send("parent");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto fork = parent.fork();
        fork.send("fork");
        CHECK(scene.until([&] { return scene.accepted.size() == 2; }));
        // The parent may be gone as well.
        scene.accepted.erase(scene.accepted.begin());
        auto second = parent.fork();
        second.send("second");
        CHECK(scene.until([&] { return scene.accepted.size() == 2; }));
    }

    TEST_CASE("a fork that nobody accepts is refused, and its messages fail") {
        Scene scene;
        scene.listener = scene.listen();
        scene.listener.accept([&](Carrier carrier) {
            scene.accepted.push_back(std::move(carrier));
            return false;
        });
        auto parent = scene.initiate();
        Fates fates;
        Ends ends;
        parent.send("parent", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        auto fork = parent.fork();
        gather_end(fork, ends);
        fork.send("one", {}, fates.watch());
        fork.send("two", {}, fates.watch());
        REQUIRE(scene.until([&] { return ends.size() == 1 && fates.all(); }));
        CHECK(ends[0] == Errc::carrier_refused);
        CHECK(ends[0].stage == Stage::established);
        fates.check();
        CHECK(fates.failed() == 2);
        CHECK(fates[1].error == Errc::carrier_refused);
        CHECK(fates[2].error == Errc::carrier_refused);
        // The Association goes on, and later sends say the same.
        parent.send("again", {}, fates.watch());
        fork.send("three", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[3].acked == 1);
        CHECK(fates[4].error == Errc::carrier_refused);
        CHECK(scene.accepted.size() == 1);
    }

    TEST_CASE("an operation on a refused fork answers carrier_refused") {
        Scene scene;
        scene.listener = scene.listen();
        scene.listener.accept([&](Carrier carrier) {
            scene.accepted.push_back(std::move(carrier));
            return false;
        });
        auto parent = scene.initiate();
        parent.send("parent");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto fork = parent.fork();
        fork.send("one");
        auto answer = fork.receive();
        REQUIRE(scene.until([&] { return answer.ready(); }));
        CHECK(answer.get().error() == Errc::carrier_refused);
    }

    TEST_CASE("a server forks from the Carrier that it accepted") {
        Scene scene;
        scene.collect();
        auto parent = scene.initiate();
        parent.send("parent");
        std::vector<Carrier> forks;
        Texts at_client, at_server;
        parent.accept([&](Carrier fork) {
            fork.send("answer");
            gather(fork, at_client);
            forks.push_back(std::move(fork));
            return forks.size() < 2;
        });
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto& from = scene.accepted[0];
        std::vector<Carrier> ours;
        Ends ends;
        for (int i = 0; i < 3; ++i) {
            ours.push_back(from.fork());
            ours.back().send("fork " + std::to_string(i));
            gather(ours.back(), at_server);
            gather_end(ours.back(), ends);
        }
        REQUIRE(scene.until([&] { return at_server.size() == 2 && ends.size() == 1; }));
        CHECK(at_client.all() == std::vector<std::string>{"fork 0", "fork 1"});
        CHECK(ends[0] == Errc::carrier_refused);  // accept said that two are enough
        CHECK(ours[0].id().value() % 2 == 1);
        CHECK(forks[0].id() == ours[0].id());
    }

    TEST_CASE("a server's fork is refused by a client that accepts nothing") {
        Scene scene;
        scene.collect();
        auto parent = scene.initiate();
        parent.send("parent");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto fork = scene.accepted[0].fork();
        Fates fates;
        Ends ends;
        gather_end(fork, ends);
        fork.send("hello?", {}, fates.watch());
        REQUIRE(scene.until([&] { return ends.size() == 1 && fates.all(); }));
        CHECK(ends[0] == Errc::carrier_refused);
        CHECK(fates[0].error == Errc::carrier_refused);
    }

    TEST_CASE("a fork of a fork goes to the fork, else to the Listener") {
        Scene scene;
        scene.collect();
        auto parent = scene.initiate();
        parent.send("parent");
        auto fork = parent.fork();
        fork.send("fork");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        auto first = fork.fork();
        first.send("first");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 3; }));
        std::vector<Carrier> forks;
        const bool fork_is_second = scene.accepted[1].id() == fork.id();
        scene.accepted[fork_is_second ? 1 : 0].accept([&](Carrier carrier) {
            forks.push_back(std::move(carrier));
            return true;
        });
        auto second = fork.fork();
        second.send("second");
        REQUIRE(scene.until([&] { return forks.size() == 1; }));
        CHECK(forks[0].id() == second.id());
        CHECK(scene.accepted.size() == 3);
    }

    TEST_CASE("a fork opens its parent first, which may accept it at once") {
        Scene scene;
        scene.listener = scene.listen();
        std::vector<Carrier> parents, forks, others;
        scene.listener.accept([&](Carrier carrier) {
            if (!parents.empty()) {
                others.push_back(std::move(carrier));
                return true;
            }
            carrier.accept([&](Carrier fork) {
                forks.push_back(std::move(fork));
                return true;
            });
            parents.push_back(std::move(carrier));
            return true;
        });
        auto parent = scene.initiate();
        auto fork = parent.fork();
        auto deep = fork.fork();
        Fates fates;
        deep.send("the first message of all", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates.acked() == 1);
        REQUIRE(parents.size() == 1);
        CHECK(parents[0].id() == parent.id());
        REQUIRE(forks.size() == 1);
        CHECK(forks[0].id() == fork.id());
        REQUIRE(others.size() == 1);  // nobody accepts on `fork`, so it is the Listener's
        CHECK(others[0].id() == deep.id());
    }

    TEST_CASE("a fork is seen with its first message, or at once when it is announced") {
        Scene scene;
        scene.collect();
        auto parent = scene.initiate();
        parent.send("parent");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto lazy = parent.fork();
        scene.world.run_for(2s);
        CHECK(scene.accepted.size() == 1);
        auto announced = parent.fork({.announce = true});
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        CHECK(scene.accepted[1].id() == announced.id());
        // The accepting side may speak first.
        Texts got;
        gather(announced, got);
        scene.accepted[1].send("welcome");
        CHECK(scene.until([&] { return got.size() == 1; }));
    }

    TEST_CASE("forks wait for an awaited accept") {
        Scene scene;
        scene.listener = scene.listen();
        auto first = scene.listener.accept();
        auto parent = scene.initiate();
        for (int i = 0; i < 4; ++i) parent.send("parent");
        REQUIRE(scene.until([&] { return first.ready(); }));
        auto accepted = first.get();
        REQUIRE(accepted);
        std::vector<Carrier> forks;
        for (int i = 0; i < 3; ++i) {
            forks.push_back(parent.fork());
            forks.back().send("fork " + std::to_string(i));
        }
        scene.world.run_for(1s);
        for (int i = 0; i < 3; ++i) {
            auto next = scene.listener.accept();
            REQUIRE(next.ready());
            auto carrier = next.get();
            REQUIRE(carrier);
            auto message = carrier->receive();
            REQUIRE(scene.until([&] { return message.ready(); }));
            auto text = message.get();
            REQUIRE(text);
            CHECK(text->content() == "fork " + std::to_string(i));
        }
        auto waiting = scene.listener.accept();
        CHECK_FALSE(waiting.ready());
        scene.listener.close();
        REQUIRE(scene.until([&] { return waiting.ready(); }));
        CHECK(waiting.get().error() == Errc::not_listening);
    }

    TEST_CASE("a Source has no way back, and its Sink no way to send") {
        Scene scene;
        scene.collect();
        auto source = scene.near_context().initiate_source("post://server.test:4433",
                                                           scene.pinned());
        Fates fates;
        source.send("one", {}, fates.watch());
        source.send("two", {.final = true}, fates.watch());
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1 && fates.all(); }));
        CHECK(fates.acked() == 2);
        Carrier& carrier = scene.accepted[0];
        CHECK(carrier.can_receive());
        CHECK_FALSE(carrier.can_send());
        carrier.send("back", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[2].error == Errc::no_return_path);
        fates.check();
        Sink sink(std::move(carrier));
        for (const char* text : {"one", "two"}) {
            auto message = sink.receive();
            REQUIRE(scene.until([&] { return message.ready(); }));
            auto got = message.get();
            REQUIRE(got);
            CHECK(got->content() == text);
        }
        auto end = sink.receive();
        REQUIRE(scene.until([&] { return end.ready(); }));
        CHECK(end.get().error() == Errc::carrier_closed);
    }

    TEST_CASE("both sides fork Carriers of one direction") {
        Scene scene;
        scene.collect();
        auto parent = scene.initiate();
        parent.send("parent");
        std::vector<Carrier> at_client;
        parent.accept([&](Carrier carrier) {
            at_client.push_back(std::move(carrier));
            return true;
        });
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        auto ours = parent.fork({.one_way = true});
        auto theirs = scene.accepted[0].fork({.one_way = true});
        CHECK(ours.can_send());
        CHECK_FALSE(ours.can_receive());
        auto nothing = ours.receive();
        REQUIRE(nothing.ready());
        CHECK(nothing.get().error() == Errc::no_return_path);
        ours.send("to the server");
        theirs.send("to the client");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2 && at_client.size() == 1; }));
        Texts server_got, client_got;
        gather(scene.accepted[1], server_got);
        gather(at_client[0], client_got);
        REQUIRE(scene.until([&] { return server_got.size() + client_got.size() == 2; }));
        CHECK(server_got[0] == "to the server");
        CHECK(client_got[0] == "to the client");
        CHECK_FALSE(at_client[0].can_send());
        CHECK_FALSE(at_client[0].fork());  // nothing can be forked from one direction
    }

    TEST_CASE("a fork that is dropped unused never shows") {
        Scene scene;
        scene.collect();
        auto parent = scene.initiate();
        parent.send("parent");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        parent.fork();
        parent.fork().close();
        auto used = parent.fork();
        used.send("used");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 2; }));
        scene.world.run_for(1s);
        CHECK(scene.accepted.size() == 2);
        CHECK(scene.accepted[1].id() == used.id());
        CHECK(parent.association().carriers() == 2);
    }
}

}  // namespace post::test
