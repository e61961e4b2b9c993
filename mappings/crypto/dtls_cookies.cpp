// Cookies made and checked; the bytes are GnuTLS's, the secrets ours.
#include "mappings/crypto/dtls_cookies.hpp"

#include <algorithm>
#include <array>

#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>

#include "mappings/crypto/dtls_messages.hpp"
#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"

namespace post::crypto {

namespace {

// A client counts them up when its cookie came too late.
constexpr std::uint16_t most_hellos = 3;
// 13 (record) + 12 (message) + 2 (version) + 1 (length) + 16 (cookie), as GnuTLS makes one. A
// shorter ClientHello has no room for a suite, and gets none.
constexpr std::size_t answer_size = 44;

// What a cookie is bound to.
struct ClientData {
    explicit ClientData(const Address& address) {
        wire::Writer writer(bytes);
        writer.u8(static_cast<std::uint8_t>(address.family)).u16(address.port).u32(address.scope);
        writer.bytes(std::as_bytes(std::span(address.ip)));
    }
    std::array<std::byte, 23> bytes{};
};

gnutls_datum_t key_of(const RotatingSecret::Secret& secret) {
    return {const_cast<std::uint8_t*>(secret.data()), static_cast<unsigned>(secret.size())};
}

ssize_t keep_answer(gnutls_transport_ptr_t pointer, const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    static_cast<std::vector<std::byte>*>(pointer)->assign(bytes, bytes + size);
    return static_cast<ssize_t>(size);
}

// RFC 6347, 4.2.2: one of the first messages of a handshake, in one fragment, and long
// enough for its fixed fields: version (16), random (256), and the lengths of session id and of
// cookie.
bool is_whole_hello(std::span<const std::byte> datagram) {
    auto rest = datagram;
    const auto record = next_record(rest);
    if (!record || record->type != DtlsType::handshake || record->epoch != 0) return false;
    wire::Reader reader(record->fragment);
    const auto head = reader.u32();
    const auto sequence = reader.u16();
    const auto offset_high = reader.u16();
    const auto offset_low_and_size_high = reader.u16();
    const auto size_low = reader.u16();
    if (!size_low || *head >> 24 != GNUTLS_HANDSHAKE_CLIENT_HELLO || *sequence > most_hellos)
        return false;
    const std::uint32_t length = *head & 0xffffff;
    const std::uint32_t size = (std::uint32_t{*offset_low_and_size_high} & 0xff) << 16 | *size_low;
    const bool from_the_start = *offset_high == 0 && *offset_low_and_size_high >> 8 == 0;
    return from_the_start && size == length && reader.left() == size && size >= 2 + 32 + 1 + 1;
}

// The one message whose fragments make up a datagram, as one fragment; empty when they do not.
// OpenSSL cuts what it writes to memory at 256 bytes, so that aiortc's ClientHello is in two.
std::vector<std::byte> join(std::span<const std::byte> datagram) {
    std::optional<DtlsRecord> first;
    DtlsFragment whole;
    std::vector<std::byte> bytes;
    for (auto rest = datagram; !rest.empty();) {
        const auto record = next_record(rest);
        if (!record || record->type != DtlsType::handshake || record->epoch != 0) return {};
        wire::Reader reader(record->fragment);
        const auto part = DtlsFragment::read(reader);
        if (!part || !reader.empty()) return {};
        if (!first) first = record, whole = *part;
        const bool fits = part->type == whole.type && part->sequence == whole.sequence &&
                          part->length == whole.length && part->offset == bytes.size();
        if (!fits) return {};
        bytes.insert(bytes.end(), part->bytes.begin(), part->bytes.end());
    }
    if (!first || bytes.size() != whole.length) return {};
    whole.offset = 0;
    whole.bytes = bytes;
    const auto message = whole.written();
    std::vector<std::byte> joined(dtls_header_size + message.size());
    put_header(joined, *first, message.size());
    std::copy(message.begin(), message.end(),
              joined.begin() + static_cast<std::ptrdiff_t>(dtls_header_size));
    return joined;
}

}  // namespace

bool DtlsCookies::is_client_hello(std::span<const std::byte> datagram) {
    return is_whole_hello(datagram) || is_whole_hello(join(datagram));
}

DtlsCookies::Verdict DtlsCookies::examine(Instant now, const Address& remote,
                                          std::span<const std::byte> datagram,
                                          RotatingSecret::Random& random) {
    std::vector<std::byte> joined;
    if (!is_whole_hello(datagram)) {
        joined = join(datagram);
        if (!is_whole_hello(joined)) return {};
        datagram = joined;
    }
    secrets_.rotate(now, random);
    ClientData client(remote);
    // GnuTLS reads it, and declares it as if it wrote.
    auto* message = const_cast<std::byte*>(datagram.data());
    for (const auto* secret : {&secrets_.current(), &secrets_.previous()}) {
        auto key = key_of(*secret);
        gnutls_dtls_prestate_st prestate{};
        if (gnutls_dtls_cookie_verify(&key, client.bytes.data(), client.bytes.size(), message,
                                      datagram.size(), &prestate) >= 0)
            return DtlsPrestate{static_cast<std::uint8_t>(prestate.record_seq),
                                static_cast<std::uint8_t>(prestate.hsk_read_seq),
                                static_cast<std::uint8_t>(prestate.hsk_write_seq)};
    }
    if (datagram.size() < answer_size) return {};
    auto key = key_of(secrets_.current());
    // RFC 6347, 4.2.1: it has the sequence of the record that it answers.
    gnutls_dtls_prestate_st prestate{.record_seq = std::to_integer<unsigned>(datagram[10]),
                                     .hsk_read_seq = 0,
                                     .hsk_write_seq = 0};
    std::vector<std::byte> answer;
    if (gnutls_dtls_cookie_send(&key, client.bytes.data(), client.bytes.size(), &prestate, &answer,
                                keep_answer) < 0)
        return {};
    return answer;
}

}  // namespace post::crypto
