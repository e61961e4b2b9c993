// The numbers of Post frames (FORMAT.md), shared by the Encoder and the Decoder, and the parser of
// frame headers. Included by mappings/framing and its tests only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <post/error.hpp>

#include "mappings/framing/post_framing.hpp"
#include "mappings/values.hpp"
#include "mappings/wire/reader.hpp"

namespace post::framing {

// FORMAT.md, 3: the first byte of a frame. Below 0x30 it is a short message with its length, from
// 0x40 to 0x6f the same with the mark `ask`.
enum class Type : std::uint8_t {
    message = 0x30,
    chunk = 0x31,
    abandon = 0x32,
    skip = 0x33,
    fin = 0x34,
    open = 0x35,
    early = 0x36,
    settings = 0x38,
    refuse = 0x39,
    delivered = 0x3a,
    credit = 0x3b,
    chosen = 0x3c,
    attach = 0x3d,
    reset = 0x3e,
    stop = 0x3f,
};
inline constexpr std::uint8_t first_ignorable = 0x70;
inline constexpr std::uint8_t last_ignorable = 0x7f;
// True for the frames of the association's stream; the others belong to a Carrier's.
constexpr bool association_wide(Type type) { return type >= Type::settings; }
const char* to_string(Type type) noexcept;

// FORMAT.md, 3.1: short messages.
namespace brief {
inline constexpr std::uint8_t two_bytes = 0x20;  // four bits of the length here, eight follow
inline constexpr std::uint8_t ask = 0x40;
inline constexpr std::size_t one_byte_limit = 32;
inline constexpr std::size_t two_byte_limit = 4096;
// True when a frame that begins with this byte is a short message.
constexpr bool is(std::uint8_t first) { return (first & ~ask) < 0x30; }
}  // namespace brief

// The bits of `flags`, per frame.
namespace message_flag {
inline constexpr std::uint64_t niceness = 0x01;
inline constexpr std::uint64_t sequence = 0x02;
inline constexpr std::uint64_t unordered = 0x04;
inline constexpr std::uint64_t unreliable = 0x08;
inline constexpr std::uint64_t final = 0x10;
inline constexpr std::uint64_t ask = 0x20;
inline constexpr std::uint64_t idempotent = 0x40;
inline constexpr std::uint64_t lifetime = 0x80;
inline constexpr std::uint64_t antecedents = 0x100;
inline constexpr std::uint64_t properties = 0x200;
inline constexpr std::uint64_t text = 0x800;
inline constexpr std::uint64_t offset = 0x1000;
inline constexpr std::uint64_t known = 0x1bff;
}  // namespace message_flag
namespace open_flag {
inline constexpr std::uint64_t kind = 0x03;  // the value of CarrierKind
inline constexpr std::uint64_t parent = 0x04;
inline constexpr std::uint64_t resumed = 0x08;
inline constexpr std::uint64_t known = 0x0f;
}  // namespace open_flag
namespace delivered_flag {
inline constexpr std::uint64_t niceness = 0x01;
inline constexpr std::uint64_t ranges = 0x02;
inline constexpr std::uint64_t progress = 0x04;
inline constexpr std::uint64_t dropped = 0x08;
inline constexpr std::uint64_t known = 0x0f;
}  // namespace delivered_flag
namespace attach_flag {
inline constexpr std::uint64_t early = 0x01;
inline constexpr std::uint64_t standby = 0x02;
inline constexpr std::uint64_t known = 0x03;
}  // namespace attach_flag
// Bits that mean nothing to a receiver that does not know them, and bits that must not be set.
inline constexpr std::uint64_t ignorable_flags = 0x3f00'0000;

// The slot byte of CHUNK.
inline constexpr std::uint8_t slot_number = 0x3f;
inline constexpr std::uint8_t slot_begins = 0x40;

// The parameters of SETTINGS.
enum class Parameter : std::uint8_t {
    association = 0,
    race = 1,
    largest_message = 2,
    carriers = 3,
    features = 4,
};

// FORMAT.md, 10.
inline constexpr std::size_t slots = 64;
inline constexpr std::size_t most_ranges = 32;
inline constexpr std::size_t most_antecedents = 16;
inline constexpr std::size_t largest_properties = 512;
inline constexpr std::size_t largest_settings = 512;
inline constexpr std::size_t largest_ignorable = 65536;
inline constexpr std::uint64_t default_carriers = 100;
// Whom CREDIT is for when it is not for one Carrier.
inline constexpr std::uint64_t all_carriers = unlimited;
inline constexpr std::uint64_t fresh_carriers = unlimited - 1;
// The longest that the fields before any content can be, every number in eight bytes. DELIVERED:
// type, 8 numbers, and twice 32 ranges of 2 numbers = 1 + 64 + 1024. CHUNK: type, slot byte, 8
// numbers, 16 antecedents of 3 numbers, properties = 1 + 1 + 64 + 384 + 512 = 962.
inline constexpr std::size_t largest_header = 1089;

// A rule that the peer broke: who, which field, the value that came and what it had to be.
struct Violation {
    const char* frame = "";
    const char* field = "";
    std::uint64_t value = 0;
    const char* rule = "";
    Error error() const;
};

// What stands between the type and the content of a MESSAGE or CHUNK.
struct MessageHeader {
    NicenessClass niceness;
    std::optional<Sequence> sequence;  // none: the next of its class
    Marks marks;
    core::Boxed<Extras> extras{};
    std::uint64_t offset = 0;  // CHUNK only: what the receiver has of it already
    std::uint64_t total = 0;
    std::uint64_t length = 0;  // of the content that follows
    std::uint8_t slot = 0;     // CHUNK only
    bool begins = true;
};

// Reads the fields behind a frame's type, in order, into types that cannot be wrong. A function
// returns false when it could not: then more() tells whether bytes are missing or violation() says
// what is wrong, as early as it can be known.
class Parser {
public:
    Parser(Type type, std::span<const std::byte> bytes) : frame_(to_string(type)), reader_(bytes) {}
    Parser(const char* frame, std::span<const std::byte> bytes) : frame_(frame), reader_(bytes) {}

