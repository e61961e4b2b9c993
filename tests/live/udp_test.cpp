// Plain datagrams on real sockets of the loopback: what their headers say, what ICMP says, sizes,
// and multicast in both families. What the system has not is said and left out.
#include <doctest/doctest.h>

#include <post/post.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/live/edge.hpp"
#include "tests/live/namespace.hpp"

namespace post::test {

namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

const Policy plain{.security = Security::none, .stacks = {Stack::udp}};
const Policy lite{.security = Security::none, .stacks = {Stack::udp_lite}};

// Turns all of them until it holds, for two seconds at most.
template <class Done> bool until(std::vector<Context*> contexts, Done done) {
    const auto end = contexts.front()->now() + 2s;
    while (!done()) {
        if (contexts.front()->now() > end) return false;
        bool more = false;
        for (Context* context : contexts) more |= context->turn();
        if (!more) std::this_thread::sleep_for(1ms);
    }
    return true;
}

using Messages = std::shared_ptr<std::vector<InMessage>>;

Messages gather(auto& carrier) {
    auto messages = std::make_shared<std::vector<InMessage>>();
    carrier.ready([messages](Carrier&, InMessage message) {
        messages->push_back(std::move(message));
        return true;
    });
    return messages;
}

// A server that keeps what comes, and gives it back.
struct Echo {
    Context context;
    Listener listener;
    Messages got = std::make_shared<std::vector<InMessage>>();

    explicit Echo(Policy policy, Address::Family family, UdpOptions udp = {})
        : listener(context.listen({.address = loopback(family)},
                                  {.policy = std::move(policy), .udp = std::move(udp)})) {
        listener.accept([got = got](Carrier carrier) {
            carrier.ready([got](Carrier& self, InMessage message) {
                self.send(message.content());
                got->push_back(std::move(message));
                return true;
            });
            return true;
        });
    }
};

bool has_udp_lite() {
    Context context;
    const auto listener = context.try_listen({.address = loopback()}, {.policy = lite});
    if (!listener) CHECK(listener.error() == Errc::unsupported);
    return static_cast<bool>(listener);
}

// Three sinks of one group in two Contexts, one of another group, and a source.
void group_reaches_sinks(const char* group_ip, const char* another_ip, const char* interface,
                         const char* own) {
    const Address group = *Address::parse(group_ip, 23456);
    const Address another = *Address::parse(another_ip, 23456);
    const ListenOptions joining{.policy = plain, .udp = {.interface = interface}};
    Context one;
    Context two;
    Sink first = one.listen_sink({.address = group}, joining);
    Sink second = one.listen_sink({.address = group}, joining);
    Sink third = two.listen_sink({.address = group}, joining);
    Sink other = two.listen_sink({.address = another}, joining);
    const std::vector<Messages> got{gather(first), gather(second), gather(third)};
    const Messages elsewhere = gather(other);
    Context sending;
    Source source = sending.initiate_source(
        Remote(group), {.policy = plain,
                        .local = {.address = *Address::parse(own)},
                        .udp = {.datagrams = {.hop_limit = 3}, .interface = interface}});
    std::vector<Error> soft;
    source.on_soft_error([&](const Error& error) { soft.push_back(error); });
    for (const char* text : {"hear", "me"}) source.send(text);
    REQUIRE(until({&one, &two, &sending}, [&] {
        return got[0]->size() == 2 && got[1]->size() == 2 && got[2]->size() == 2;
    }));
    for (const Messages& sink : got) {
        CHECK((*sink)[0].view() == "hear");
        CHECK((*sink)[1].view() == "me");
        CHECK((*sink)[0].datagram()->local.ip == group.ip);
        CHECK((*sink)[0].datagram()->hop_limit == 3);
        CHECK((*sink)[0].remote()->ip_string() == own);
    }
    CHECK(elsewhere->empty());
    CHECK(soft.empty());
    // One that is closed is no trouble to the others.
    first.close();
    source.send("again");
    REQUIRE(until({&one, &two, &sending}, [&] { return got[2]->size() == 3; }));
    CHECK(got[0]->size() == 2);
}

std::vector<Address::Family> families() {
    std::vector<Address::Family> all{Address::Family::v4};
    if (has_v6())
        all.push_back(Address::Family::v6);
    else
        MESSAGE("no IPv6 here");
    return all;
}

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("datagrams of all sizes come back as they were, in both families") {
        for (const auto family : families()) {
            CAPTURE(static_cast<int>(family));
            Echo server(plain, family);
            Context context;
            auto carrier = context.initiate(Remote(server.listener.addresses().front()),
                                            {.policy = plain});
            const Messages echoes = gather(carrier);
            const std::size_t largest = family == Address::Family::v6 ? 65527 : 65507;
            const std::vector<std::size_t> sizes{1, 0, 1200, 1200, 1200, 7, 2047, 2048, largest, 3};
            for (const std::size_t size : sizes) {
                const std::size_t before = echoes->size();
                carrier.send(std::string(size, static_cast<char>('a' + before)));
                REQUIRE(until({&context, &server.context},
                              [&] { return echoes->size() == before + 1; }));
                CHECK((*echoes)[before].size() == size);
            }
            CHECK(carrier.max_message_size() == largest);
            // And many at once, as far as they arrive.
            for (int i = 0; i < 100; ++i) carrier.send(std::string(1200, 'x'));
            CHECK(until({&context, &server.context},
                        [&] { return echoes->size() == sizes.size() + 100; }));
        }
    }

