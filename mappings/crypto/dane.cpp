// DANE's matching, on GnuTLS's certificates and digests.
#include "mappings/crypto/dane.hpp"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "mappings/crypto/handles.hpp"

namespace post::crypto {

namespace {

// What of a certificate is matched, and how (RFC 6698, 2.1.2 and 2.1.3).
constexpr std::uint8_t whole_certificate = 0;
constexpr std::uint8_t public_key = 1;
constexpr std::uint8_t exact = 0;
constexpr std::uint8_t sha_256 = 1;
constexpr std::uint8_t sha_512 = 2;

bool fits(const Tlsa& record) {
    if (record.usage > 3 || record.selector > public_key) return false;
    switch (record.matching) {
        case exact: return !record.data.empty();
        case sha_256: return record.data.size() == 32;
        case sha_512: return record.data.size() == 64;
        default: return false;
    }
}

gnutls_datum_t datum_of(std::span<const std::byte> bytes) {
    return datum({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

bool matches(const Tlsa& record, const gnutls_datum_t& selected) {
    const std::string_view data = record.data.view();
    if (record.matching == exact)
        return data ==
               std::string_view(reinterpret_cast<const char*>(selected.data), selected.size);
    std::array<unsigned char, 64> digest{};
    const auto hash = record.matching == sha_256 ? GNUTLS_DIG_SHA256 : GNUTLS_DIG_SHA512;
    if (gnutls_hash_fast(hash, selected.data, selected.size, digest.data()) < 0) return false;
    return data == std::string_view(reinterpret_cast<const char*>(digest.data()), data.size());
}

}  // namespace

std::vector<Tlsa> usable_records(const std::vector<Tlsa>& records, Trust::Kind trust) {
    std::vector<Tlsa> usable;
    for (const Tlsa& record : records) {
        const bool needs_authority = record.usage <= static_cast<std::uint8_t>(TlsaUsage::pkix_ee);
        const bool counts = trust == Trust::Kind::system ||
                            (trust == Trust::Kind::authorities && needs_authority);
        if (counts && fits(record)) usable.push_back(record);
    }
    return usable;
}

bool names_certificate(const Tlsa& record, std::span<const std::byte> certificate) {
    const auto der = datum_of(certificate);
    if (record.selector == whole_certificate) return matches(record, der);
    gnutls_x509_crt_t parsed = nullptr;
    if (gnutls_x509_crt_init(&parsed) < 0) return false;
    const Certificate owner(parsed);
    if (gnutls_x509_crt_import(parsed, &der, GNUTLS_X509_FMT_DER) < 0) return false;
    gnutls_pubkey_t key = nullptr;
    if (gnutls_pubkey_init(&key) < 0) return false;
    const Owned<gnutls_pubkey_t, gnutls_pubkey_deinit> key_owner(key);
    Datum info;
    if (gnutls_pubkey_import_x509(key, parsed, 0) < 0 ||
        gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &info) < 0)
        return false;
    return matches(record, info);
}

std::string text_of(const Tlsa& record) {
    return std::to_string(record.usage) + ' ' + std::to_string(record.selector) + ' ' +
           std::to_string(record.matching);
}

}  // namespace post::crypto
