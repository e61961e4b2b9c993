// Fingerprints of certificates as SDP writes them.
//
//    RFC 8122, 5   hash-func SP 2UHEX *(":" 2UHEX)

#include <algorithm>
#include <array>
#include <cctype>

#include "mappings/crypto/credentials.hpp"
#include "mappings/crypto/handles.hpp"

namespace post::crypto {

namespace {

// MD5 and SHA-1 are refused: others can be made that have the same.
struct Hash {
    std::string_view name;
    gnutls_digest_algorithm_t algorithm;
    std::size_t size;
};
constexpr std::array<Hash, 3> hashes{{
    {"sha-256", GNUTLS_DIG_SHA256, 32},
    {"sha-384", GNUTLS_DIG_SHA384, 48},
    {"sha-512", GNUTLS_DIG_SHA512, 64},
}};

template <int (*Change)(int)> std::string changed(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(Change(static_cast<unsigned char>(c)));
    return result;
}

const Hash* hash_of(std::string_view fingerprint) {
    const auto name = changed<std::tolower>(fingerprint.substr(0, fingerprint.find(' ')));
    const auto* found = std::find_if(hashes.begin(), hashes.end(),
                                     [&](const Hash& hash) { return hash.name == name; });
    return found == hashes.end() ? nullptr : found;
}

}  // namespace

std::string normal_fingerprint(std::string_view text) {
    const auto* hash = hash_of(text);
    if (hash == nullptr) return {};
    const auto digits = text.substr(std::min(text.size(), hash->name.size() + 1));
    if (digits.size() != 3 * hash->size - 1) return {};
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const bool right = i % 3 == 2 ? digits[i] == ':'
                                      : std::isxdigit(static_cast<unsigned char>(digits[i])) != 0;
        if (!right) return {};
    }
    return std::string(hash->name) + ' ' + changed<std::toupper>(digits);
}

std::string fingerprint_of(std::span<const std::byte> certificate, std::string_view like) {
    const auto* hash = hash_of(like);
    if (hash == nullptr) return {};
    std::array<unsigned char, 64> digest{};
    std::size_t size = digest.size();
    const auto der = datum({reinterpret_cast<const char*>(certificate.data()), certificate.size()});
    must(gnutls_fingerprint(hash->algorithm, &der, digest.data(), &size), "fingerprint");
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string text(hash->name);
    for (std::size_t i = 0; i < size; ++i) {
        text += i == 0 ? ' ' : ':';
        text += digits[digest[i] >> 4];
        text += digits[digest[i] & 15];
    }
    return text;
}

std::string fingerprint_of_pem(std::string_view certificates) {
    Datum der;
    const auto pem = datum(certificates);
    // Files may have any text before it; the title of old ones differs.
    if (gnutls_pem_base64_decode2("CERTIFICATE", &pem, &der) < 0 &&
        gnutls_pem_base64_decode2("X509 CERTIFICATE", &pem, &der) < 0)
        return {};
    return fingerprint_of(bytes_of(der), hashes[0].name);
}

}  // namespace post::crypto
