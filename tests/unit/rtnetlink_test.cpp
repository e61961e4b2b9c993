// InterfaceTable: what the kernel says of interfaces, and what nobody should believe.
#include "lib/io/rtnetlink.hpp"

#include <doctest/doctest.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>
#include <string_view>

#include "lib/io/sockaddr.hpp"
#include "tests/seed.hpp"
#include "tests/sim/random.hpp"

namespace post::test {

namespace {

using io::InterfaceTable;
using Answer = InterfaceTable::Answer;
using Buffer = std::vector<std::byte>;

constexpr std::uint32_t question = 7;

template <class T> Buffer bytes_of(const T& value) {
    Buffer bytes(sizeof(value));
    std::memcpy(bytes.data(), &value, sizeof(value));
    return bytes;
}

void append(Buffer& to, const Buffer& bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
    while (to.size() % 4 != 0) to.push_back(std::byte{0});
}

Buffer text(std::string_view name) {
    Buffer bytes(name.size() + 1);
    std::memcpy(bytes.data(), name.data(), name.size());
    return bytes;
}

Buffer number(std::uint32_t value) { return bytes_of(value); }

Buffer ip(const char* address) {
    const Address parsed = *Address::parse(address);
    return parsed.family == Address::Family::v4 ? bytes_of(io::v4_of(parsed))
                                                : bytes_of(io::v6_of(parsed));
}

Buffer attribute(unsigned type, const Buffer& value) {
    rtattr header{};
    header.rta_len = static_cast<unsigned short>(sizeof(header) + value.size());
    header.rta_type = static_cast<unsigned short>(type);
    Buffer bytes = bytes_of(header);
    append(bytes, value);
    return bytes;
}

Buffer joined(const std::vector<Buffer>& parts) {
    Buffer bytes;
    for (const Buffer& part : parts) append(bytes, part);
    return bytes;
}

template <class Body>
Buffer message(unsigned type, const Body& body, const std::vector<Buffer>& attributes = {},
               unsigned flags = 0) {
    Buffer rest = bytes_of(body);
    append(rest, joined(attributes));
    nlmsghdr header{};
    header.nlmsg_len = static_cast<std::uint32_t>(sizeof(header) + rest.size());
    header.nlmsg_type = static_cast<std::uint16_t>(type);
    header.nlmsg_flags = static_cast<std::uint16_t>(flags);
    header.nlmsg_seq = question;
    Buffer bytes = bytes_of(header);
    append(bytes, rest);
    return bytes;
}

Buffer link(int index, const char* name, unsigned flags = IFF_UP | IFF_RUNNING,
            unsigned hardware = ARPHRD_ETHER, const std::vector<Buffer>& more = {}) {
    ifinfomsg body{};
    body.ifi_index = index;
    body.ifi_flags = flags;
    body.ifi_type = static_cast<unsigned short>(hardware);
    std::vector<Buffer> attributes = {attribute(IFLA_IFNAME, text(name)),
                                      attribute(IFLA_MTU, number(1500))};
    attributes.insert(attributes.end(), more.begin(), more.end());
    return message(RTM_NEWLINK, body, attributes);
}

Buffer address(unsigned index, const char* said, unsigned bits, std::uint32_t flags = 0) {
    ifaddrmsg body{};
    body.ifa_family = std::string_view(said).find(':') == std::string_view::npos ? AF_INET
                                                                                 : AF_INET6;
    body.ifa_prefixlen = static_cast<unsigned char>(bits);
    body.ifa_index = index;
    return message(RTM_NEWADDR, body,
                   {attribute(IFA_ADDRESS, ip(said)), attribute(IFA_FLAGS, number(flags))});
}

Buffer route(unsigned index, const char* to, unsigned bits, const char* gateway,
             std::uint32_t metric, unsigned type = RTN_UNICAST) {
    rtmsg body{};
    body.rtm_family = std::string_view(to).find(':') == std::string_view::npos ? AF_INET : AF_INET6;
    body.rtm_dst_len = static_cast<unsigned char>(bits);
    body.rtm_type = static_cast<unsigned char>(type);
    std::vector<Buffer> attributes = {attribute(RTA_OIF, number(index)),
                                      attribute(RTA_PRIORITY, number(metric))};
    if (bits != 0) attributes.push_back(attribute(RTA_DST, ip(to)));
    if (*gateway) attributes.push_back(attribute(RTA_GATEWAY, ip(gateway)));
    return message(RTM_NEWROUTE, body, attributes);
}

Buffer done() { return message(NLMSG_DONE, int{0}, {}, NLM_F_MULTI); }

std::vector<Interface> told(const std::vector<Buffer>& messages) {
    InterfaceTable table;
    REQUIRE(table.take(joined(messages), question) == Answer::more);
    REQUIRE(table.take(done(), question) == Answer::done);
    return table.interfaces();
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("rtnetlink: links, addresses and routes become interfaces") {
        const auto found = told(
            {link(1, "lo", IFF_UP | IFF_RUNNING, ARPHRD_LOOPBACK), link(2, "eth0"),
             link(3, "wg0", IFF_UP | IFF_RUNNING, ARPHRD_NONE,
                  {attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, text("wireguard")))}),
             link(4, "eth1", IFF_UP), link(5, "eth2", 0), address(1, "127.0.0.1", 8),
             address(2, "192.0.2.7", 24), address(2, "fe80::7", 64),
             address(2, "2001:db8::7", 64, IFA_F_DEPRECATED),
             address(2, "2001:db8::beef", 64, IFA_F_TEMPORARY),
             address(2, "2001:db8::8", 64, IFA_F_TENTATIVE),
             address(2, "2001:db8::9", 64, IFA_F_DADFAILED), address(9, "192.0.2.9", 24),
             route(2, "0.0.0.0", 0, "192.0.2.1", 600), route(3, "0.0.0.0", 0, "", 50),
             route(2, "192.0.2.0", 24, "", 600), route(2, "::", 0, "fe80::1", 1024),
             route(2, "192.0.2.7", 32, "", 0, RTN_LOCAL)});
        // Those that are up, the best default route first, loopback last.
        REQUIRE(found.size() == 3);
        CHECK(found[0].name == "wg0");
        CHECK(found[0].type == InterfaceType::tunnel);
        CHECK(found[0].network() == "wg0");
        CHECK(found[2].name == "lo");
        CHECK(found[2].type == InterfaceType::loopback);
        const Interface& eth0 = found[1];
        CHECK(eth0.name == "eth0");
        CHECK(eth0.type == InterfaceType::wired);
        CHECK(eth0.index == 2);
        CHECK(eth0.mtu == 1500);
        CHECK(eth0.network() == "eth0 via 192.0.2.1 fe80::1");
        CHECK(eth0.routes.size() == 3);
        REQUIRE(eth0.sources.size() == 4);
        CHECK(eth0.sources[0] == Interface::Source{*Address::parse("192.0.2.7"), 24});
        CHECK(eth0.sources[1].address == *Address::parse("fe80::7%2"));
        CHECK(eth0.sources[2].deprecated);
        CHECK(eth0.sources[3].temporary);
    }

