// Paths: which interfaces are taken and in which order, from which address each reaches a Remote,
// and that candidates are ordered path, stack, endpoint. Pure.
#include "lib/policy/paths.hpp"

#include "lib/association/plan.hpp"
#include "tests/seed.hpp"
#include "tests/sim/random.hpp"
#include "tests/unit/race_support.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;
using core::Order;
using core::PathSelection;
using core::RaceOptions;
using core::select_paths;

Address ip(const std::string& text, std::uint32_t scope = 0) {
    Address address = *Address::parse(text);
    address.scope = scope;
    return address;
}

Interface wired() {
    Interface eth0{"eth0", InterfaceType::wired, 2, 1500};
    eth0.sources = {{ip("192.0.2.7"), 24},
                    {ip("fe80::7", 2), 64},
                    {ip("2001:db8::7"), 64},
                    {ip("2001:db8::beef"), 64, true}};
    eth0.routes = {{Address::any_v4(), 0, ip("192.0.2.1"), 100},
                   {Address::any_v6(), 0, ip("fe80::1"), 100}};
    return eth0;
}

Interface wifi() {
    Interface wlan0{"wlan0", InterfaceType::wifi, 3, 1500};
    wlan0.sources = {{ip("198.51.100.7"), 24}};
    wlan0.routes = {{Address::any_v4(), 0, ip("198.51.100.1"), 600}};
    return wlan0;
}

Interface loopback() {
    Interface lo{"lo", InterfaceType::loopback, 1, 65536};
    lo.sources = {{ip("127.0.0.1"), 8}, {ip("::1"), 128}};
    return lo;
}

const std::vector<Interface> three = {wired(), wifi(), loopback()};

std::vector<Address> own() {
    std::vector<Address> all;
    for (const Interface& each : three)
        for (const auto& source : each.sources) all.push_back(source.address);
    return all;
}

