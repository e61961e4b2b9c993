// Fragments become messages.
#include "mappings/crypto/dtls_messages.hpp"

#include <algorithm>
#include <utility>

#include "mappings/crypto/verification.hpp"
#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"

namespace post::crypto {

namespace {

std::optional<std::uint32_t> u24(wire::Reader& reader) {
    const auto high = reader.u8();
    const auto low = reader.u16();
    if (!low) return std::nullopt;
    return std::uint32_t{*high} << 16 | *low;
}

void put_u24(wire::Writer& writer, std::size_t value) {
    writer.u8(static_cast<std::uint8_t>(value >> 16 & 0xff))
        .u16(static_cast<std::uint16_t>(value & 0xffff));
}

}  // namespace

std::optional<DtlsFragment> DtlsFragment::read(wire::Reader& reader) {
    const auto type = reader.u8();
    const auto length = u24(reader);
    const auto sequence = reader.u16();
    const auto offset = u24(reader);
    const auto size = u24(reader);
    if (!size) return std::nullopt;
    const auto bytes = reader.bytes(*size);
    if (!bytes || *length > largest_handshake_message) return std::nullopt;
    if (*offset > *length || *size > *length - *offset) return std::nullopt;
    return DtlsFragment{*type, *sequence, *length, *offset, *bytes};
}

std::vector<std::byte> DtlsFragment::written() const {
    std::vector<std::byte> out(header_size + bytes.size());
    wire::Writer writer(out);
    writer.u8(type);
    put_u24(writer, length);
    writer.u16(sequence);
    put_u24(writer, offset);
    put_u24(writer, bytes.size());
    writer.bytes(bytes);
    return out;
}

bool DtlsMessages::add(const DtlsFragment& fragment) {
    if (fragment.sequence < next_ || fragment.sequence - next_ >= most_ahead) return false;
    auto& partial = partial_[fragment.sequence % most_ahead];
    if (!partial) {
        // The one that is waited for always finds room.
        if (fragment.sequence != next_ && bytes_ + fragment.length > most_bytes) return false;
        bytes_ += fragment.length;
        partial = Partial{
            {fragment.type, fragment.sequence, std::vector<std::byte>(fragment.length)}};
        partial->have.resize(fragment.length);
        partial->missing = fragment.length;
    }
    auto& message = partial->message;
    if (message.type != fragment.type || message.bytes.size() != fragment.length) return false;
    // What came first counts; a genuine repetition says the same.
    for (std::size_t i = 0; i < fragment.bytes.size(); ++i) {
        const std::size_t at = fragment.offset + i;
        if (partial->have[at]) continue;
        partial->have[at] = true;
        message.bytes[at] = fragment.bytes[i];
        --partial->missing;
    }
    return true;
}

std::optional<DtlsMessages::Message> DtlsMessages::next() {
    auto& partial = partial_[next_ % most_ahead];
    if (!partial || partial->missing > 0) return std::nullopt;
    ++next_;
    auto message = std::move(partial->message);
    partial.reset();
    bytes_ -= message.bytes.size();
    return message;
}

}  // namespace post::crypto