    TEST_CASE("rtnetlink: a route with several hops leads out by each of them") {
        rtmsg body{};
        body.rtm_family = AF_INET;
        body.rtm_type = RTN_UNICAST;
        const auto hop = [](int index, const char* gateway, unsigned char flags) {
            const Buffer by = attribute(RTA_GATEWAY, ip(gateway));
            rtnexthop header{};
            header.rtnh_len = static_cast<unsigned short>(sizeof(header) + by.size());
            header.rtnh_ifindex = index;
            header.rtnh_flags = flags;
            return joined({bytes_of(header), by});
        };
        const Buffer hops = joined({hop(2, "192.0.2.1", 0), hop(3, "198.51.100.1", 0),
                                    hop(4, "203.0.113.1", RTNH_F_DEAD)});
        const auto found = told({link(2, "eth0"), link(3, "eth1"), link(4, "eth2"),
                                 message(RTM_NEWROUTE, body, {attribute(RTA_MULTIPATH, hops)})});
        REQUIRE(found.size() == 3);
        CHECK(found[0].network() == "eth0 via 192.0.2.1");
        CHECK(found[1].network() == "eth1 via 198.51.100.1");
        CHECK(found[2].network() == "eth2");
    }

    TEST_CASE("rtnetlink: what is over, interrupted or refused is told") {
        InterfaceTable table;
        CHECK(table.take(joined({link(2, "eth0"), done()}), question) == Answer::done);
        CHECK(table.take(message(RTM_NEWLINK, ifinfomsg{}, {}, NLM_F_DUMP_INTR), question) ==
              Answer::interrupted);
        CHECK(table.take(message(NLMSG_ERROR, nlmsgerr{}), question) == Answer::refused);
        // Of another question.
        CHECK(table.take(done(), question + 1) == Answer::more);
    }