// "eth0 wlan0"
std::string names(const PathSelection& selection) {
    std::string text;
    for (const Interface& each : selection.chosen) text += (text.empty() ? "" : " ") + each.name;
    return text;
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

// From where, or why not.
std::string from(const Interface& interface, const std::string& remote, std::uint32_t scope = 0,
                 SourceChoice choice = SourceChoice::automatic, const Address& wanted = {}) {
    const auto path = core::reach(interface, ip(remote, scope), choice, wanted, own());
    if (!path) return "not: " + path.error().detail.string();
    CHECK(path->interface == interface.name);
    CHECK(path->index == interface.index);
    return path->source.ip_string();
}

RaceOptions options_over(const std::vector<Interface>& interfaces, const Policy& policy = {},
                         const Local& local = {}) {
    auto options = core::race_options(core::select(policy));
    auto selection = select_paths(interfaces, policy, {}, local);
    RaceOptions::Out out{.refused = selection.refused, .error = selection.error, .own = own()};
    for (Interface& each : selection.chosen) out.paths.push_back({each, each.network(), {}, {}});
    options.out = std::move(out);
    return options;
}

// "quic6 over eth0"
std::vector<std::string> order(const std::vector<Endpoint>& endpoints, const RaceOptions& options) {
    std::vector<std::string> all;
    for (const auto& each : core::arrange(endpoints, options).candidates)
        all.push_back(std::string(to_string(each.stack)) +
                      (each.endpoint.address.family == Address::Family::v6 ? "6" : "4") + " over " +
                      each.path.interface);
    return all;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("paths: a name counts more than a type, the application more than the system") {
        const std::vector<Interface> paths = {{"eth0", InterfaceType::wired},
                                              {"wlan0", InterfaceType::wifi},
                                              {"wlan1", InterfaceType::wifi},
                                              {"wwan0", InterfaceType::cellular}};
        const auto order_of = [&](const Policy& policy, const Preferences& system = {}) {
            return names(select_paths(paths, policy, system));
        };
        Policy policy;
        CHECK(order_of(policy) == "eth0 wlan0 wlan1 wwan0");
        policy.preferences.interfaces = {
            {.type = InterfaceType::wifi, .preference = Preference::prefer},
            {.name = "wlan0", .preference = Preference::avoid},
            {.type = InterfaceType::cellular, .preference = Preference::prohibit}};
        CHECK(order_of(policy) == "wlan1 eth0 wlan0");
        Preferences system;
        system.interfaces = {{.name = "eth0", .preference = Preference::prefer},
                             {.name = "wlan1", .preference = Preference::prohibit}};
        CHECK(order_of(policy, system) == "eth0 wlan1 wlan0");
        CHECK(order_of(Policy{}, system) == "eth0 wlan0 wwan0");
        policy.preferences.interfaces = {{.name = "tun0", .preference = Preference::require}};
        const auto selection = select_paths(paths, policy);
        CHECK(selection.error == Errc::no_route);
        const std::string text = selection.error.detail.string();
        CHECK(contains(text, "required is interface tun0; there are:"));
        CHECK(contains(text, "\n  wwan0 (cellular)"));
    }

    TEST_CASE("paths: without a wish of anybody's there are none to choose from") {
        CHECK_FALSE(PathSelection::needed({}, {}, {}));
        CHECK_FALSE(PathSelection::needed({.port = 1, .address = ip("192.0.2.7")}, {}, {}));
        CHECK(PathSelection::needed({.interfaces = {"eth0"}}, {}, {}));
        Preferences some;
        some.interfaces = {{.name = "eth0", .preference = Preference::avoid}};
        CHECK(PathSelection::needed({}, {.preferences = some}, {}));
        CHECK(PathSelection::needed({}, {}, some));
    }

    TEST_CASE("paths: a Local names interfaces by name, index and address, in its own order") {
        CHECK(names(select_paths(three, {}, {}, {.interfaces = {"wlan0", "eth0"}})) ==
              "wlan0 eth0");
        CHECK(names(select_paths(three, {}, {}, {.interfaces = {"3"}})) == "wlan0");
        CHECK(names(select_paths(three, {}, {}, {.interfaces = {"2001:db8::beef"}})) == "eth0");
        CHECK(names(select_paths(three, {}, {}, {.interfaces = {"eth0", "2"}})) == "eth0");
        // What the policy prefers goes before.
        Policy policy;
        policy.preferences.interfaces = {{.name = "eth0", .preference = Preference::prefer}};
        CHECK(names(select_paths(three, policy, {}, {.interfaces = {"wlan0", "eth0"}})) ==
              "eth0 wlan0");
        const auto none = select_paths(three, {}, {}, {.interfaces = {"eth7"}});
        CHECK(none.error == Errc::no_route);
        CHECK(contains(none.error.detail.string(),
                       "of those that the Local names, eth7; there are:\n  eth0 (wired): "
                       "192.0.2.7, fe80::7%2, 2001:db8::7, 2001:db8::beef"));
        CHECK(none.refused.size() == 3);
    }

    TEST_CASE("paths: at most sixteen are taken, and the others say so") {
        std::vector<Interface> many;
        for (int i = 0; i < 20; ++i) many.push_back({"eth" + std::to_string(i)});
        const auto selection = select_paths(many, {});
        CHECK(selection.chosen.size() == 16);
        REQUIRE(selection.refused.size() == 4);
        CHECK(contains(selection.refused[0].reason, "beyond the 16 paths"));
    }

    TEST_CASE("paths: loopback is for this machine, and this machine for loopback") {
        CHECK(from(loopback(), "127.0.0.1") == "127.0.0.1");
        CHECK(from(loopback(), "::1") == "::1");
        CHECK(contains(from(loopback(), "203.0.113.1"), "not: the loopback interface leads"));
        CHECK(contains(from(wired(), "127.0.0.1"), "not: it is this machine"));
        // Any address of ours, too.
        CHECK(contains(from(wired(), "198.51.100.7"), "not: it is this machine"));
        CHECK(from(loopback(), "198.51.100.7") == "127.0.0.1");
    }

    TEST_CASE("paths: link-local is for link-local Remotes on the same link") {
        CHECK(from(wired(), "fe80::99", 2) == "fe80::7%2");
        CHECK(contains(from(wired(), "fe80::99", 3), "not: a link-local address of another link"));
        CHECK(contains(from(wired(), "fe80::99"), "not: a link-local address without its zone"));
        Interface bare = wired();
        bare.sources = {{ip("fe80::7", 2), 64}};
        CHECK(contains(from(bare, "2001:db8:1::1"), "not: it has no IPv6 address for it"));
    }

    TEST_CASE("paths: the source is of the Remote's family, routed, and as the Local wants it") {
        CHECK(from(wifi(), "203.0.113.1") == "198.51.100.7");
        CHECK(contains(from(wifi(), "2001:db8:1::1"), "not: it has no IPv6 address"));
        CHECK(from(wired(), "2001:db8:1::1") == "2001:db8::beef");  // temporary: RFC 6724, rule 7
        CHECK(from(wired(), "2001:db8:1::1", 0, SourceChoice::temporary) == "2001:db8::beef");
        CHECK(from(wired(), "2001:db8:1::1", 0, SourceChoice::stable) == "2001:db8::7");
        CHECK(from(wired(), "2001:db8:1::1", 0, SourceChoice::automatic, ip("2001:db8::7")) ==
              "2001:db8::7");
        CHECK(contains(from(wifi(), "203.0.113.1", 0, SourceChoice::automatic, ip("192.0.2.7")),
                       "not: it does not have the address 192.0.2.7"));
        Interface near = wifi();
        near.routes.clear();
        CHECK(contains(from(near, "203.0.113.1"), "not: no route leads there"));
        CHECK(from(near, "198.51.100.200") == "198.51.100.7");  // a neighbour
        near.routes = {{ip("203.0.113.0"), 24, ip("198.51.100.1")}};
        CHECK(from(near, "203.0.113.1") == "198.51.100.7");
        CHECK(contains(from(near, "203.0.114.1"), "not: no route"));
        near.more_routes = true;  // nobody knows
        CHECK(from(near, "203.0.114.1") == "198.51.100.7");
    }

    TEST_CASE("paths: a deprecated address is the last choice, a longer prefix a better one") {
        Interface eth0 = wired();
        eth0.sources = {{ip("2001:db8:a::1"), 64, false, true}, {ip("2001:db8:b::1"), 64}};
        CHECK(from(eth0, "2001:db8:a::2") == "2001:db8:b::1");
        eth0.sources[0].deprecated = false;
        CHECK(from(eth0, "2001:db8:a::2") == "2001:db8:a::1");
        eth0.sources.pop_back();
        eth0.sources[0].deprecated = true;
        CHECK(from(eth0, "2001:db8:a::2") == "2001:db8:a::1");
    }

    TEST_CASE("paths: candidates are ordered path, then stack, then endpoint") {
        const std::vector<Endpoint> endpoints = {{.address = v6(1)}, {.address = v4(99)}};
        const Policy two{.stacks = {Stack::quic, Stack::tls}};
        CHECK(order(endpoints, options_over(three, two, {.interfaces = {"wlan0", "eth0"}})) ==
              std::vector<std::string>{"quic4 over wlan0", "tls4 over wlan0", "quic6 over eth0",
                                       "tls4 over eth0", "quic4 over eth0", "tls6 over eth0"});
        const Order refused = core::arrange(endpoints,
                                            options_over(three, two, {.interfaces = {"wlan0"}}));
        REQUIRE(refused.refused.size() == 1);
        CHECK(refused.refused[0].path == "wlan0");
        CHECK(contains(refused.refused[0].reason, "it has no IPv6 address"));
    }

    TEST_CASE("paths: what is remembered of a network steers its path alone") {
        const std::vector<Endpoint> endpoints = {{.address = v4(99)}};
        const Policy two{.stacks = {Stack::quic, Stack::tls}};
        RaceOptions options = options_over(three, two, {.interfaces = {"wlan0", "eth0"}});
        options.out->paths[0].winner = {Stack::tls, v4(99)};
        CHECK(order(endpoints, options) ==
              std::vector<std::string>{"tls4 over wlan0", "quic4 over wlan0", "quic4 over eth0",
                                       "tls4 over eth0"});
    }

    TEST_CASE("paths: no path crowds out another, and no candidate stands twice: 500 seeds") {
        for (std::uint64_t seed = test::seed() * 500; seed < test::seed() * 500 + 500; ++seed) {
            CAPTURE(seed);
            sim::Random random(seed);
            std::vector<Interface> interfaces;
            for (std::uint64_t i = 1 + random.next() % 5; i > 0; --i) {
                Interface each = random.next() % 2 ? wired() : wifi();
                each.name = "eth" + std::to_string(i);
                interfaces.push_back(each);
            }
            std::vector<Endpoint> endpoints;
            for (std::uint64_t i = 1 + random.next() % 12; i > 0; --i) {
                const int host = 20 + static_cast<int>(random.next() % 20);
                endpoints.push_back({.address = random.next() % 2 ? v6(host) : v4(host)});
            }
            endpoints.push_back({.address = v4(99)});  // that all of them reach
            const RaceOptions options = options_over(interfaces);
            const Order order = core::arrange(endpoints, options);
            REQUIRE(order.candidates.size() <= core::most_attempts);
            std::size_t path = 0;
            std::vector<bool> met(interfaces.size());
            for (std::size_t i = 0; i < order.candidates.size(); ++i) {
                const auto& each = order.candidates[i];
                // In the order of the paths, and never back.
                while (path < interfaces.size() && interfaces[path].name != each.path.interface)
                    ++path;
                REQUIRE(path < interfaces.size());
                met[path] = true;
                for (std::size_t k = 0; k < i; ++k) {
                    const auto& other = order.candidates[k];
                    REQUIRE_FALSE((other.stack == each.stack &&
                                   other.endpoint.address == each.endpoint.address &&
                                   other.path.interface == each.path.interface));
                }
            }
            for (const bool each : met) REQUIRE(each);
        }
    }

    TEST_CASE("paths: the plan names the path and the source of each, and every refusal") {
        Policy policy{.stacks = {Stack::quic, Stack::tls}};
        policy.preferences.interfaces = {
            {.name = "wlan0", .preference = Preference::prefer},
            {.type = InterfaceType::loopback, .preference = Preference::prohibit}};
        const std::string text = core::plan(Remote("post://a.example"), core::select(policy),
                                            {{.address = v6(1), .from = "AAAA"},
                                             {.address = v4(99), .from = "A"}},
                                            options_over(three, policy))
                                     .string();
        for (const char* part :
             {"\n        0 ms  quic to 192.0.2.99:4433 over wlan0 from 198.51.100.7 (A): quic is",
              "\n      500 ms  quic to [2001:db8::1]:4433 over eth0 from 2001:db8::beef (AAAA): ",
              "\n         not  [2001:db8::1]:4433 over wlan0: it has no IPv6 address for it",
              "\n         not  interface lo: type loopback is prohibited"})
            CHECK_MESSAGE(contains(text, part), part, "\n", text);
    }

    TEST_CASE("paths: a race without any says which there are, and asks nobody") {
        RaceWorld world;
        world.begin(Remote("post://a.example"), options_over(three, {}, {.interfaces = {"eth7"}}));
        CHECK(world.race.exhausted());
        CHECK_FALSE(world.race.next(world.now));
        const Error error = world.race.report();
        CHECK(error == Errc::no_route);
        CHECK(contains(error.detail.string(), "eth7; there are:\n  eth0"));
        CHECK(world.race.establishment().refused.size() == 3);
        CHECK(contains(world.race.establishment().string(), "\n  not wlan0: the Local names eth7"));
    }
}

}  // namespace post::test
