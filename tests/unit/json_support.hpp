// Json for tests: records of JSON text sequences (RFC 7464), read back by somebody else's parser.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace post::test {

using nlohmann::json;

// Each record, or a failed test: it begins with RS and ends with LF, and is JSON in between.
inline std::vector<json> records_of(std::string_view text) {
    std::vector<json> all;
    while (!text.empty()) {
        REQUIRE(text.front() == '\x1e');
        const auto end = text.find('\n');
        REQUIRE(end != std::string_view::npos);
        const std::string_view record = text.substr(1, end - 1);
        auto read = json::parse(record, nullptr, false);
        REQUIRE_MESSAGE(read.is_object(), std::string(record));
        all.push_back(std::move(read));
        text.remove_prefix(end + 1);
    }
    return all;
}

}  // namespace post::test
