// What is kept of a server's SETTINGS, beside a ticket.
#include <doctest/doctest.h>

#include <vector>

#include "mappings/http3/remembered.hpp"

namespace post::test {

using http3::Kept;
using http3::Remembered;

TEST_SUITE("unit") {
    TEST_CASE("SETTINGS are kept with the parameters of QUIC, and nothing else is taken for them") {
        const Kept kept{Bytes("parameters"), {16384, 4096, 16, true, false}};
        const Bytes written = kept.write();
        const auto read = Kept::read(written);
        REQUIRE(read);
        CHECK(read->transport == "parameters");
        CHECK(read->settings == kept.settings);
        for (std::size_t size = 0; size < written.size(); ++size)
            CHECK_FALSE(Kept::read(written.slice(0, size)));
        CHECK_FALSE(Kept::read(Bytes(written.string() + "x")));
        CHECK_FALSE(Kept::read(Bytes("parameters")));
    }

    TEST_CASE("a server keeps its promise with as much as before, and more") {
        const Remembered before{16384, 4096, 16, true, false};
        CHECK(before.holds(before));
        CHECK(before.holds({16385, 4096, 17, true, true}));
        CHECK(Remembered{16384, 0, 0, true, false}.holds({16384, 4096, 16, true, false}));
        const std::vector<Remembered> less = {{16383, 4096, 16, true, false},
                                              {16384, 4095, 16, true, false},
                                              {16384, 4097, 16, true, false},
                                              {16384, 4096, 15, true, false},
                                              {16384, 4096, 16, false, false}};
        for (const Remembered& now : less) CHECK_FALSE(before.holds(now));
    }
}

}  // namespace post::test
