// DtlsMessages: the fragments of a handshake's messages, put together in order (RFC 6347, 4.2.2 and
// 4.2.3), however they were cut, lost, repeated or overtaken. GnuTLS could do it, but wants
// fragments next to each other and trusts their lengths.
//
//    fragment { type (8), length (24), sequence (16), offset (24), fragment length (24), bytes }
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace post::wire {
class Reader;
}

namespace post::crypto {

struct DtlsFragment {
    static constexpr std::size_t header_size = 12;

    std::uint8_t type = 0;
    std::uint16_t sequence = 0;
    std::uint32_t length = 0;  // of the whole message
    std::uint32_t offset = 0;
    std::span<const std::byte> bytes;

    // Nothing when it is none, or of a message that is too long.
    static std::optional<DtlsFragment> read(wire::Reader& reader);
    // Its header and its bytes.
    std::vector<std::byte> written() const;
};

class DtlsMessages {
public:
    // Messages ahead of the one that is waited for, and their bytes; what is beyond comes again.
    static constexpr std::uint16_t most_ahead = 8;
    static constexpr std::size_t most_bytes = 64 * 1024;

    struct Message {
        std::uint8_t type = 0;
        std::uint16_t sequence = 0;
        std::vector<std::byte> bytes;
    };

    void begin_at(std::uint16_t sequence) { next_ = sequence; }
    // False when it is of no use: old, too far ahead, or at odds with what came before.
    bool add(const DtlsFragment& fragment);
    // The next message in order, if it is whole.
    std::optional<Message> next();

private:
    struct Partial {
        Message message;
        std::vector<bool> have;
        std::size_t missing = 0;
    };

    std::array<std::optional<Partial>, most_ahead> partial_;  // by sequence
    std::size_t bytes_ = 0;
    std::uint16_t next_ = 0;
};

}  // namespace post::crypto
