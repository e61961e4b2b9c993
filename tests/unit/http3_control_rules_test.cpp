// The rules of the control stream that nghttp3 leaves out, over every way of cutting it into
// pieces.
#include <doctest/doctest.h>

#include <string>

#include "mappings/http3/control_rules.hpp"

namespace post::http3 {

namespace {

using namespace std::string_literals;

// The code of the first broken rule, when so many bytes come at once.
std::uint64_t read(const std::string& stream, std::size_t at_once, std::int64_t id = 2) {
    ControlRules rules;
    const auto bytes = std::as_bytes(std::span(stream));
    for (std::size_t i = 0; i < bytes.size(); i += at_once)
        if (const auto code = rules.read(id, bytes.subspan(i, std::min(at_once, bytes.size() - i))))
            return code;
    return 0;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("http3: frames of the control stream say what they may, however they are cut") {
        struct Row {
            const char* name;
            std::string stream;
            std::uint64_t code;
        };
        const std::string begin = "\0\x04\0"s;
        const Row rows[] = {
            {"SETTINGS", "\0\x04\x04\x06\x40\x10\x21"s, 0x106},
            {"good SETTINGS", "\0\x04\x05\x06\x40\x10\x08\x01"s, 0},
            {"a name without a value", "\0\x04\x01\x06"s, 0x106},
            {"extended CONNECT of 2", "\0\x04\x02\x08\x02"s, 0x109},
            {"datagrams of 2", "\0\x04\x02\x33\x02"s, 0x109},
            {"datagrams of 1", "\0\x04\x02\x33\x01"s, 0},
            {"GOAWAY", begin + "\x07\x01\x04"s, 0},
            {"GOAWAY with more", begin + "\x07\x02\0\0"s, 0x106},
            {"GOAWAY with less", begin + "\x07\x01\x40"s, 0x106},
            {"GOAWAY without an id", begin + "\x07\0"s, 0x106},
            {"MAX_PUSH_ID grows", begin + "\x0d\x01\x04\x0d\x01\x04\x0d\x01\x05"s, 0},
            {"MAX_PUSH_ID shrinks", begin + "\x0d\x01\x04\x0d\x01\x03"s, 0x108},
            {"CANCEL_PUSH", begin + "\x03\x01\0"s, 0x108},
            {"what is unknown", begin + "\x21\x05hello\x40\x21\0\x07\x01\0"s, 0},
            {"behind what is unknown", begin + "\x21\x05hello\x07\x02\0\0"s, 0x106},
        };
        for (const Row& row : rows)
            for (std::size_t at_once = 1; at_once <= row.stream.size(); ++at_once) {
                CAPTURE(std::string(row.name));
                CAPTURE(at_once);
                CHECK(read(row.stream, at_once) == row.code);
            }
    }

    TEST_CASE("http3: the control stream is known among the peer's first ones") {
        const std::string wrong = "\0\x04\x02\x33\x02"s;
        CHECK(read(wrong, 1, 30) == 0x109);
        CHECK(read(wrong, 1, 34) == 0);  // nghttp3's alone
        CHECK(read("\x02"s + wrong, 1) == 0);
        ControlRules rules;
        CHECK(rules.read(6, std::as_bytes(std::span("\x02", 1))) == 0);
        CHECK(rules.read(2, std::as_bytes(std::span(wrong))) == 0x109);
    }
}

}  // namespace post::http3
