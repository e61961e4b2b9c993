// Sharing: keys that say in what they differ, and the association that comes nearest.
#include "lib/association/sharing.hpp"

#include <doctest/doctest.h>

#include "tests/unit/association_support.hpp"

#include "lib/association/associations.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;
using Aspect = Reuse::Aspect;

std::string key_of(std::string_view remote,
                   const std::vector<std::pair<Aspect, std::string>>& parts = {}) {
    core::SharingKey key(remote);
    for (const auto& [aspect, part] : parts) key.add(aspect, part);
    return key.text();
}

core::Association& make(core::Associations& all, const std::string& key) {
    return all.create({{}, Role::client, "post://a.example", {}, {}, {.stacks = {Stack::quic}}},
                      key, 0);
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("two keys differ in what was said differently, and in nothing else") {
        const std::string base = key_of("a", {{Aspect::alpn, "x"}, {Aspect::trust, "1"}});
        CHECK(core::remote_of(base) == "a");
        CHECK(core::differences(base, base).empty());
        CHECK(core::differences(base, key_of("a", {{Aspect::trust, "1"}, {Aspect::alpn, "x"}}))
                  .empty());
        CHECK(core::differences(base, key_of("a", {{Aspect::alpn, "y"}, {Aspect::trust, "1"}})) ==
              std::vector{Aspect::alpn});
        CHECK(core::differences(base, key_of("a")) == std::vector{Aspect::trust, Aspect::alpn});
    }

    TEST_CASE("no two lists of parts make the same key") {
        const std::string joined = key_of("a", {{Aspect::alpn, "1:x"}});
        CHECK(joined != key_of("a", {{Aspect::alpn, "1"}, {Aspect::alpn, "x"}}));
        CHECK(joined != key_of("a1:x"));
        CHECK(key_of("a", {{Aspect::alpn, ""}}) != key_of("a"));
        CHECK(key_of("a", {{Aspect::quic, "x"}}) != key_of("a", {{Aspect::sctp, "x"}}));
    }

    TEST_CASE("a text that is no key is of no Remote") {
        for (const char* text : {"", "x", "5:ab", ":", "99999999999999999999:a", "-1:a", "3"}) {
            CAPTURE(text);
            CHECK(core::remote_of(text).empty());
            CHECK(core::differences(text, text).empty());
        }
    }

    TEST_CASE("who finds no Association hears which one comes nearest, and what is different") {
        core::Associations all;
        const auto x = key_of("a", {{Aspect::alpn, "x"}, {Aspect::isolation, "home"}});
        const auto y = key_of("a", {{Aspect::alpn, "y"}});
        CHECK(all.look(x, Instant{}).how == Reuse::How::first);
        make(all, key_of("b", {{Aspect::alpn, "x"}}));
        CHECK(all.look(x, Instant{}).how == Reuse::How::first);
        core::Association& one = make(all, y);
        make(all, key_of("a", {{Aspect::alpn, "z"}, {Aspect::trust, "2"}}));
        Reuse found = all.look(x, Instant{});
        CHECK(found.how == Reuse::How::differs);
        CHECK(found.association == one.id());
        CHECK(found.differs == std::vector{Aspect::alpn, Aspect::isolation});
        CHECK(found.age == Reuse::never_was);
        found.remote = "a";
        CHECK(found.string() ==
              "a new Association: the one to a has another alpn and another isolation");
        CHECK(all.look(y, Instant{}).how == Reuse::How::joined);
        one.shut(Error(Errc::cancelled));
        CHECK(all.look(y, Instant{}).how == Reuse::How::ending);
        CHECK(all.put_back(one.id()));
        CHECK(all.look(y, Instant{}).how == Reuse::How::differs);
    }

    TEST_CASE("of very many Associations to one Remote few are compared") {
        core::Associations all;
        for (int i = 0; i < 1000; ++i) make(all, key_of("a", {{Aspect::alpn, std::to_string(i)}}));
        const Reuse found = all.look(key_of("a", {{Aspect::alpn, "none"}}), Instant{});
        CHECK(found.how == Reuse::How::differs);
        CHECK(found.differs == std::vector{Aspect::alpn});
    }

    TEST_CASE("every reason has its words") {
        for (std::uint8_t i = 0; i < reuse_aspect_count; ++i) {
            const Reuse reuse{
                .how = Reuse::How::differs, .remote = "a", .differs = {static_cast<Aspect>(i)}};
            CAPTURE(reuse.string());
            CHECK(reuse.string().find("unknown") == std::string::npos);
        }
        for (const auto how : {Reuse::How::first, Reuse::How::ending, Reuse::How::datagrams,
                               Reuse::How::joined, Reuse::How::forked, Reuse::How::accepted}) {
            const std::string text = Reuse{.how = how, .remote = "a", .age = 1500ms}.string();
            CAPTURE(text);
            CHECK_FALSE(text.empty());
            CHECK(std::string(to_string(how)) != "unknown");
            if (how == Reuse::How::joined)
                CHECK(text == "shares the Association to a, which has been up for 1.5 s");
        }
    }
}

}  // namespace post::test
