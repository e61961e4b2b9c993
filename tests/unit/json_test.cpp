// Json: what is written is read back by another parser, whatever bytes strings are made of.
#include "lib/io/json.hpp"

#include <cstdint>

#include "tests/seed.hpp"
#include "tests/sim/random.hpp"
#include "tests/unit/json_support.hpp"

namespace post::test {

namespace {

std::string written(std::string_view value) {
    io::Json json;
    json.object().text("k", value).end();
    return json.string();
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("JSON is written as one reads it, with its commas") {
        io::Json json;
        json.object().number("a", 1).text("b", "x").object("c").end().array("d");
        json.text({}, "y").text({}, "z").end().boolean("e", true).end();
        CHECK(json.string() == R"({"a":1,"b":"x","c":{},"d":["y","z"],"e":true})");
    }

    TEST_CASE("times are milliseconds with three digits behind the point") {
        io::Json json;
        json.array().milliseconds({}, 1'234'567).milliseconds({}, -5'000).milliseconds({}, 0).end();
        CHECK(json.string() == "[1.234,-0.005,0.000]");
    }

    TEST_CASE("quotes, control characters and bytes that are no UTF-8 do no harm") {
        CHECK(written("a\"b\\c\n\x1e\x7f") == "{\"k\":\"a\\\"b\\\\c\\u000a\\u001e\\u007f\"}");
        const std::string bad = "\xef\xbf\xbd";
        for (const auto& each : std::vector<std::pair<std::string, std::string>>{
                 {"h\xc3\xa9", "h\xc3\xa9"},
                 {"\xf0\x9f\x90\x99", "\xf0\x9f\x90\x99"},
                 {"\xff", bad},
                 {"a\xc3", "a" + bad},
                 {"\xc0\x80", bad + bad},                      // overlong
                 {"\xe0\x80\x80", bad + bad + bad},            // the same
                 {"\xed\xa0\x80", bad + bad + bad},            // a surrogate
                 {"\xf4\x90\x80\x80", bad + bad + bad + bad},  // above U+10FFFF
                 {std::string("\0", 1), std::string("\0", 1)}}) {
            CAPTURE(each.second);
            const json read = json::parse(written(each.first), nullptr, false);
            REQUIRE(read.is_object());
            CHECK(read["k"].get<std::string>() == each.second);
        }
    }

    TEST_CASE("any bytes at all make valid JSON") {
        sim::Random random(seed());
        for (int round = 0; round < 2000; ++round) {
            std::string bytes;
            for (auto length = random.below(24); length > 0; --length)
                bytes += static_cast<char>(random.below(256));
            const std::string text = written(bytes);
            REQUIRE_MESSAGE(json::parse(text, nullptr, false).is_object(), text);
            CHECK(text.find('\n') == std::string::npos);
        }
    }
}

}  // namespace post::test
