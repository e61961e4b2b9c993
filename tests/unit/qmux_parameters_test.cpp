// Transport parameters of QMux: there and back, and every rule that decides what is refused.
#include <doctest/doctest.h>

#include "mappings/tls/parameters.hpp"
#include "mappings/wire/varint.hpp"
#include "tests/hostile/frames.hpp"
#include "tests/unit/framing_support.hpp"

using namespace post;
using namespace post::test;
using tls::Parameters;

namespace {

constexpr std::uint64_t max_record_size = 0x0571c59429cd0845;

// One parameter as it stands on the wire.
std::string parameter(std::uint64_t id, std::string_view content) {
    return frame::number(id) + frame::number(content.size()) + std::string(content);
}
std::string parameter(std::uint64_t id, std::uint64_t value) {
    return parameter(id, frame::number(value));
}

struct Decoded {
    bool good = false;
    Parameters parameters;
    std::string why;
};
Decoded decoded(std::string_view bytes) {
    Decoded result;
    result.good = tls::decode(std::as_bytes(std::span(bytes)), result.parameters, result.why);
    CHECK(result.good == result.why.empty());
    return result;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("qmux_parameters: there and back") {
        Parameters all;
        all.idle_timeout = 30'000;
        all.max_data = wire::varint_max;
        all.stream_data_ours = 1;
        all.stream_data_theirs = 63;
        all.stream_data_one_way = 64;
        all.streams = std::uint64_t{1} << 60;
        all.streams_one_way = 101;
        all.record_size = 1 << 20;
        all.datagram_frame_size = 16382;
        for (const Parameters& parameters : {Parameters{}, all}) {
            const auto bytes = tls::encode(parameters);
            Parameters read;
            std::string why;
            REQUIRE(tls::decode(bytes, read, why));
            CHECK(read == parameters);
        }
        // What is not said has its default.
        CHECK(tls::encode(Parameters{}).empty());
        CHECK(Parameters{}.record_size == 16382);
        CHECK(hex_of(tls::encode({.idle_timeout = 30'000})) == "01 04 80 00 75 30");
    }

    TEST_CASE("qmux_parameters: max_record_size is at least 16382") {
        CHECK(decoded(parameter(max_record_size, 16382)).parameters.record_size == 16382);
        CHECK(decoded(parameter(max_record_size, wire::varint_max)).good);
        const auto small = decoded(parameter(max_record_size, 16381));
        CHECK_FALSE(small.good);
        CHECK(small.why == "max_record_size of 16381");
        CHECK_FALSE(decoded(parameter(max_record_size, std::uint64_t{0})).good);
    }

    TEST_CASE("qmux_parameters: each that QMux prohibits") {
        // The permitted ones of RFC 9000, 18.2 besides.
        for (std::uint64_t id = 0; id <= 0x10; ++id) {
            CAPTURE(id);
            const bool permitted = id == 1 || (id >= 4 && id <= 9);
            const auto result = decoded(parameter(id, 3));
            CHECK(result.good == permitted);
            if (!permitted)
                CHECK(result.why ==
                      "transport parameter " + std::to_string(id) + ", which QMux prohibits");
            // An id that takes more bytes than it must is the same id.
            const std::string long_form = std::string("\x40") + static_cast<char>(id);
            CHECK(decoded(long_form + parameter(1, 3).substr(1)).good == permitted);
            // Empty, as disable_active_migration is.
            CHECK_FALSE(decoded(parameter(id, "")).good);
        }
    }

    TEST_CASE("qmux_parameters: unknown ones are ignored, whatever they hold") {
        // RFC 9000, 18.1: 31 * N + 27 are for that.
        std::string bytes;
        for (std::uint64_t n = 0; n < 20; ++n) bytes += parameter(31 * n + 27, std::string(n, 'x'));
        bytes += parameter(0x2ab2, "") + parameter(0x11, std::string(12, 'v'));
        bytes += parameter(wire::varint_max, "y") + parameter(4, 77);
        const auto result = decoded(bytes);
        REQUIRE(result.good);
        CHECK(result.parameters == Parameters{.max_data = 77});
    }

    TEST_CASE("qmux_parameters: none twice") {
        for (const std::uint64_t id : {std::uint64_t{1}, std::uint64_t{4}, std::uint64_t{5},
                                       std::uint64_t{6}, std::uint64_t{7}, std::uint64_t{8},
                                       std::uint64_t{9}, std::uint64_t{0x20}, max_record_size}) {
            CAPTURE(id);
            const auto one = parameter(id, 16382);
            CHECK(decoded(one).good);
            CHECK(decoded(one + parameter(27, 1)).good);
            const auto twice = decoded(one + parameter(27, 1) + one);
            CHECK_FALSE(twice.good);
            CHECK(twice.why.ends_with(" twice"));
        }
    }

    TEST_CASE("qmux_parameters: no more streams than there are ids") {
        constexpr std::uint64_t most = std::uint64_t{1} << 60;
        for (const std::uint64_t id : {8u, 9u}) {
            CHECK(decoded(parameter(id, most)).good);
            CHECK_FALSE(decoded(parameter(id, most + 1)).good);
        }
    }

    TEST_CASE("qmux_parameters: what is no number") {
        for (const std::uint64_t id : {std::uint64_t{1}, std::uint64_t{9}, max_record_size}) {
            for (const auto& content :
                 {std::string(), std::string("\x40"), std::string("\x80\0\0", 3),
                  std::string("\x7f\xff\x00", 3), std::string("\x01\x01")}) {
                const auto result = decoded(parameter(id, content));
                CHECK_FALSE(result.good);
                CHECK(result.why.ends_with("which is no number"));
            }
        }
    }

    TEST_CASE("qmux_parameters: every cut") {
        const auto bytes = parameter(1, 30'000) + parameter(27, "abc") +
                           parameter(max_record_size, 1 << 20);
        const std::size_t ends[] = {0, parameter(1, 30'000).size(),
                                    parameter(1, 30'000).size() + parameter(27, "abc").size(),
                                    bytes.size()};
        for (std::size_t size = 0; size <= bytes.size(); ++size) {
            CAPTURE(size);
            const bool whole = std::find(std::begin(ends), std::end(ends), size) != std::end(ends);
            CHECK(decoded(std::string_view(bytes).substr(0, size)).good == whole);
        }
        // A length beyond the end, and the largest there is.
        CHECK_FALSE(decoded(frame::number(27) + frame::number(2) + "x").good);
        CHECK_FALSE(decoded(frame::number(27) + frame::number(wire::varint_max) + "x").good);
    }
}