    TEST_CASE("hop limit, DSCP and ECN are written and read by the datagram, in both families") {
        for (const auto family : families()) {
            CAPTURE(static_cast<int>(family));
            Echo server(plain, family);
            Context context;
            auto carrier = context.initiate(Remote(server.listener.addresses().front()),
                                            {.policy = plain});
            const auto send = [&](const char* text, DatagramOptions options) {
                carrier.send(text, {.datagram = options});
            };
            send("marked", {.hop_limit = 7, .dscp = 46, .ecn = Ecn::ect0});
            send("marked", {.hop_limit = 7, .dscp = 46, .ecn = Ecn::ect0});
            send("unsummed", {.checksum = false});
            send("whole", {.dont_fragment = true});
            send("cut", {.dont_fragment = false});
            carrier.send("plain");
            REQUIRE(until({&context, &server.context}, [&] {
                return server.got->size() >= (family == Address::Family::v6 ? 5u : 6u);
            }));
            auto& got = *server.got;
            for (std::size_t i = 0; i < 2; ++i) {
                CHECK(got[i].datagram()->hop_limit == 7);
                CHECK(got[i].datagram()->dscp == 46);
                CHECK(got[i].datagram()->ecn == Ecn::ect0);
                CHECK(got[i].datagram()->local == server.listener.addresses().front());
            }
            CHECK(got.back().view() == std::string("plain"));
            CHECK(got.back().datagram()->dscp == 0);
            CHECK(got.back().datagram()->hop_limit.value_or(0) > 7);
            // RFC 6935: over IPv6 only who said so takes what has no checksum.
            CHECK((got[2].view() == "unsummed") == (family == Address::Family::v4));
        }
    }

