// Plain datagrams: a message is a datagram, a Carrier is a flow, and the network promises nothing.
#include <post/responder.hpp>
#include <post/stream.hpp>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

const Policy datagrams{.security = Security::none, .stacks = {Stack::udp}};

ListenOptions listening(UdpOptions udp = {}) {
    ListenOptions options;
    options.policy = datagrams;
    options.udp = std::move(udp);
    return options;
}

InitiateOptions flowing(UdpOptions udp = {}) {
    InitiateOptions options;
    options.policy = datagrams;
    options.udp = std::move(udp);
    return options;
}

Carrier flow_to(Context& context, UdpOptions udp = {}) {
    return context.initiate(Remote("server.test", server_port), flowing(std::move(udp)));
}

Carrier flow(Scene& scene, UdpOptions udp = {}) {
    return flow_to(scene.near_context(), std::move(udp));
}

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("datagrams go to and fro, each a message, the empty one too") {
        Scene scene;
        scene.echo(listening());
        auto carrier = flow(scene);
        const Texts echoes;
        gather(carrier, echoes);
        Fates fates;
        for (const char* text : {"one", "", "three", "a longer one"})
            carrier.send(text, {}, fates.watch());
        REQUIRE(scene.until([&] { return echoes.size() == 4; }));
        CHECK(echoes.all() == std::vector<std::string>{"one", "", "three", "a longer one"});
        fates.check();
        CHECK(fates.acked() == 4);
        CHECK(carrier.association().stack() == Stack::udp);
        CHECK(carrier.association().explain(Feature::acked).level == Support::Level::emulated);
        CHECK(scene.unhandled.empty());
    }

    TEST_CASE("each remote is a flow, and so is each Carrier of one remote") {
        Scene scene;
        scene.collect(listening());
        sim::Host& third = scene.world.host("10.0.0.3");
        scene.world.link(third, scene.far, {.delay = 30ms});
        sim::Node other(scene.world, third);
        auto one = flow(scene);
        auto two = flow(scene);
        auto three = flow_to(*other);
        for (auto* carrier : {&one, &two, &three}) carrier->send("hello");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 3; }));
        const Texts replies;
        gather(two, replies);
        scene.accepted[1].send("for the second");
        REQUIRE(scene.until([&] { return replies.size() == 1; }));
        CHECK(replies[0] == "for the second");
        CHECK(one.association().paths().front().local != two.association().paths().front().local);
        other.end();
    }

    TEST_CASE("what the network loses nobody sends again, and what it doubles comes twice") {
        Scene scene(seed(), {.delay = 10ms, .loss = 0.2, .duplicate = 0.1});
        scene.collect(listening());
        auto carrier = flow(scene);
        Fates fates;
        for (int i = 0; i < 500; ++i) carrier.send(std::to_string(i), {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all() && !scene.accepted.empty(); }));
        fates.check();
        const Texts got;
        gather(scene.accepted[0], got);
        scene.world.run_for(1s);
        const auto& passed = scene.link.there.counters();
        CHECK(passed.lost > 0);
        CHECK(passed.duplicated > 0);
        CHECK(got.size() == passed.passed + passed.duplicated);
    }

    TEST_CASE("a port where nobody listens is a soft error, and the flow goes on") {
        Scene scene;
        auto carrier = flow(scene);
        const Ends soft;
        const Ends ends;
        carrier.on_soft_error([soft](const Error& error) { soft.push_back(error); });
        gather_end(carrier, ends);
        carrier.send("anybody?");
        REQUIRE(scene.until([&] { return soft.size() == 1; }));
        CHECK(soft[0] == Errc::refused_port);
        CHECK(soft[0].cause.value() == ECONNREFUSED);
        CHECK(ends.empty());
        scene.collect(listening());
        carrier.send("now?");
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        CHECK(soft.size() == 1);
        CHECK(scene.unhandled.empty());
    }

    TEST_CASE("what is longer than a datagram is refused, and what nobody may fragment sooner") {
        Scene scene;
        scene.collect(listening());
        auto carrier = flow(scene);
        Fates fates;
        // Nothing is known yet: the message's fate says it.
        carrier.send(std::string(65508, 'x'), {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[0].error == Errc::message_too_large);
        CHECK_FALSE(fates[0].maybe_delivered);
        CHECK(carrier.max_message_size() == 65507);
        auto sent = carrier.send(std::string(65508, 'x'));
        REQUIRE(sent.ready());
        CHECK(sent.get().error() == Errc::message_too_large);
        carrier.send(std::string(1473, 'x'), {.datagram = DatagramOptions{.dont_fragment = true}},
                     fates.watch());
        carrier.send(std::string(1472, 'x'), {.datagram = DatagramOptions{.dont_fragment = true}},
                     fates.watch());
        REQUIRE(scene.until([&] { return fates.all() && scene.accepted.size() == 1; }));
        CHECK(fates[1].error == Errc::message_too_large);
        CHECK(fates[1].sent == 0);
        CHECK(fates[2].acked == 1);
        CHECK(carrier.association().paths().front().mtu == 1472);
        auto whole = flow(scene, {.datagrams = {.dont_fragment = true}});
        whole.activate();
        REQUIRE(scene.until([&] { return whole.is_active(); }));
        CHECK(whole.max_message_size() == 1472);
    }

    TEST_CASE("a message that is made while it is sent is one datagram") {
        Scene scene;
        scene.collect(listening());
        auto carrier = flow(scene);
        Fates fates;
        carrier.send(Generated{.size = 1000,
                               .produce = [](std::uint64_t, std::size_t most) -> Result<Bytes> {
                                   return Bytes(std::string(std::min<std::size_t>(most, 300), 'g'));
                               }},
                     {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all() && scene.accepted.size() == 1; }));
        fates.check();
        CHECK(fates.acked() == 1);
        const Texts got;
        gather(scene.accepted[0], got);
        REQUIRE(scene.until([&] { return got.size() == 1; }));
        CHECK(got[0] == std::string(1000, 'g'));
    }

    TEST_CASE("headers are written and read by the message") {
        Scene scene;
        std::vector<InMessage> got;
        scene.listener = scene.listen(listening());
        scene.listener.accept([&](Carrier carrier) {
            carrier.ready([&](Carrier&, InMessage message) {
                got.push_back(std::move(message));
                return true;
            });
            return true;
        });
        auto carrier = flow(scene, {.datagrams = {.hop_limit = 9}});
        carrier.send("plain");
        carrier.send("marked",
                     {.datagram = DatagramOptions{.hop_limit = 7, .dscp = 46, .ecn = Ecn::ect0}});
        carrier.send("plain");
        REQUIRE(scene.until([&] { return got.size() == 3; }));
        for (const InMessage& message : got) REQUIRE(message.datagram());
        CHECK(got[0].datagram()->hop_limit == 9);
        CHECK(got[0].datagram()->dscp == 0);
        CHECK(got[1].view() == "marked");
        CHECK(got[1].datagram()->hop_limit == 7);
        CHECK(got[1].datagram()->dscp == 46);
        CHECK(got[1].datagram()->ecn == Ecn::ect0);
        CHECK(got[2].datagram()->hop_limit == 9);
        CHECK(got[2].remote()->ip_string() == "10.0.0.1");
        CHECK(got[2].datagram()->local == *Address::parse("10.0.0.2", server_port));
        for (const DatagramOptions& bad :
             {DatagramOptions{.hop_limit = 0}, DatagramOptions{.dscp = 64},
              DatagramOptions{.coverage = 7},
              DatagramOptions{.ip_options = Bytes(std::string(247, '\0'))}}) {
            auto sent = carrier.send("bad", {.datagram = bad});
            REQUIRE(sent.ready());
            CHECK(sent.get().error() == Errc::invalid_argument);
        }
        got.clear();
    }

    TEST_CASE("IP options are written and read by the message, and count") {
        Scene scene;
        std::vector<InMessage> got;
        scene.listener = scene.listen(listening());
        scene.listener.accept([&](Carrier carrier) {
            carrier.ready([&](Carrier&, InMessage message) {
                got.push_back(std::move(message));
                return true;
            });
            return true;
        });
        auto carrier = flow(scene);
        // RFC 791, 3.1: record route, with room for one address.
        const Bytes route(std::string_view("\x07\x07\x04\0\0\0\0", 7));
        Fates fates;
        const auto send = [&](Bytes content, const DatagramOptions& options) {
            carrier.send(std::move(content), {.datagram = options}, fates.watch());
        };
        send("plain", {});
        send("with", {.ip_options = route});
        send(std::string(1472 - 8, 'l'), {.dont_fragment = true, .ip_options = route});
        send(std::string(1472 - 7, 'l'), {.dont_fragment = true, .ip_options = route});
        send("too much", {.ip_options = Bytes(std::string(41, '\1'))});
        send("of IPv6", {.hop_options = route});
        REQUIRE(scene.until([&] { return got.size() == 3 && fates.all(); }));
        CHECK(got[0].datagram()->ip_options.empty());
        CHECK(got[1].datagram()->ip_options == route);
        CHECK(got[2].datagram()->ip_options == route);
        CHECK(fates.acked() == 3);
        CHECK(fates[3].error == Errc::message_too_large);
        CHECK(fates[4].error == Errc::invalid_argument);
        CHECK(fates[5].error == Errc::invalid_argument);
        got.clear();
    }

    TEST_CASE("a responder answers datagrams, and a silent remote is forgotten") {
        Scene scene;
        ListenOptions options = listening();
        options.bounds.idle_timeout = 5s;
        int asked = 0;
        respond(scene.listen(options), [&](InMessage request, Source reply) {
            ++asked;
            reply.send("re: " + request.content().string());
        });
        auto carrier = flow(scene);
        const Texts replies;
        gather(carrier, replies);
        carrier.send("one");
        REQUIRE(scene.until([&] { return replies.size() == 1; }));
        scene.world.run_for(20s);
        CHECK(scene.server_unhandled.empty());
        carrier.send("two");
        REQUIRE(scene.until([&] { return replies.size() == 2; }));
        CHECK(replies[1] == "re: two");
        CHECK(asked == 2);
    }

    TEST_CASE("a flow that is closed delivers what was sent, and its remote begins a new one") {
        Scene scene;
        scene.collect(listening());
        auto carrier = flow(scene);
        const Ends ends;
        gather_end(carrier, ends);
        Fates fates;
        for (int i = 0; i < 100; ++i) carrier.send(std::string(100, 'x'), {}, fates.watch());
        carrier.close();
        REQUIRE(scene.until([&] { return fates.all() && ends.size() == 1; }));
        fates.check();
        CHECK(fates.acked() == 100);
        CHECK(ends[0] == Errc::carrier_closed);
        REQUIRE(scene.until([&] { return scene.accepted.size() == 1; }));
        const Ends ended;
        gather_end(scene.accepted[0], ended);
        scene.accepted[0].close();
        REQUIRE(scene.until([&] { return ended.size() == 1; }));
        CHECK(ended[0] == Errc::carrier_closed);
        CHECK(scene.server_unhandled.empty());
    }

    TEST_CASE("a source sends, and hears nothing") {
        Scene scene;
        scene.echo(listening());
        auto source = scene.near_context().initiate_source(Remote("server.test", server_port),
                                                           flowing());
        Fates fates;
        source.send("one", {.final = true}, fates.watch());
        const Ends ends;
        source.on_closed([ends](const Error& error) { ends.push_back(error); });
        REQUIRE(scene.until([&] { return ends.size() == 1; }));
        CHECK(ends[0] == Errc::carrier_closed);
        CHECK(fates.acked() == 1);
    }

    TEST_CASE("what waits too long to be sent expires") {
        Scene scene;
        auto carrier = flow(scene);
        Fates fates;
        // The name is not known before.
        scene.world.name("server.test", {"10.0.0.2"}, {.delay_v4 = 1s, .delay_v6 = 1s});
        carrier.send("late", {.lifetime = 100ms}, fates.watch());
        carrier.send("patient", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        fates.check();
        CHECK(fates[0].expired == 1);
        CHECK(fates[1].acked == 1);
    }

    TEST_CASE("a flow cannot be forked, nor be a stream") {
        Scene scene;
        scene.collect(listening());
        auto carrier = flow(scene);
        const auto stream = carrier.as_stream();
        REQUIRE_FALSE(stream);
        CHECK(stream.error() == Errc::unsupported);
        carrier.send("hello");
        auto fork = carrier.fork();
        const Ends ends;
        gather_end(fork, ends);
        Fates fates;
        fork.send("there", {}, fates.watch());
        REQUIRE(scene.until([&] { return ends.size() == 1 && fates.all(); }));
        CHECK(ends[0] == Errc::unsupported);
        CHECK(fates[0].error == Errc::unsupported);
        CHECK(carrier.association().explain(Feature::fork).level == Support::Level::unsupported);
        carrier.send("still here", {}, fates.watch());
        REQUIRE(scene.until([&] { return fates.all(); }));
        CHECK(fates[1].acked == 1);
    }

    TEST_CASE("datagrams are taken only where they are named, alone and without security") {
        Scene scene;
        const auto refused = [&](Policy policy, std::string alpn = {}) {
            InitiateOptions options;
            options.policy = std::move(policy);
            options.alpn = std::move(alpn);
            try {
                scene.near_context().initiate(Remote("server.test", 1), options);
            } catch (const Failure& failure) {
                return failure.error();
            }
            return Error();
        };
        CHECK(refused({Security::required, {Stack::udp}}) == Errc::unsupported);
        CHECK(refused({Security::none, {Stack::udp, Stack::quic}}) == Errc::invalid_argument);
        CHECK(refused({Security::none, {Stack::quic, Stack::udp_lite}}) == Errc::invalid_argument);
        CHECK(refused(datagrams, "h3") == Errc::invalid_argument);
        ListenOptions shared = listening();
        // A port that is taken is taken.
        scene.collect(listening());
        CHECK(scene.far_context().try_listen({.port = server_port}, shared).error() ==
              Errc::address_in_use);
        CHECK(scene.far_context().try_listen_sink({.port = 1}, shared).error() ==
              Errc::invalid_argument);
    }

    TEST_CASE("a flood of forged sources takes nothing from those who were answered") {
        Scene scene;
        constexpr std::size_t most = 16;
        ListenOptions options = listening({.flows = most});
        std::vector<Carrier> kept;
        std::size_t ended = 0;
        scene.listener = scene.listen(options);
        scene.listener.accept([&](Carrier carrier) {
            carrier.on_closed([&](const Error&) { ++ended; });
            carrier.ready([](Carrier& self, InMessage message) {
                if (message.view() == "answer me") self.send("here");
                return true;
            });
            return true;
        });
        auto friendly = flow(scene);
        const Texts answers;
        gather(friendly, answers);
        friendly.send("answer me");
        REQUIRE(scene.until([&] { return answers.size() == 1; }));
        std::vector<Carrier> forged;
        for (int i = 0; i < 200; ++i) {
            forged.push_back(flow(scene));
            forged.back().send("who am I?");
        }
        scene.world.run_for(1s);
        CHECK(ended == 200 - (most - 1));
        friendly.send("answer me");
        REQUIRE(scene.until([&] { return answers.size() == 2; }));
        auto late = flow(scene);
        gather(late, answers);
        late.send("answer me");
        REQUIRE(scene.until([&] { return answers.size() == 3; }));
        scene.client.reset();
        scene.server.reset();
    }
}

}  // namespace post::test
