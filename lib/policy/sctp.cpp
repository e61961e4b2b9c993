// What SCTP gives (RFC 9260, RFC 7496, RFC 8261, RFC 8831), beside what all streams have in common.
#include "lib/policy/stacks.hpp"

#include <array>

namespace post::core {

namespace {

using enum Support::Level;

constexpr std::array shared{
    Cell{Feature::one_way, When::always, emulated, "one half of a stream; the other is never used"},
    Cell{Feature::backpressure, When::plain, unsupported,
         "one receive window serves all streams; whoever is far beyond its share is reset"},
    Cell{Feature::backpressure, When::always, emulated, "each Carrier has a window (CREDIT)"},
    Cell{Feature::lifetime, When::messages, native,
         "unsent messages are dropped, and sent ones given up (RFC 7496) once the peer has taken "
         "the Carrier"},
    Cell{Feature::unordered, When::messages, native,
         "unordered messages of SCTP, once the peer has taken the Carrier"},
    Cell{Feature::unreliable, When::messages, native,
         "partial reliability (RFC 7496), once the peer has taken the Carrier"},
    Cell{Feature::unreliable, When::no_datagrams, unsupported,
         "the peer takes no datagrams: every message is reliable"},
    Cell{Feature::unreliable, When::always, native,
         "partial reliability (RFC 7496), when it is unordered, not the last, and fits into a "
         "packet; else it is reliable"},
    Cell{Feature::message_boundaries, When::plain, native, "messages of SCTP"},
    Cell{Feature::acked, When::plain, emulated,
         "the peer's transport acknowledged all that was sent on the association"},
};

constexpr std::array over_dtls{
    Cell{Feature::migration, When::always, unsupported,
         "SCTP over DTLS has one path (RFC 8261, 6.1)"},
    Cell{Feature::label, When::always, native, "fields of DATA_CHANNEL_OPEN (RFC 8832)"},
    Cell{Feature::text, When::plain, native, "a payload protocol identifier of its own (RFC 8831)"},
    Cell{Feature::security, When::always, native, "DTLS 1.2, and the certificate is verified"},
    Cell{Feature::checksum_sent, When::always, native,
         "authenticated encryption covers every byte"},
    Cell{Feature::checksum_received, When::always, native,
         "authenticated encryption covers every byte"},
};

constexpr std::array over_udp{
    Cell{Feature::security, When::always, unsupported,
         "right over UDP: anybody on the way can read, change and forge"},
    Cell{Feature::checksum_sent, When::always, native, "CRC32c covers the packet (RFC 9260, 6.8)"},
    Cell{Feature::checksum_received, When::always, native,
         "CRC32c covers the packet (RFC 9260, 6.8)"},
};

template <std::size_t A, std::size_t B>
constexpr std::array<Cell, A + B> join(const std::array<Cell, A>& a, const std::array<Cell, B>& b) {
    std::array<Cell, A + B> all{};
    for (std::size_t i = 0; i < A; ++i) all[i] = a[i];
    for (std::size_t i = 0; i < B; ++i) all[A + i] = b[i];
    return all;
}

}  // namespace

std::span<const Cell> sctp_dtls_cells() {
    static constexpr auto cells = join(over_dtls, shared);
    return cells;
}

std::span<const Cell> sctp_udp_cells() {
    static constexpr auto cells = join(over_udp, shared);
    return cells;
}

}  // namespace post::core