    TEST_CASE("IP options are written and read by the datagram, where the system lets us") {
        for (const auto family : families()) {
            CAPTURE(static_cast<int>(family));
            const bool v6 = family == Address::Family::v6;
            Echo server(plain, family);
            Context context;
            auto carrier = context.initiate(Remote(server.listener.addresses().front()),
                                            {.policy = plain});
            std::vector<Error> soft;
            carrier.on_soft_error([&](const Error& error) { soft.push_back(error); });
            // RFC 791, 3.1: record route, with room for one address. RFC 8200, 4.2: PadN of six.
            const Bytes options(v6 ? std::string_view("\x01\x04\0\0\0\0", 6)
                                   : std::string_view("\x07\x07\x04\0\0\0\0", 7));
            carrier.send("plain");
            carrier.send("with", {.datagram = DatagramOptions{.ip_options = options}});
            carrier.send("plain");
            REQUIRE(until({&context, &server.context},
                          [&] { return server.got->size() + soft.size() == 3; }));
            auto& got = *server.got;
            CHECK(got.front().datagram()->ip_options.empty());
            CHECK(got.back().datagram()->ip_options.empty());
            if (!soft.empty()) {
                // Without CAP_NET_RAW.
                CHECK(v6);
                CHECK(soft[0] == Errc::unsupported);
                CHECK(soft[0].cause == std::errc::operation_not_permitted);
                CHECK(soft[0].detail.view().find("CAP_NET_RAW") != std::string_view::npos);
                continue;
            }
            const Bytes there = got[1].datagram()->ip_options;
            REQUIRE(there.size() == (v6 ? 6 : 8));
            if (v6) {
                CHECK(there == options);
                carrier.send("hop", {.datagram = DatagramOptions{.hop_options = options}});
                REQUIRE(until({&context, &server.context}, [&] { return got.size() == 4; }));
                CHECK(got[3].datagram()->hop_options == options);
            } else {
                CHECK(there.view().substr(0, 2) == "\x07\x07");  // our address is in it now
                // Nobody knows this one: it is refused, or taken from who may send anything.
                carrier.send(
                    "odd", {.datagram = DatagramOptions{.ip_options = Bytes("\x1e\x04\x01\x02")}});
                REQUIRE(until({&context, &server.context},
                              [&] { return got.size() + soft.size() == 4; }));
                for (const Error& error : soft) CHECK(error == Errc::unsupported);
            }
        }
    }

    TEST_CASE("over IPv6 a datagram without a checksum comes where it is wanted") {
        if (!has_v6()) {
            MESSAGE("no IPv6 here");
            return;
        }
        Echo server(plain, Address::Family::v6, {.accept_without_checksum = true});
        Context context;
        auto carrier = context.initiate(
            Remote(server.listener.addresses().front()),
            {.policy = plain, .udp = {.datagrams = {.checksum = false}}});
        for (int i = 0; i < 3; ++i) carrier.send("unsummed");
        CHECK(until({&context, &server.context}, [&] { return server.got->size() == 3; }));
    }

    TEST_CASE("UDP-Lite covers what it is told to, and its own least is dropped") {
        if (!has_udp_lite()) {
            MESSAGE("skipped: no UDP-Lite in this kernel");
            return;
        }
        Echo server(lite, Address::Family::v4, {.least_coverage = 20});
        Context context;
        auto carrier = context.initiate(Remote(server.listener.addresses().front()),
                                        {.policy = lite});
        const auto covered = [&](const char* text, std::uint16_t coverage) {
            carrier.send(text, {.datagram = DatagramOptions{.coverage = coverage}});
        };
        covered("too little of this is covered", 10);
        covered("enough of this is covered", 20);
        carrier.send("all of this is covered");
        REQUIRE(until({&context, &server.context}, [&] { return server.got->size() == 2; }));
        CHECK((*server.got)[0].view() == "enough of this is covered");
        CHECK(carrier.association().stack() == Stack::udp_lite);
    }

    TEST_CASE("ICMP is a soft error on real sockets, too") {
        for (const auto family : families()) {
            CAPTURE(static_cast<int>(family));
            Address nobody;
            {
                Echo server(plain, family);
                nobody = server.listener.addresses().front();
            }
            Context context;
            auto carrier = context.initiate(Remote(nobody), {.policy = plain});
            std::vector<Error> soft;
            std::vector<Error> ends;
            carrier.on_soft_error([&](const Error& error) { soft.push_back(error); });
            carrier.on_closed([&](const Error& error) { ends.push_back(error); });
            carrier.send("anybody?");
            REQUIRE(until({&context}, [&] { return !soft.empty(); }));
            CHECK(soft[0] == Errc::refused_port);
            Fate::Kind kind{};
            carrier.send("still?", {}, [&](const Fate& fate) { kind = fate.kind; });
            REQUIRE(until({&context}, [&] { return kind == Fate::Kind::acked; }));
            CHECK(ends.empty());
        }
    }

