// Local and Interface as text.
#include <post/local.hpp>

#include <doctest/doctest.h>

#include <post/interface.hpp>

namespace post::test {

namespace {

// "interface address port-last_port"
std::string shape(std::string_view text) {
    const auto local = Local::parse(text);
    if (!local) return local.error() == Errc::invalid_argument ? "refused" : "another error";
    std::string found;
    for (const std::string& each : local->interfaces) found += each + " ";
    if (local->address.family != Address::Family::none) found += local->address.ip_string() + " ";
    found += std::to_string(local->port);
    if (local->last_port != 0) found += "-" + std::to_string(local->last_port);
    return found;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("local: an interface or an address, and a port or a range of them") {
        CHECK(shape("eth0") == "eth0 0");
        CHECK(shape("eth0:4000") == "eth0 4000");
        CHECK(shape("eth0:4000-4010") == "eth0 4000-4010");
        CHECK(shape("3") == "3 0");
        CHECK(shape("192.0.2.7") == "192.0.2.7 0");
        CHECK(shape("192.0.2.7:4000-4010") == "192.0.2.7 4000-4010");
        CHECK(shape("2001:db8::7") == "2001:db8::7 0");
        CHECK(shape("[2001:db8::7]") == "2001:db8::7 0");
        CHECK(shape("[fe80::7%2]:4000") == "fe80::7%2 4000");
        CHECK(shape(":4433") == "4433");
        CHECK(shape(":4433-4433") == "4433-4433");
    }

    TEST_CASE("local: what is none is refused, and says why") {
        for (const char* text :
             {"", ":", ":0", ":65536", ":4010-4000", ":4000-", ":-1", "eth0:", "eth0:x",
              "[eth0]:4000", "[]:4000", "a/b", "eth 0", "sixteen-letters.", "[::1", "::1]:4"})
            CHECK_MESSAGE(shape(text) == "refused", text);
        const Error error = Local::parse(":4010-4000").error();
        CHECK(error.detail.view() ==
              "':4010-4000' is no Local: a range of ports ends above where it begins");
    }

    TEST_CASE("local: a network is an interface and its gateways") {
        Interface eth0{"eth0", InterfaceType::wired, 2, 1500};
        CHECK(eth0.network() == "eth0");
        CHECK(eth0.string() == "eth0 (wired)");
        eth0.routes = {{Address::any_v4(), 0, *Address::parse("192.0.2.254"), 200},
                       {Address::any_v6(), 0, *Address::parse("fe80::1"), 100},
                       {*Address::parse("198.51.100.0"), 24, *Address::parse("192.0.2.9"), 0},
                       {Address::any_v4(), 0, *Address::parse("192.0.2.1"), 100}};
        CHECK(eth0.network() == "eth0 via 192.0.2.1 fe80::1");
        eth0.sources = {{*Address::parse("192.0.2.7"), 24}, {*Address::parse("fe80::7"), 64}};
        CHECK(eth0.string() == "eth0 (wired): 192.0.2.7, fe80::7");
    }
}

}  // namespace post::test
