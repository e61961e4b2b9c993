// Error codes: FORMAT.md, 9, row by row, and that nothing the peer sends is without a meaning.
#include "mappings/framing/error_codes.hpp"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <ostream>
#include <string>

using namespace post;
using namespace post::framing;

TEST_SUITE("unit") {
    TEST_CASE("each error of ours has the number that the format gives it") {
        struct Row {
            std::uint64_t code;
            Errc sent;
            Errc received;
        };
        const std::array rows = {
            Row{0x100, Errc::connection_closed, Errc::connection_closed},
            Row{0x101, Errc::protocol_violation, Errc::carrier_reset},
            Row{0x102, Errc::cancelled, Errc::carrier_reset},
            Row{0x103, Errc::carrier_closed, Errc::carrier_closed},
            Row{0x104, Errc::carrier_refused, Errc::carrier_refused},
            Row{0x105, Errc::context_closed, Errc::connection_closed},
            Row{0x106, Errc::too_slow, Errc::too_slow},
            Row{0x107, Errc::stalled, Errc::stalled},
            Row{0x108, Errc::delivered_missing, Errc::delivered_missing},
            Row{0x109, Errc::excessive_load, Errc::excessive_load},
            Row{0x10a, Errc::message_too_large, Errc::message_too_large},
            Row{0x10b, Errc::too_many, Errc::too_many},
            Row{0x10c, Errc::expired, Errc::expired},
            Row{0x10d, Errc::lost_the_race, Errc::connection_closed},
            Row{0x10e, Errc::unsupported, Errc::unsupported},
            Row{0x110, Errc::replaced, Errc::connection_closed},
            Row{0x111, Errc::never_chosen, Errc::connection_closed},
            Row{0x112, Errc::not_attached, Errc::connection_closed},
        };
        for (const Row& row : rows) {
            CAPTURE(row.code);
            CHECK(to_wire(row.sent) == row.code);
            const Error received = from_wire(row.code);
            CHECK(received == row.received);
            CHECK(received.stage == Stage::established);
            if (row.sent == row.received)
                CHECK(!received.cause);
            else
                CHECK(received.cause == make_error_code(row.sent));
            // Passed on, it is the same number again.
            CHECK(to_wire(received) == row.code);
        }
    }

    TEST_CASE("what has no number of its own is internal") {
        CHECK(to_wire(Errc::certificate_pin) == 0x10f);
        CHECK(to_wire(Errc::invalid_url) == 0x10f);
        CHECK(to_wire(Error(std::make_error_code(std::errc::io_error))) == 0x10f);
        CHECK(to_wire(Error()) == 0x100);
    }

    TEST_CASE("an application's code reaches the peer whatever the error is") {
        for (const std::uint32_t code : {0U, 1U, 0x7fff'ffffU, 0x8000'0000U, 0xffff'ffffU}) {
            CAPTURE(code);
            const Error sent(Errc::cancelled, application_code(AbortCode{code}));
            const std::uint64_t wire = to_wire(sent);
            CHECK(wire == 0x1'0000'0000 + code);
            const Error received = from_wire(wire);
            CHECK(received == Errc::carrier_reset);
            CHECK(received.cause == application_code(AbortCode{code}));
            CHECK(static_cast<std::uint32_t>(received.cause.value()) == code);
        }
    }

    TEST_CASE("numbers without an error of ours say in words what they are") {
        CHECK(from_wire(wire_code::internal) == Errc::connection_closed);
        CHECK(!from_wire(wire_code::internal).detail.empty());
    }

    TEST_CASE("unknown numbers are a reset that names them") {
        for (const std::uint64_t code :
             {std::uint64_t{0}, std::uint64_t{0xff}, std::uint64_t{0x114},
              std::uint64_t{0xffff'ffff}, std::uint64_t{0x2'0000'0000},
              std::numeric_limits<std::uint64_t>::max()}) {
            CAPTURE(code);
            const Error error = from_wire(code);
            CHECK(error == Errc::carrier_reset);
            CHECK(error.detail.view().find(std::to_string(code)) != std::string_view::npos);
        }
    }

    TEST_CASE("with the end of a connection a reset reads connection_closed") {
        CHECK(closed_from_wire(0x102) == Errc::connection_closed);
        CHECK(closed_from_wire(0x102).cause == make_error_code(Errc::cancelled));
        CHECK(closed_from_wire(0x1'0000'0005) == Errc::connection_closed);
        CHECK(closed_from_wire(0x1'0000'0005).cause == application_code(AbortCode{5}));
        CHECK(closed_from_wire(0x109) == Errc::excessive_load);
    }

    TEST_CASE("a refusal has a reason to refuse") {
        CHECK(refusal_from_wire(0x104) == Errc::carrier_refused);
        CHECK(refusal_from_wire(0x10b) == Errc::too_many);
        CHECK(refusal_from_wire(0x109) == Errc::excessive_load);
        CHECK(refusal_from_wire(0x10e) == Errc::unsupported);
        CHECK(refusal_from_wire(0x10c) == Errc::carrier_refused);
        CHECK(refusal_from_wire(0x7777) == Errc::carrier_refused);
    }

    TEST_CASE("with a plain peer only the application's own code is on the wire") {
        CHECK(to_foreign(Error(Errc::cancelled, application_code(AbortCode{77}))) == 77);
        CHECK(to_foreign(Errc::too_slow) == 0);
        CHECK(from_foreign(77) == Errc::carrier_reset);
        CHECK(from_foreign(77).cause == application_code(AbortCode{77}));
        CHECK(from_foreign(0xffff'ffff).detail.empty());
        const Error large = from_foreign(0x1'0000'0000);
        CHECK(large.cause == application_code(AbortCode{0xffff'ffff}));
        CHECK(large.detail.view().find("4294967296") != std::string_view::npos);
    }
}
