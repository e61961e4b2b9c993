// Making a certificate: the self-signed ones of development, and small chains for tests. RFC 5280
// profile: serial number, key usage, extended key usage for both roles, subject alternative names.

#include <algorithm>
#include <array>
#include <ctime>

#include <gnutls/crypto.h>

#include <post/address.hpp>

#include "mappings/crypto/credentials.hpp"
#include "mappings/crypto/handles.hpp"

namespace post::crypto {

namespace {

void set_names(gnutls_x509_crt_t certificate, const std::vector<std::string>& names) {
    unsigned flags = GNUTLS_FSAN_SET;
    for (const auto& name : names) {
        if (auto address = Address::parse(name)) {
            auto size = address->family == Address::Family::v4 ? 4u : 16u;
            must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS,
                                                      address->ip.data(), size, flags),
                 "address in the certificate");
        } else {
            must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, name.data(),
                                                      static_cast<unsigned>(name.size()), flags),
                 "name in the certificate");
        }
        flags = GNUTLS_FSAN_APPEND;
    }
}

void set_usage(gnutls_x509_crt_t certificate, bool authority) {
    must(gnutls_x509_crt_set_basic_constraints(certificate, authority ? 1 : 0, -1), "constraints");
    unsigned usage = GNUTLS_KEY_DIGITAL_SIGNATURE;
    if (authority) usage |= GNUTLS_KEY_KEY_CERT_SIGN;
    must(gnutls_x509_crt_set_key_usage(certificate, usage), "key usage");
    if (authority) return;
    for (const char* purpose : {GNUTLS_KP_TLS_WWW_SERVER, GNUTLS_KP_TLS_WWW_CLIENT})
        must(gnutls_x509_crt_set_key_purpose_oid(certificate, purpose, 0), "key purpose");
}

void set_validity(gnutls_x509_crt_t certificate, const CertificateRequest& request) {
    // The one place outside of the edge that asks what day it is: a certificate is made for the
    // calendar, which the library's own clock does not know.
    auto now = std::time(nullptr);
    must(gnutls_x509_crt_set_activation_time(certificate, now + request.valid_from.count()),
         "activation time");
    must(gnutls_x509_crt_set_expiration_time(certificate, now + request.valid_for.count()),
         "expiration time");
}

std::string pem_of(gnutls_x509_crt_t certificate) {
    Datum text;
    must(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &text), "certificate as PEM");
    return text.string();
}

std::string pem_of(gnutls_x509_privkey_t key) {
    Datum text;
    must(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, nullptr, GNUTLS_PKCS_PLAIN,
                                           &text),
         "key as PEM");
    return text.string();
}

Certificate new_certificate() {
    gnutls_x509_crt_t raw = nullptr;
    must(gnutls_x509_crt_init(&raw), "certificate");
    return Certificate(raw);
}

PrivateKey new_key() {
    gnutls_x509_privkey_t raw = nullptr;
    must(gnutls_x509_privkey_init(&raw), "private key");
    return PrivateKey(raw);
}

}  // namespace

PemPair make_certificate(const CertificateRequest& request) {
    auto key = new_key();
    must(gnutls_x509_privkey_generate(key.get(), GNUTLS_PK_ECDSA,
                                      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
         "a fresh key");
    auto certificate = new_certificate();
    auto* raw = certificate.get();
    must(gnutls_x509_crt_set_version(raw, 3), "version");
    must(gnutls_x509_crt_set_key(raw, key.get()), "key");

    // RFC 5280, 4.1.2.2: positive and at most 20 bytes.
    std::array<unsigned char, 16> serial{};
    must(gnutls_rnd(GNUTLS_RND_NONCE, serial.data(), serial.size()), "serial number");
    serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x01);
    must(gnutls_x509_crt_set_serial(raw, serial.data(), serial.size()), "serial number");

    // RFC 5280, appendix A.1: a common name has at most 64 characters; the full name is in the SAN.
    if (!request.names.empty()) {
        const auto& name = request.names.front();
        must(gnutls_x509_crt_set_dn_by_oid(
                 raw, GNUTLS_OID_X520_COMMON_NAME, 0, name.data(),
                 static_cast<unsigned>(std::min<std::size_t>(name.size(), 64))),
             "subject");
    }
    set_names(raw, request.names);
    set_validity(raw, request);
    set_usage(raw, request.authority);
    std::array<unsigned char, 20> id{};
    std::size_t id_size = id.size();
    must(gnutls_x509_crt_get_key_id(raw, 0, id.data(), &id_size), "key id");
    must(gnutls_x509_crt_set_subject_key_id(raw, id.data(), id_size), "key id");

    PemPair pair;
    if (request.issuer == nullptr) {
        must(gnutls_x509_crt_sign2(raw, raw, key.get(), GNUTLS_DIG_SHA256, 0), "signature");
    } else {
        auto issuer = new_certificate();
        auto issuer_key = new_key();
        auto text = datum(request.issuer->certificates().view());
        must(gnutls_x509_crt_import(issuer.get(), &text, GNUTLS_X509_FMT_PEM), "issuer");
        text = datum(request.issuer->key().view());
        must(gnutls_x509_privkey_import2(issuer_key.get(), &text, GNUTLS_X509_FMT_PEM, nullptr, 0),
             "issuer's key");
        must(gnutls_x509_crt_sign2(raw, issuer.get(), issuer_key.get(), GNUTLS_DIG_SHA256, 0),
             "signature");
        pair.certificates = request.issuer->certificates().string();
    }
    pair.certificates.insert(0, pem_of(raw));
    pair.key = pem_of(key.get());
    return pair;
}

}  // namespace post::crypto
