// The order of addresses, on the examples of RFC 6724, 10.2.
#include "lib/io/address_order.hpp"

#include <ostream>
#include <string>

#include <doctest/doctest.h>

using namespace post;

namespace {

io::Reach reach(const char* destination, const char* source) {
    return {*Address::parse(destination), *source ? *Address::parse(source) : Address{}};
}

std::string sorted(std::vector<io::Reach> reaches) {
    io::sort_reaches(reaches);
    std::string text;
    for (const auto& one : reaches) text += (text.empty() ? "" : " ") + one.destination.ip_string();
    return text;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("addresses come in the order of RFC 6724") {
        struct Row {
            const char* what;
            io::Reach first;
            io::Reach second;
        };
        const Row rows[] = {
            {"a way, rule 1", reach("2001:db8:1::1", "2001:db8:1::2"), reach("2001:db8:2::1", "")},
            {"matching scope", reach("2001:db8:1::1", "2001:db8:1::2"),
             reach("198.51.100.121", "169.254.13.78")},
            {"matching scope the other way", reach("198.51.100.121", "198.51.100.117"),
             reach("2001:db8:1::1", "fe80::1%1")},
            {"higher precedence", reach("2001:db8:1::1", "2001:db8:1::2"),
             reach("10.1.2.3", "10.1.2.4")},
            {"smaller scope", reach("fe80::1%1", "fe80::2%1"),
             reach("2001:db8:1::1", "2001:db8:1::2")},
            {"matching label", reach("2002:c633:6401::1", "2002:c633:6401::2"),
             reach("2001:db8:1::1", "2002:c633:6401::2")},
            {"longest prefix", reach("2001:db8:3ffe::1", "2001:db8:3f44::2"),
             reach("2001:db8:1::1", "2001:db8:3f44::2")},
            {"ULA after global without a source of its own", reach("2001:db8::1", "2001:db8::2"),
             reach("fd00::1", "2001:db8::2")},
        };
        for (const Row& row : rows) {
            CAPTURE(row.what);
            const std::string expected = row.first.destination.ip_string() + " " +
                                         row.second.destination.ip_string();
            CHECK(sorted({row.first, row.second}) == expected);
            CHECK(sorted({row.second, row.first}) == expected);
        }
        // What has no difference stays as it came.
        CHECK(sorted({reach("192.0.2.9", "10.0.0.1"), reach("10.0.0.2", "10.0.0.1")}) ==
              "192.0.2.9 10.0.0.2");
    }
}
