// Records taken apart, sealed and opened.
#include "mappings/crypto/tls_record.hpp"

#include <algorithm>

#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"

namespace post::crypto {

namespace {

constexpr std::uint16_t legacy_version = 0x0303;

std::size_t secret_size(const Suite& suite) { return suite.hash == Hash::sha256 ? 32 : 48; }

}  // namespace

TlsFront next_record(std::span<const std::byte>& rest, TlsRecord& record) {
    wire::Reader reader(rest);
    const auto type = reader.u8();
    if (!type) return TlsFront::incomplete;
    if (*type < 20 || *type > 23) return TlsFront::malformed;
    // Its minor part says nothing any more (RFC 8446, 5.1).
    const auto version = reader.u16();
    if (version && *version >> 8 != legacy_version >> 8) return TlsFront::malformed;
    const auto length = reader.u16();
    if (!length) return TlsFront::incomplete;
    if (*length > largest_tls_fragment) return TlsFront::too_long;
    const auto fragment = reader.bytes(*length);
    if (!fragment) return TlsFront::incomplete;
    record = {static_cast<TlsType>(*type), rest.first(tls_header_size), *fragment};
    rest = reader.rest();
    return TlsFront::record;
}

void put_header(std::span<std::byte> space, TlsType type, std::size_t fragment_size) {
    wire::Writer(space)
        .u8(static_cast<std::uint8_t>(type))
        .u16(legacy_version)
        .u16(static_cast<std::uint16_t>(fragment_size));
}

TlsKeys::TlsKeys(const PacketProtection& protection, const Suite& suite,
                 std::span<const std::byte> secret)
    : protection_(protection), suite_(suite), secret_(secret_size(suite)) {
    std::copy_n(secret.begin(), std::min(secret.size(), secret_.bytes().size()),
                secret_.writable().begin());
    derive_keys();
}

// RFC 8446, 7.3
void TlsKeys::derive_keys() {
    Secret key(key_size(suite_.cipher));
    expand_label(key.writable(), suite_.hash, secret_.bytes(), "key");
    expand_label(iv_, suite_.hash, secret_.bytes(), "iv");
    key_ = protection_.packet_key(suite_.cipher, key.bytes());
    sequence_ = 0;
}

void TlsKeys::update() {
    Secret next(secret_.bytes().size());
    expand_label(next.writable(), suite_.hash, secret_.bytes(), "traffic upd");
    std::copy_n(next.bytes().begin(), next.bytes().size(), secret_.writable().begin());
    derive_keys();
}

// RFC 8446, 5.3
TlsKeys::Iv TlsKeys::next_nonce() {
    Iv nonce = iv_;
    const std::uint64_t sequence = sequence_++;
    for (std::size_t i = 0; i < 8; ++i)
        nonce[4 + i] ^= static_cast<std::byte>(sequence >> (56 - 8 * i) & 0xff);
    return nonce;
}

std::size_t TlsKeys::seal(TlsType type, std::span<std::byte> space, std::size_t size) {
    put_header(space, TlsType::application_data, size + tls_trailer_size);
    std::byte* content = space.data() + tls_header_size;
    content[size] = static_cast<std::byte>(type);
    const bool sealed = key_->seal(content, {content, size + 1}, next_nonce(),
                                   space.first(tls_header_size));
    return sealed ? size + tls_overhead : 0;
}

std::optional<TlsKeys::Opened> TlsKeys::open(const TlsRecord& record, std::span<std::byte> out) {
    const auto& sealed = record.fragment;
    if (sealed.size() < tls_trailer_size || out.size() < sealed.size()) return std::nullopt;
    if (!key_->open(out.data(), sealed, next_nonce(), record.header)) {
        --sequence_;  // it may be one of those before ours, and not meant for these keys
        return std::nullopt;
    }
    std::size_t size = sealed.size() - tag_size;
    while (size > 0 && out[size - 1] == std::byte{0}) --size;
    if (size == 0) return Opened{TlsType{}, out.first(0)};
    const auto type = std::to_integer<std::uint8_t>(out[size - 1]);
    return Opened{static_cast<TlsType>(type), out.first(size - 1)};
}

}  // namespace post::crypto
