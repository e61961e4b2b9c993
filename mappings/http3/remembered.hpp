// What a client remembers of a server's SETTINGS beside a ticket, to keep to them with requests
// that go before those of the new connection have come (RFC 9114, 7.2.4.2; RFC 9204, 3.2.3).
//
//   Kept { length (i), transport parameters (..),
//          field section (i), table (i), blocked (i), connect (i), datagrams (i) }
#pragma once

#include <cstdint>
#include <optional>

#include <post/bytes.hpp>

struct nghttp3_settings;

namespace post::http3 {

struct Remembered {
    std::uint64_t field_section = 0;  // the longest that it takes
    std::uint64_t table = 0;          // of QPACK, bytes
    std::uint64_t blocked = 0;        // streams that may wait for it
    bool connect = false;
    bool datagrams = false;

    static Remembered of(const nghttp3_settings& settings);
    // Whether `now` allows all that this does: a server that took early data has to.
    bool holds(const Remembered& now) const;
    bool operator==(const Remembered&) const = default;
};

// A ticket's parameters: those of QUIC, and the SETTINGS.
struct Kept {
    Bytes transport;
    Remembered settings;

    Bytes write() const;
    // Nothing: it is none of ours.
    static std::optional<Kept> read(const Bytes& bytes);
};

}  // namespace post::http3
