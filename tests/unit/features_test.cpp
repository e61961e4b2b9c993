// The table of features: whole, and the same in README.md. POST_README=write puts the tables there:
//     POST_README=write build/default/tests/post_tests -tc="the README's tables*"
#include "lib/policy/features.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "lib/policy/stacks.hpp"

namespace post::test {

namespace {

// The tests run in tests/, or by hand at the top.
std::string readme_path() {
    for (const char* path : {"../README.md", "README.md"})
        if (std::ifstream(path)) return path;
    return {};
}

std::string read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

// What stands between the marks <!-- NAME --> and <!-- /NAME -->.
struct Part {
    std::size_t first;
    std::size_t last;
};
std::optional<Part> part(const std::string& text, const std::string& name) {
    const std::string begin = "<!-- " + name + " -->\n";
    const std::size_t at = text.find(begin);
    const std::size_t end = text.find("<!-- /" + name + " -->");
    if (at == std::string::npos || end == std::string::npos) return std::nullopt;
    return Part{at + begin.size(), end};
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("every feature of every stack has a level and a reason, for every peer") {
        for (const Stack stack : core::all_stacks())
            for (const bool plain : {false, true}) {
                if (plain && !core::row(stack).plain) continue;
                const auto all = core::explain(stack, core::expected(stack, plain));
                CHECK(all.size() == feature_count);
                for (const auto& [feature, support] : all) {
                    const std::string_view reason = support.reason;
                    CHECK_MESSAGE(reason.size() > 10, to_string(stack), to_string(feature));
                    CHECK_MESSAGE(reason != "the stack has nothing like it", to_string(feature));
                }
            }
    }

    TEST_CASE("a row of the stacks and a cell of the table agree on security") {
        for (const Stack stack : core::all_stacks())
            CHECK(core::row(stack).secure ==
                  (core::explain(stack, Feature::security, {}).level == Support::Level::native));
        CHECK(to_string(Stack::tls) == core::row(Stack::tls).name);
    }

    TEST_CASE("what the peer cannot do is said of the peer") {
        core::Peer peer;
        peer.datagrams = false;
        CHECK(core::explain(Stack::quic, Feature::unreliable, peer).level ==
              Support::Level::unsupported);
        peer = {.properties = false};
        CHECK(core::explain(Stack::tls, Feature::properties, peer).level ==
              Support::Level::unsupported);
        peer = {.waits = false};
        CHECK(std::string(core::explain(Stack::quic, Feature::antecedents, peer).reason) ==
              "a message leaves when those that it comes after are acknowledged");
    }

    TEST_CASE("the README's tables are those of the library") {
        const std::string path = readme_path();
        REQUIRE_MESSAGE(!path.empty(), "no README.md here or one folder up");
        std::string text = read(path);
        const char* mode = std::getenv("POST_README");
        const bool write = mode && std::string_view(mode) == "write";
        const std::vector<std::pair<std::string, std::string>> tables = {
            {"features", core::table_of_levels(false)},
            {"features of plain peers", core::table_of_levels(true)},
            {"features in words", core::table_in_words(Stack::quic)}};
        for (const auto& [name, table] : tables) {
            const auto place = part(text, name);
            REQUIRE_MESSAGE(place, name);
            if (write)
                text.replace(place->first, place->last - place->first, table);
            else
                CHECK_MESSAGE(text.substr(place->first, place->last - place->first) == table, name);
        }
        if (write) std::ofstream(path) << text;
    }
}

}  // namespace post::test
