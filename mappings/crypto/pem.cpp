// Checking PEM at the call, so that a wrong file is reported where it was named and not by the
// first handshake: which text, which block of it, and what GnuTLS says.

#include <array>
#include <cctype>
#include <span>
#include <vector>

#include <gnutls/abstract.h>

#include "mappings/crypto/credentials.hpp"
#include "mappings/crypto/handles.hpp"

namespace post::crypto {

namespace {

// More than any chain or bundle that makes sense; the system's has about 150.
constexpr unsigned most_certificates = 1024;

struct Chain {
    std::vector<Certificate> certificates;
};

Error bad_pem(int code, const std::string& detail) {
    return gnutls_failure(Errc::invalid_pem, code, Stage::call, detail);
}

// Reads block after block, so that a fault can name its block.
Result<Chain> read_certificates(std::string_view pem, std::string_view what) {
    constexpr std::string_view begin = "-----BEGIN ";
    constexpr std::string_view end = "-----END ";
    Chain chain;
    unsigned block = 0;
    for (auto at = pem.find(begin); at != pem.npos; at = pem.find(begin, at + 1)) {
        ++block;
        auto rest = pem.substr(at);
        if (auto stop = rest.find(end); stop != rest.npos)
            rest = rest.substr(0, std::min(rest.size(), rest.find('\n', stop)));
        auto title = rest.substr(begin.size());
        bool certificate = title.starts_with("CERTIFICATE-") ||
                           title.starts_with("X509 CERTIFICATE-") ||
                           title.starts_with("TRUSTED CERTIFICATE-");
        // A file may hold its key beside its certificates.
        if (!certificate) continue;
        if (chain.certificates.size() == most_certificates)
            return bad_pem(GNUTLS_E_CERTIFICATE_ERROR,
                           std::string(what) + ": more than 1024 certificates");
        gnutls_x509_crt_t raw = nullptr;
        must(gnutls_x509_crt_init(&raw), "certificate");
        Certificate parsed(raw);
        auto text = datum(rest);
        if (int code = gnutls_x509_crt_import(raw, &text, GNUTLS_X509_FMT_PEM); code < 0)
            return bad_pem(code, std::string(what) + ": PEM block " + std::to_string(block) +
                                     " is not a certificate: " + gnutls_strerror(code));
        chain.certificates.push_back(std::move(parsed));
    }
    if (chain.certificates.empty())
        return bad_pem(GNUTLS_E_NO_CERTIFICATE_FOUND, std::string(what) +
                                                          ": no -----BEGIN CERTIFICATE----- in " +
                                                          std::to_string(pem.size()) + " bytes");
    return chain;
}

Pin pin_text(gnutls_x509_crt_t certificate) {
    std::array<unsigned char, 32> digest{};
    std::size_t size = digest.size();
    if (gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, digest.data(), &size) < 0)
        return {};
    gnutls_datum_t raw{digest.data(), static_cast<unsigned>(size)};
    Datum text;
    if (gnutls_base64_encode2(&raw, &text) < 0) return {};
    return "sha256//" + text.string();
}

}  // namespace

Result<Pin> check_identity(std::string_view certificates, std::string_view key) {
    auto chain = read_certificates(certificates, "certificates");
    if (!chain) return chain.error();

    gnutls_x509_privkey_t raw = nullptr;
    must(gnutls_x509_privkey_init(&raw), "private key");
    PrivateKey secret(raw);
    auto text = datum(key);
    if (key.empty())
        return bad_pem(GNUTLS_E_BASE64_DECODING_ERROR, "private key: the text is empty");
    int code = gnutls_x509_privkey_import2(raw, &text, GNUTLS_X509_FMT_PEM, nullptr, 0);
    if (code == GNUTLS_E_DECRYPTION_FAILED)
        return bad_pem(code, "private key: it is encrypted; decrypt it first");
    if (code < 0)
        return bad_pem(code,
                       std::string("private key: not a key in PEM: ") + gnutls_strerror(code));

    std::array<unsigned char, 32> ours{};
    std::array<unsigned char, 32> theirs{};
    std::size_t size = ours.size();
    auto* own = chain->certificates.front().get();
    must(gnutls_x509_privkey_get_key_id(raw, GNUTLS_KEYID_USE_SHA256, ours.data(), &size), "key");
    must(gnutls_x509_crt_get_key_id(own, GNUTLS_KEYID_USE_SHA256, theirs.data(), &size), "key");
    if (ours != theirs)
        return Error(Errc::key_mismatch, gnutls_code(GNUTLS_E_CERTIFICATE_KEY_MISMATCH),
                     Stage::call,
                     "the private key does not belong to the first certificate: the chain must "
                     "begin with our own certificate");
    return pin_text(own);
}

Result<void> check_authorities(std::string_view pem) {
    auto chain = read_certificates(pem, "authorities");
    if (!chain) return chain.error();
    return {};
}

Pin pin_of(std::span<const std::byte> certificate) {
    gnutls_x509_crt_t raw = nullptr;
    must(gnutls_x509_crt_init(&raw), "certificate");
    Certificate parsed(raw);
    auto der = datum({reinterpret_cast<const char*>(certificate.data()), certificate.size()});
    if (gnutls_x509_crt_import(raw, &der, GNUTLS_X509_FMT_DER) < 0) return {};
    return pin_text(raw);
}

bool is_pin(std::string_view text) {
    constexpr std::string_view prefix = "sha256//";
    // 32 bytes are 43 characters and one of padding.
    if (!text.starts_with(prefix) || text.size() != prefix.size() + 44 || text.back() != '=')
        return false;
    for (char c : text.substr(prefix.size(), 43))
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '+' && c != '/') return false;
    return true;
}

}  // namespace post::crypto