    bool message(MessageHeader& header);
    bool chunk(MessageHeader& header);
    bool slot(std::uint8_t& slot);
    bool skip(Skip& skip);
    bool open(Open& open);
    // Of a race, or of an association.
    bool early(EarlyKey& key);
    bool settings(Settings& settings);
    bool refuse(Refuse& refuse);
    bool delivered(Delivered& delivered);
    bool credit(Credit& credit);
    bool given_up(CarrierId& carrier, std::uint64_t& code);
    bool chosen(Chosen& chosen);
    bool attach(Attach& attach);
    bool ignorable(std::uint64_t& size);

    bool more() const { return violation_.rule[0] == '\0'; }
    const Violation& violation() const { return violation_; }
    // Bytes read so far, the type not counted.
    std::size_t taken() const { return reader_.taken(); }

private:
    bool varint(std::uint64_t& value);
    bool varint(std::uint64_t& value, const char* field, std::uint64_t most, const char* rule);
    bool fixed(std::size_t size);
    bool copy(std::span<std::uint8_t> out);
    bool flags(std::uint64_t& flags, std::uint64_t known);
    bool niceness(NicenessClass& niceness);
    bool carrier(CarrierId& carrier);
    bool sequence(Sequence& sequence);
    bool message_fields(MessageHeader& header);
    bool extras(std::uint64_t bits, core::Boxed<Extras>& extras);
    bool antecedents(Extras& extras);
    bool properties(Extras& extras);
    bool parameter(Settings& settings, std::uint32_t& seen);
    bool ranges(std::uint64_t end, std::vector<Delivered::Range>& ranges);
    bool fail(const char* field, std::uint64_t value, const char* rule);

    const char* frame_;
    wire::Reader reader_;
    Violation violation_;
};

}  // namespace post::framing