    TEST_CASE("rtnetlink: an answer that does not fit its lengths is refused as a whole") {
        const auto taken = [](Buffer bytes) {
            InterfaceTable table;
            (void)table.take(link(2, "eth0"), question);
            const Answer answer = table.take(bytes, question);
            CHECK(table.interfaces().size() == 1);
            return answer;
        };
        CHECK(taken({}) == Answer::malformed);
        CHECK(taken(Buffer(15)) == Answer::malformed);
        Buffer longer = link(3, "eth1");
        longer[0] = std::byte{0xff};
        CHECK(taken(longer) == Answer::malformed);
        Buffer none = link(3, "eth1");
        none[0] = std::byte{0};
        CHECK(taken(none) == Answer::malformed);
        Buffer attribute_too_long = link(3, "eth1");
        attribute_too_long[sizeof(nlmsghdr) + sizeof(ifinfomsg)] = std::byte{0xff};
        CHECK(taken(attribute_too_long) == Answer::malformed);
        Buffer attribute_of_nothing = link(3, "eth1");
        attribute_of_nothing[sizeof(nlmsghdr) + sizeof(ifinfomsg)] = std::byte{1};
        CHECK(taken(attribute_of_nothing) == Answer::malformed);
        CHECK(taken(message(RTM_NEWLINK, char{0})) == Answer::malformed);
        CHECK(taken(message(RTM_NEWADDR, char{0})) == Answer::malformed);
        CHECK(taken(message(RTM_NEWROUTE, char{0})) == Answer::malformed);
        CHECK(taken(link(3, "")) == Answer::malformed);
        CHECK(taken(link(3, "../lo")) == Answer::malformed);
        CHECK(taken(link(3, "a-name-of-sixteen")) == Answer::malformed);
        CHECK(taken(link(0, "eth1")) == Answer::malformed);
        CHECK(taken(link(-1, "eth1")) == Answer::malformed);
        CHECK(taken(address(2, "192.0.2.7", 33)) == Answer::malformed);
        CHECK(taken(route(2, "192.0.2.0", 33, "", 0)) == Answer::malformed);
        ifaddrmsg v4{};
        v4.ifa_family = AF_INET;
        CHECK(taken(message(RTM_NEWADDR, v4, {attribute(IFA_ADDRESS, ip("::1"))})) ==
              Answer::malformed);
        CHECK(taken(message(RTM_NEWADDR, v4)) == Answer::malformed);
        CHECK(taken(link(3, "eth1", IFF_UP, ARPHRD_ETHER,
                         {attribute(IFLA_LINKINFO, bytes_of(std::uint32_t{0xffff}))})) ==
              Answer::malformed);
        rtmsg way{};
        way.rtm_family = AF_INET;
        way.rtm_type = RTN_UNICAST;
        CHECK(taken(message(RTM_NEWROUTE, way,
                            {attribute(RTA_MULTIPATH, bytes_of(std::uint64_t{3}))})) ==
              Answer::malformed);
    }

    TEST_CASE("rtnetlink: however much is said, what is kept is bounded") {
        InterfaceTable table;
        for (int index = 1; index <= 1000; ++index)
            REQUIRE(table.take(link(index, "eth"), question) == Answer::more);
        for (int i = 0; i < 300; ++i) {
            REQUIRE(table.take(address(5, "192.0.2.7", 24), question) == Answer::more);
            REQUIRE(table.take(route(5, "192.0.2.0", 24, "", 0), question) == Answer::more);
        }
        const auto found = table.interfaces();
        CHECK(found.size() == InterfaceTable::most_interfaces);
        for (const Interface& each : found) {
            if (each.index != 5) continue;
            CHECK(each.sources.size() == InterfaceTable::most_sources);
            CHECK(each.routes.size() == InterfaceTable::most_routes);
            CHECK(each.more_routes);
        }
    }

    TEST_CASE("rtnetlink: bytes that are broken anywhere break nothing else: 20 000 seeds") {
        const Buffer whole = joined(
            {link(2, "eth0", IFF_UP | IFF_RUNNING, ARPHRD_ETHER,
                  {attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, text("veth")))}),
             address(2, "192.0.2.7", 24), address(2, "2001:db8::7", 64),
             route(2, "0.0.0.0", 0, "192.0.2.1", 1), route(2, "2001:db8::", 64, "", 1)});
        for (std::uint64_t seed = test::seed() * 20000; seed < test::seed() * 20000 + 20000;
             ++seed) {
            CAPTURE(seed);
            sim::Random random(seed);
            Buffer bytes = whole;
            for (std::uint64_t i = 1 + random.next() % 4; i > 0; --i)
                bytes[random.next() % bytes.size()] = static_cast<std::byte>(random.next());
            if (random.next() % 4 == 0) bytes.resize(random.next() % bytes.size());
            InterfaceTable table;
            (void)table.take(bytes, question);
            for (const Interface& each : table.interfaces()) {
                REQUIRE_FALSE(each.name.empty());
                REQUIRE(each.sources.size() <= 2);
                for (const auto& source : each.sources) REQUIRE(source.prefix <= 128);
            }
        }
    }
}

}  // namespace post::test
