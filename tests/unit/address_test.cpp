// Address: what is one, what is none, and the one way to print it.
#include <post/address.hpp>

#include <ostream>
#include <string>
#include <unordered_set>

#include <doctest/doctest.h>

using post::Address;

namespace {

std::string printed(std::string_view text) {
    const auto address = Address::parse(text);
    return address ? address->ip_string() : "nothing";
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("an address is printed in the form of RFC 5952") {
        struct Row {
            const char* text;
            const char* printed;
        };
        static constexpr Row rows[] = {
            {"192.0.2.1", "192.0.2.1"},
            {"0.0.0.0", "0.0.0.0"},
            {"255.255.255.255", "255.255.255.255"},
            {"::", "::"},
            {"::1", "::1"},
            {"1::", "1::"},
            {"2001:DB8::1", "2001:db8::1"},
            {"2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1"},
            // 4.2.2: a single zero group is not shortened; 4.2.3: the longest run, else the first.
            {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
            {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
            {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
            {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
            {"0:0:0:0:1:0:0:0", "::1:0:0:0"},
            {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
            {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
            {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
            {"1:2:3:4:5:6:192.0.2.33", "1:2:3:4:5:6:c000:221"},
            {"::ffff:192.0.2.1", "192.0.2.1"},
            {"::FFFF:c000:201", "192.0.2.1"},
            {"fe80::1%3", "fe80::1%3"},
            {"fe80::1%4294967295", "fe80::1%4294967295"},
            {"fe80::1%0", "fe80::1"},
            {"ff02::1%2", "ff02::1%2"},
        };
        for (const Row& row : rows) {
            CAPTURE(row.text);
            CHECK(printed(row.text) == row.printed);
            // What is printed parses to the same address.
            CHECK(Address::parse(row.printed) == Address::parse(row.text));
        }
    }

    TEST_CASE("what has two readings or none is no address") {
        for (const char* text : {"",
                                 " ",
                                 "1",
                                 "1.2.3",
                                 "1.2.3.4.5",
                                 "1.2.3.256",
                                 "01.2.3.4",
                                 "1.2.3.04",
                                 "0x1.2.3.4",
                                 "1.2.3.4 ",
                                 " 1.2.3.4",
                                 "1.2.3.-4",
                                 "1..2.3",
                                 ".1.2.3",
                                 "1.2.3.",
                                 "1.2.3.4%1",
                                 "192.0.2.1:443",
                                 "[::1]",
                                 "localhost",
                                 ":",
                                 ":::",
                                 "::1::",
                                 "1::2::3",
                                 ":1",
                                 "1:",
                                 "::1:",
                                 ":1::",
                                 "1:2:3:4:5:6:7",
                                 "1:2:3:4:5:6:7:8:9",
                                 "1:2:3:4:5:6:7:8::",
                                 "::1:2:3:4:5:6:7:8",
                                 "1:2:3:4::5:6:7:8",
                                 "12345::",
                                 "g::",
                                 "::1.2.3",
                                 "::1.2.3.4:5",
                                 "1.2.3.4::",
                                 "1:2:3:4:5:6:7:1.2.3.4",
                                 "::1.2.3.256",
                                 "fe80::1%",
                                 "fe80::1%eth0",
                                 "fe80::1%-1",
                                 "fe80::1%01",
                                 "fe80::1%4294967296",
                                 "2001:db8::1%1",
                                 "::1%1",
                                 "::ffff:1.2.3.4%1"}) {
            CAPTURE(text);
            CHECK_FALSE(Address::parse(text).has_value());
        }
        CHECK_FALSE(Address::parse(std::string_view("1.2.3.4\0", 8)).has_value());
        CHECK_FALSE(Address::parse(std::string(100'000, ':')).has_value());
        CHECK_FALSE(Address::parse(std::string(100'000, '1')).has_value());
    }

    TEST_CASE("an address with its port has brackets when it has colons") {
        CHECK(Address::parse("192.0.2.1", 443)->string() == "192.0.2.1:443");
        CHECK(Address::parse("2001:db8::1", 443)->string() == "[2001:db8::1]:443");
        CHECK(Address::parse("fe80::1%7", 1)->string() == "[fe80::1%7]:1");
        CHECK(Address{}.string() == "none");
    }

    TEST_CASE("any and loopback are known in both families") {
        CHECK(Address::any_v4(5).is_any());
        CHECK(Address::any_v6(5).is_any());
        CHECK(Address::any_v4(5).port == 5);
        CHECK_FALSE(Address{}.is_any());
        CHECK_FALSE(Address::parse("::1")->is_any());
        CHECK(Address::parse("127.0.0.1")->is_loopback());
        CHECK(Address::parse("127.255.0.9")->is_loopback());
        CHECK(Address::parse("::1")->is_loopback());
        CHECK_FALSE(Address::parse("128.0.0.1")->is_loopback());
        CHECK_FALSE(Address::parse("::2")->is_loopback());
        CHECK_FALSE(Address::any_v6().is_loopback());
        CHECK_FALSE(Address{}.is_loopback());
    }

    TEST_CASE("neighbours have different hashes, in their low bits too") {
        std::unordered_set<std::size_t> low;
        const std::hash<Address> hash;
        for (std::uint16_t i = 0; i < 256; ++i) {
            auto address = *Address::parse("10.0.0.1", static_cast<std::uint16_t>(4000 + i));
            low.insert(hash(address) & 0xffff);
            address.ip[3] = static_cast<std::uint8_t>(i + 2);
            address.port = 4000;
            low.insert(hash(address) & 0xffff);
        }
        // 512 of 65536: two or so meet by chance.
        CHECK(low.size() > 500);
        CHECK(hash(*Address::parse("::ffff:1.2.3.4", 1)) == hash(*Address::parse("1.2.3.4", 1)));
    }
}
