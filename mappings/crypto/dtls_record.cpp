// Records taken apart, sealed and opened.
#include "mappings/crypto/dtls_record.hpp"

#include <algorithm>

#include <gnutls/gnutls.h>

#include "mappings/crypto/handles.hpp"
#include "mappings/crypto/key_schedule.hpp"
#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"

namespace post::crypto {

namespace {

constexpr std::uint16_t dtls_1_2 = 0xfefd;
constexpr std::uint64_t most_sequence = (std::uint64_t{1} << 48) - 1;

std::uint64_t with_epoch(std::uint16_t epoch, std::uint64_t sequence) {
    return std::uint64_t{epoch} << 48 | sequence;
}

// RFC 5246, 6.2.3.3: what is authenticated beside the content. The length is the content's.
struct Header {
    Header(DtlsType type, std::uint64_t counter, std::size_t length) {
        wire::Writer(bytes)
            .u64(counter)
            .u8(static_cast<std::uint8_t>(type))
            .u16(dtls_1_2)
            .u16(static_cast<std::uint16_t>(length));
    }
    std::array<std::byte, 13> bytes;
};

struct State {
    gnutls_datum_t salt{};
    gnutls_datum_t key{};
};

State state_of(gnutls_session_t native, unsigned read) {
    State state;
    gnutls_datum_t mac{};
    std::array<unsigned char, 8> sequence{};
    must(gnutls_record_get_state(native, read, &mac, &state.salt, &state.key, sequence.data()),
         "keys of the handshake");
    return state;
}

}  // namespace

std::optional<DtlsRecord> next_record(std::span<const std::byte>& rest) {
    const auto all = std::exchange(rest, {});
    wire::Reader reader(all);
    const auto type = reader.u8();
    const auto version = reader.u16();
    const auto counter = reader.u64();
    const auto length = reader.u16();
    if (!length) return std::nullopt;
    // A first ClientHello and a HelloVerifyRequest say 1.0 (RFC 6347, 4.2.1).
    const bool plain = *counter >> 48 == 0;
    if (plain ? *version >> 8 != dtls_1_2 >> 8 : *version != dtls_1_2) return std::nullopt;
    if (*type < 20 || *type > 23) return std::nullopt;
    const auto fragment = reader.bytes(*length);
    if (!fragment) return std::nullopt;
    rest = reader.rest();
    return DtlsRecord{.type = static_cast<DtlsType>(*type),
                      .epoch = static_cast<std::uint16_t>(*counter >> 48),
                      .sequence = *counter & most_sequence,
                      .whole = all.first(reader.taken()),
                      .fragment = *fragment};
}

void put_header(std::span<std::byte> space, const DtlsRecord& record, std::size_t fragment_size) {
    wire::Writer(space)
        .u8(static_cast<std::uint8_t>(record.type))
        .u16(dtls_1_2)
        .u64(with_epoch(record.epoch, record.sequence))
        .u16(static_cast<std::uint16_t>(fragment_size));
}

bool ReplayWindow::seen(std::uint64_t sequence) const {
    if (sequence >= next_) return false;
    if (next_ - sequence > width) return true;
    return (bits_[sequence / 64 % bits_.size()] >> sequence % 64 & 1) != 0;
}

void ReplayWindow::note(std::uint64_t sequence) {
    if (sequence >= next_) {
        // The places of those that are skipped were used by others, a window ago.
        const auto from = std::max(next_, sequence >= width ? sequence - width + 1 : 0);
        for (auto skipped = from; skipped < sequence; ++skipped)
            bits_[skipped / 64 % bits_.size()] &= ~(std::uint64_t{1} << skipped % 64);
        next_ = sequence + 1;
    }
    bits_[sequence / 64 % bits_.size()] |= std::uint64_t{1} << sequence % 64;
}

DtlsKeys::DtlsKeys(gnutls_session_t native, const PacketProtection& protection, std::uint64_t next)
    : next_(next) {
    const auto* suite = suite_of(native, false);
    if (suite == nullptr) must(GNUTLS_E_UNKNOWN_CIPHER_SUITE, "cipher of the handshake");
    explicit_nonce_ = suite->cipher == Aead::chacha20_poly1305 ? 0 : 8;
    const std::size_t salt_size = nonce_size - explicit_nonce_;
    for (unsigned read : {0u, 1u}) {
        const State state = state_of(native, read);
        if (state.key.size != key_size(suite->cipher) || state.salt.size < salt_size)
            must(GNUTLS_E_INTERNAL_ERROR, "keys of the handshake");
        std::copy_n(bytes_of(state.salt).begin(), salt_size,
                    (read ? their_salt_ : our_salt_).begin());
        (read ? theirs_ : ours_) = protection.packet_key(suite->cipher, bytes_of(state.key));
    }
}

DtlsKeys::~DtlsKeys() {
    wipe(our_salt_);
    wipe(their_salt_);
}

// RFC 5288, 3: salt and explicit part side by side. RFC 7905, 2: one over the other.
DtlsKeys::Salt DtlsKeys::nonce(const Salt& salt, std::uint64_t explicit_part) const {
    Salt nonce = salt;
    for (std::size_t i = 0; i < 8; ++i)
        nonce[4 + i] ^= static_cast<std::byte>(explicit_part >> (56 - 8 * i) & 0xff);
    return nonce;
}

std::size_t DtlsKeys::seal(DtlsType type, std::span<const std::byte> plain,
                           std::span<std::byte> out) {
    const std::size_t size = plain.size() + overhead();
    if (plain.size() > largest_dtls_fragment || out.size() < size || next_ > most_sequence)
        return 0;
    const DtlsRecord record{.type = type, .epoch = epoch, .sequence = next_};
    const auto counter = with_epoch(epoch, next_);
    const Header header(type, counter, plain.size());
    if (!ours_->seal(out.data() + prefix(), plain, nonce(our_salt_, counter), header.bytes))
        return 0;
    // The counter never repeats under a key, which is all that the nonce asks for.
    ++next_;
    put_header(out, record, size - dtls_header_size);
    if (explicit_nonce_ != 0) wire::Writer(out.subspan(dtls_header_size)).u64(counter);
    return size;
}

std::optional<std::span<std::byte>> DtlsKeys::open(const DtlsRecord& record,
                                                   std::span<std::byte> out) {
    const std::size_t least = explicit_nonce_ + tag_size;
    if (record.epoch != epoch || record.fragment.size() < least) return std::nullopt;
    const std::size_t size = record.fragment.size() - least;
    if (size > largest_dtls_fragment || size > out.size()) return std::nullopt;
    if (window_.seen(record.sequence)) return std::nullopt;
    const auto counter = with_epoch(record.epoch, record.sequence);
    auto explicit_part = counter;
    if (explicit_nonce_ != 0) explicit_part = *wire::Reader(record.fragment).u64();
    const Header header(record.type, counter, size);
    if (!theirs_->open(out.data(), record.fragment.subspan(explicit_nonce_),
                       nonce(their_salt_, explicit_part), header.bytes))
        return std::nullopt;
    window_.note(record.sequence);
    return out.first(size);
}

}  // namespace post::crypto