    TEST_CASE("a group reaches all of its sinks on one port, over IPv4") {
        group_reaches_sinks("239.255.7.1", "239.255.7.2", "lo", "127.0.0.1");
    }

    TEST_CASE("a group reaches all of its sinks on one port, over IPv6") {
        // The loopback interface has no way to groups there.
        const bool there = in_namespace(
            [] { group_reaches_sinks("ff15::7:1", "ff15::7:2", "post0", "fd00:7::1"); });
        if (!there) MESSAGE("skipped: no network namespace of our own (root, and iproute2)");
    }

    TEST_CASE("a sink of one source hears no other, and a source without loopback nobody here") {
        const Address group = *Address::parse("232.255.7.1", 23457);
        const auto joining = [](const char* source) {
            ListenOptions options{.policy = plain, .udp = {.interface = "lo"}};
            options.udp.sources = {*Address::parse(source)};
            return options;
        };
        Context context;
        Sink of_one = context.listen_sink({.address = group}, joining("127.0.0.1"));
        Sink of_two = context.listen_sink({.address = group}, joining("127.0.0.2"));
        const Messages one = gather(of_one);
        const Messages two = gather(of_two);
        const auto source_at = [&](const char* ip) {
            return context.initiate_source(Remote(group),
                                           {.policy = plain,
                                            .local = {.address = *Address::parse(ip)},
                                            .udp = {.interface = "lo"}});
        };
        Source first = source_at("127.0.0.1");
        Source second = source_at("127.0.0.2");
        first.send("from the first");
        second.send("from the second");
        REQUIRE(until({&context}, [&] { return one->size() == 1 && two->size() == 1; }));
        CHECK((*one)[0].view() == "from the first");
        CHECK((*two)[0].view() == "from the second");
        CHECK((*two)[0].remote()->ip_string() == "127.0.0.2");
        // On a network of its own, since what goes over the loopback interface comes back.
        const bool there = in_namespace([&] {
            Context apart;
            Sink sink = apart.listen_sink({.address = group},
                                          {.policy = plain, .udp = {.interface = "post0"}});
            const Messages got = gather(sink);
            for (const bool loopback : {false, true})
                apart
                    .initiate_source(
                        Remote(group),
                        {.policy = plain, .udp = {.interface = "post0", .loopback = loopback}})
                    .send(loopback ? "loud" : "quiet");
            REQUIRE(until({&apart}, [&] { return !got->empty(); }));
            CHECK((*got)[0].view() == "loud");
        });
        if (!there) MESSAGE("skipped: no network namespace of our own (root, and iproute2)");
    }

    TEST_CASE("what is wrong with a sink is said at the call") {
        Context context;
        const Address group = *Address::parse("239.255.7.3", 23458);
        const auto error = [&](const Local& local, ListenOptions options) {
            const auto sink = context.try_listen_sink(local, std::move(options));
            return sink ? Error() : sink.error();
        };
        CHECK(error({.address = loopback()}, {.policy = plain}) == Errc::invalid_argument);
        CHECK(error({.address = *Address::parse("239.255.7.3")}, {.policy = plain}) ==
              Errc::invalid_argument);
        const Error nowhere = error({.address = group},
                                    {.policy = plain, .udp = {.interface = "nothing0"}});
        CHECK(nowhere == Errc::invalid_argument);
        CHECK(nowhere.cause == std::errc::no_such_device);
        CHECK(error({.address = group},
                    {.policy = plain, .udp = {.sources = {*Address::parse("::1")}}}) ==
              Errc::invalid_argument);
        // And with a Carrier to a group when it is tried.
        auto carrier = context.initiate(Remote(group), {.policy = plain});
        std::vector<Error> ends;
        carrier.on_closed([&](const Error& end) { ends.push_back(end); });
        carrier.send("anybody?");
        REQUIRE(until({&context}, [&] { return ends.size() == 1; }));
        CHECK(ends[0] == Errc::unsupported);
    }
}

}  // namespace post::test
