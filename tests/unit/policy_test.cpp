// Policy: what preferences make of the stacks, files of preferences, and paths.
#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>

#include "lib/policy/selection.hpp"

namespace post::test {

namespace {

using core::select;

bool mentions(const Error& error, std::string_view part) {
    return error.detail.string().find(part) != std::string::npos;
}

std::string order(const core::Selection& selection) {
    std::string text;
    for (const auto& each : selection.chosen)
        text += (text.empty() ? "" : " ") + std::string(to_string(each.stack));
    return text;
}

Policy with(Feature feature, Preference preference) {
    Policy policy;
    policy.preferences.features = {{feature, preference}};
    return policy;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("without preferences the policy's own order holds") {
        CHECK(order(select(Policy{})) == "quic sctp-dtls tls");
        CHECK(order(select({.stacks = {Stack::tls, Stack::quic}})) == "tls quic");
    }

    TEST_CASE("each preference does to the stacks what it says") {
        const Feature lossy = Feature::unreliable;
        CHECK(order(select(with(lossy, Preference::require))) == "quic sctp-dtls");
        CHECK(order(select(with(lossy, Preference::prohibit))) == "tls");
        CHECK(order(select(with(lossy, Preference::avoid))) == "tls quic sctp-dtls");
        CHECK(order(select(with(lossy, Preference::none))) == "quic sctp-dtls tls");
        CHECK(order(select(with(Feature::label, Preference::prefer))) == "sctp-dtls quic tls");
        Policy policy;
        policy.preferences.stacks = {{Stack::tls, Preference::prefer},
                                     {Stack::quic, Preference::avoid}};
        CHECK(order(select(policy)) == "tls sctp-dtls quic");
        policy.preferences.stacks = {{Stack::tls, Preference::require}};
        CHECK(order(select(policy)) == "tls");
        policy.preferences.stacks = {{Stack::quic, Preference::prohibit}};
        CHECK(order(select(policy)) == "sctp-dtls tls");
    }

    TEST_CASE("a requirement that no stack can meet is an error that names it") {
        const auto selection = select(with(Feature::datagram_options, Preference::require));
        CHECK(selection.chosen.empty());
        CHECK(selection.error == Errc::unsupported);
        CHECK(selection.error.stage == Stage::call);
        for (const char* part : {"'datagramOptions' is required", "quic", "sctp-dtls", "tls",
                                 "messages share packets"})
            CHECK_MESSAGE(mentions(selection.error, part), part);
    }

    TEST_CASE("who has to be early gets the stacks whose first flight has room for messages") {
        CHECK(order(select(with(Feature::early_data, Preference::require))) == "quic tls");
        Policy policy = with(Feature::early_data, Preference::require);
        policy.stacks = {Stack::sctp_dtls};
        CHECK(select(policy).error == Errc::unsupported);
    }

    TEST_CASE("what cannot be met together names each, on each stack") {
        Policy policy = with(Feature::label, Preference::require);
        policy.preferences.stacks = {{Stack::sctp_dtls, Preference::prohibit}};
        const auto selection = select(policy);
        REQUIRE(selection.error);
        CHECK(mentions(selection.error, "quic: 'label' is required"));
        CHECK(mentions(selection.error, "sctp-dtls: the stack is prohibited"));
    }

    TEST_CASE("preferences never bring in what is not secure, or put it first") {
        Policy policy{.stacks = {Stack::sctp_udp, Stack::quic}};
        policy.preferences.stacks = {{Stack::sctp_udp, Preference::prefer}};
        CHECK(order(select(policy)) == "quic");
        policy.security = Security::none;
        auto selection = select(policy);
        CHECK(order(selection) == "quic sctp-udp");
        CHECK(selection.secure() == std::vector{Stack::quic});
        CHECK(selection.insecure() == std::vector{Stack::sctp_udp});
        policy.preferences.features = {{Feature::security, Preference::require}};
        CHECK(order(select(policy)) == "quic");
    }

    TEST_CASE("a plain peer has less to give") {
        const Policy policy = with(Feature::message_boundaries, Preference::require);
        CHECK(order(select(policy)) == "quic sctp-dtls tls");
        CHECK(order(select(policy, {}, true)) == "sctp-dtls");
        CHECK(order(select(Policy{}, {}, true)) == "quic sctp-dtls tls");
    }

    TEST_CASE("the profiles of RFC 9622 find stacks, and losing comes first where it is wanted") {
        CHECK(order(select(Policy::reliable_messages())) == "quic sctp-dtls tls");
        CHECK(order(select(Policy::reliable_stream())) == "quic sctp-dtls tls");
        CHECK(order(select(Policy::unreliable_datagrams())) == "quic sctp-dtls tls");
        Policy backwards = Policy::unreliable_datagrams();
        backwards.stacks = {Stack::tls, Stack::quic};
        CHECK(order(select(backwards)) == "quic tls");
    }

    TEST_CASE("the system's preferences stand below the application's") {
        Preferences system;
        system.features = {{Feature::unreliable, Preference::prohibit}};
        CHECK(order(select(Policy{}, system)) == "tls");
        // The application says something of it, be it that it does not care.
        CHECK(order(select(with(Feature::unreliable, Preference::none), system)) ==
              "quic sctp-dtls tls");
        // Nothing is left with both: the system's gives way, and becomes a wish.
        const auto selection = select({.stacks = {Stack::quic, Stack::sctp_dtls}}, system);
        CHECK(order(selection) == "quic sctp-dtls");
        REQUIRE(selection.relaxed.size() == 1);
        CHECK(selection.relaxed[0] == "'perMsgReliability': prohibit");
        CHECK(Policy{.stacks = {Stack::quic}}.explain(system).find("gives way") !=
              std::string::npos);
        // What the application demands does not.
        CHECK(select(with(Feature::datagram_options, Preference::require), system).error);
    }

    TEST_CASE("a policy explains itself") {
        const auto support = Policy{}.explain(Feature::unreliable);
        REQUIRE(support.size() == 3);
        CHECK(support[2].stack == Stack::tls);
        CHECK(support[2].support.level == Support::Level::unsupported);
        const std::string text = with(Feature::unreliable, Preference::require).explain();
        for (const char* part : {"quic: number 1 of the policy's stacks",
                                 "not tls: 'perMsgReliability' is required, and unsupported: TCP",
                                 "\n  niceness: emulated: our scheduler"})
            CHECK_MESSAGE(text.find(part) != std::string::npos, part, text);
    }

    TEST_CASE("names of features, stacks and preferences lead back to them") {
        for (std::uint8_t i = 0; i < feature_count; ++i) {
            const auto feature = static_cast<Feature>(i);
            CHECK(feature_of(to_string(feature)) == feature);
        }
        CHECK_FALSE(feature_of("unknown"));
        for (const Stack stack : {Stack::quic, Stack::sctp_dtls, Stack::sctp_udp, Stack::tls})
            CHECK(stack_of(to_string(stack)) == stack);
        CHECK(preference_of("avoid") == Preference::avoid);
        CHECK_FALSE(preference_of("Avoid"));
    }

    TEST_CASE("a file of preferences is read as it is documented") {
        const auto read = Preferences::parse(
            "; ours\n[features]\n multistreaming = prefer ; yes\r\nsecurity=require\n\n"
            "[stacks]\nsctp-dtls = prohibit\n[interfaces]\nwlan0 = avoid\n"
            "type cellular = prohibit # costs money");
        REQUIRE(read);
        Preferences expected;
        expected.features = {{Feature::fork, Preference::prefer},
                             {Feature::security, Preference::require}};
        expected.stacks = {{Stack::sctp_dtls, Preference::prohibit}};
        expected.interfaces = {
            {.name = "wlan0", .preference = Preference::avoid},
            {.type = InterfaceType::cellular, .preference = Preference::prohibit}};
        CHECK(*read == expected);
        CHECK(*Preferences::parse(expected.string()) == expected);
        CHECK(Preferences::parse("")->features.empty());
        // Each interface is a provisioning domain (RFC 9622, 6.2.12).
        CHECK(*Preferences::parse("[pvd]\nwlan0 = avoid") ==
              *Preferences::parse("[interfaces]\nwlan0 = avoid"));
    }

    TEST_CASE("a mistake in it is refused with file, line and reason") {
        struct Row {
            const char* text;
            const char* says;
        };
        for (const Row& row : {
                 Row{"[features]\n\nmultistreming = prefer", "p.ini:3: 'multistreming' is no feat"},
                 Row{"[stacks]\nquick = avoid", "p.ini:2: 'quick' is no stack"},
                 Row{"[stacks]\nquic = Prefer", "p.ini:2: 'Prefer' is none of require, prefer"},
                 Row{"quic = avoid", "p.ini:1: it stands before the first"},
                 Row{"[stack]", "p.ini:1: '[stack]' is none of [features]"},
                 Row{"[stacks]\nquic", "p.ini:2: neither [section] nor name"},
                 Row{"[stacks]\nquic = avoid\nquic = avoid", "p.ini:3: 'quic' stands there twice"},
                 Row{"[features]\nsecurity = avoid", "p.ini:2: a system cannot weaken security"},
                 Row{"[features]\nsecurity = none", "p.ini:2: a system cannot weaken security"},
                 Row{"[interfaces]\ntype phone = avoid", "p.ini:2: 'phone' is none of loopback"},
                 Row{"[interfaces]\na/b = avoid", "p.ini:2: 'a/b' is no name of an interface"},
                 Row{"[interfaces]\n= avoid", "p.ini:2: '' is no name of an interface"},
                 Row{"[stacks]\n\x01 = avoid", "p.ini:2: '?' is no stack"},
             }) {
            const auto read = Preferences::parse(row.text, "p.ini");
            REQUIRE_FALSE(read);
            CHECK(read.error() == Errc::invalid_argument);
            CHECK_MESSAGE(mentions(read.error(), row.says), row.says, read.error().detail.string());
        }
        std::string many = "[interfaces]\n";
        for (int i = 0; i < 65; ++i) many += "eth" + std::to_string(i) + " = avoid\n";
        CHECK(mentions(Preferences::parse(many).error(), ":66: more than 64 interfaces"));
    }

    TEST_CASE("a file that is not there, too long, or no file is an error that names it") {
        CHECK(Preferences::read("no/such/file").error() == Errc::file);
        CHECK(mentions(Preferences::read("no/such/file").error(), "no/such/file"));
        CHECK(Preferences::read("/").error() == Errc::file);
    }
}

}  // namespace post::test
