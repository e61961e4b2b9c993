// The exporter: TLS 1.2's PRF over the two randoms and a context.
#include "mappings/crypto/dtls_exporter.hpp"

#include <algorithm>

#include <gnutls/crypto.h>

#include "mappings/crypto/handles.hpp"

namespace post::crypto {

namespace {

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace

DtlsExporter::DtlsExporter(gnutls_session_t native) : hash_(suite_of(native, false)->hash) {
    gnutls_datum_t master{};
    gnutls_session_get_master_secret(native, &master);
    if (master.size != master_.writable().size()) must(GNUTLS_E_INTERNAL_ERROR, "master secret");
    std::ranges::copy(bytes_of(master), master_.writable().begin());
    gnutls_datum_t client{};
    gnutls_datum_t server{};
    gnutls_session_get_random(native, &client, &server);
    if (client.size != 32 || server.size != 32) must(GNUTLS_E_INTERNAL_ERROR, "randoms");
    std::ranges::copy(bytes_of(client), randoms_.begin());
    std::ranges::copy(bytes_of(server), randoms_.begin() + 32);
}

// RFC 5246, 5:  A(0) = seed, A(i) = HMAC(A(i-1)), output = HMAC(A(1) + seed) + HMAC(A(2) + seed)...
std::vector<std::byte> DtlsExporter::derive(std::string_view label,
                                            std::optional<std::span<const std::byte>> context,
                                            std::size_t size) const {
    std::vector<std::byte> seed;
    append(seed, std::as_bytes(std::span(label)));
    append(seed, randoms_);
    if (context) {
        seed.push_back(static_cast<std::byte>(context->size() >> 8 & 0xff));
        seed.push_back(static_cast<std::byte>(context->size() & 0xff));
        append(seed, *context);
    }
    const auto algorithm = hash_ == Hash::sha384 ? GNUTLS_MAC_SHA384 : GNUTLS_MAC_SHA256;
    const std::size_t block = hash_ == Hash::sha384 ? 48 : 32;
    std::vector<std::byte> a = seed;
    std::vector<std::byte> out;
    std::array<std::byte, 48> digest{};
    const auto secret = master_.bytes();
    const auto hmac = [&](const std::vector<std::byte>& text) {
        must(gnutls_hmac_fast(algorithm, secret.data(), secret.size(), text.data(), text.size(),
                              digest.data()),
             "HMAC");
        return std::span<const std::byte>(digest).first(block);
    };
    while (out.size() < size) {
        const auto next = hmac(a);
        a.assign(next.begin(), next.end());
        auto input = a;
        append(input, seed);
        append(out, hmac(input));
    }
    out.resize(size);
    wipe(digest);
    return out;
}

}  // namespace post::crypto
