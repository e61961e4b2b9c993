// Verification by what the name service says of the certificate (RFC 7671).
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <algorithm>

#include "mappings/crypto/dane.hpp"
#include "mappings/crypto/handles.hpp"
#include "mappings/crypto/verification.hpp"

namespace post::crypto {

namespace {

using TrustList = std::unique_ptr<std::remove_pointer_t<gnutls_x509_trust_list_t>,
                                  decltype([](gnutls_x509_trust_list_t list) {
                                      gnutls_x509_trust_list_deinit(list, 0);
                                  })>;

Certificate read_certificate(const gnutls_datum_t& der) {
    gnutls_x509_crt_t certificate = nullptr;
    if (gnutls_x509_crt_init(&certificate) < 0) return nullptr;
    Certificate owner(certificate);
    if (gnutls_x509_crt_import(certificate, &der, GNUTLS_X509_FMT_DER) < 0) return nullptr;
    return owner;
}

// Whether the chain (the peer's own certificate first) ends in `authority`, is made out to `name`,
// for servers, and is valid today.
bool chain_ends_in(const std::vector<Certificate>& chain, gnutls_x509_crt_t authority,
                   const std::string& name) {
    // Who is no authority vouches for nobody, itself included: that is what usage 3 is for.
    if (gnutls_x509_crt_get_ca_status(authority, nullptr) <= 0) return false;
    gnutls_x509_trust_list_t made = nullptr;
    if (gnutls_x509_trust_list_init(&made, 0) < 0) return false;
    const TrustList list(made);
    if (gnutls_x509_trust_list_add_cas(made, &authority, 1, 0) != 1) return false;
    std::vector<gnutls_x509_crt_t> certificates;
    for (const Certificate& certificate : chain) certificates.push_back(certificate.get());
    const char* purpose = GNUTLS_KP_TLS_WWW_SERVER;
    gnutls_typed_vdata_st data[2]{};
    data[0].type = GNUTLS_DT_KEY_PURPOSE_OID;
    data[0].data = reinterpret_cast<unsigned char*>(const_cast<char*>(purpose));
    data[1].type = GNUTLS_DT_DNS_HOSTNAME;
    data[1].data = reinterpret_cast<unsigned char*>(const_cast<char*>(name.data()));
    data[1].size = static_cast<unsigned>(name.size());
    unsigned status = ~0u;
    const int code = gnutls_x509_trust_list_verify_crt2(made, certificates.data(),
                                                        static_cast<unsigned>(certificates.size()),
                                                        data, 2, 0, &status, nullptr);
    return code >= 0 && status == 0;
}

}  // namespace

// RFC 7671, 5. One record that fits is enough; those for which the authorities count are looked at
// last, since they need more.
bool Verification::verify_dane(const std::vector<Tlsa>& records) {
    unsigned count = 0;
    const gnutls_datum_t* shown = gnutls_certificate_get_peers(native_, &count);
    const auto is = [](const Tlsa& record, TlsaUsage usage) {
        return record.usage == static_cast<std::uint8_t>(usage);
    };
    // 5.1: neither names, nor dates, nor who signed it matter.
    for (const Tlsa& record : records)
        if (is(record, TlsaUsage::dane_ee) && names_certificate(record, bytes_of(shown[0])))
            return true;

    std::vector<Certificate> chain;
    for (unsigned i = 0; i < count; ++i) {
        auto certificate = read_certificate(shown[i]);
        if (!certificate) break;
        chain.push_back(std::move(certificate));
    }
    const auto vouches = [&](gnutls_x509_crt_t authority) {
        return chain_ends_in(chain, authority, name_) ||
               (!tlsa_host_.empty() && tlsa_host_ != name_ &&
                chain_ends_in(chain, authority, tlsa_host_));
    };
    const auto ends_in_named = [&](const Tlsa& record) {
        for (std::size_t i = 1; i < chain.size(); ++i)
            if (names_certificate(record, bytes_of(shown[i])) && vouches(chain[i].get()))
                return true;
        // 5.2.3: who names a whole certificate need not have it shown. (Bare keys have to be shown
        // in a certificate: not done otherwise, because GnuTLS believes certificates alone.)
        if (record.selector != 0 || record.matching != 0) return false;
        const auto named = read_certificate(datum(record.data.view()));
        return named && vouches(named.get());
    };
    // 5.2: an authority that needs nobody's trust, and name and dates as ever.
    for (const Tlsa& record : records)
        if (is(record, TlsaUsage::dane_ta) && ends_in_named(record)) return true;

    // 5.3 and 5.4: beside everything that is asked of a certificate anyway.
    for (const Tlsa& record : records) {
        const bool own = is(record, TlsaUsage::pkix_ee) &&
                         names_certificate(record, bytes_of(shown[0]));
        if (own || (is(record, TlsaUsage::pkix_ta) && path_has(record))) return verify_chain();
    }

    std::string detail = "no TLSA record of " + (tlsa_host_.empty() ? name_ : tlsa_host_) +
                         " fits its certificate; there are";
    for (const Tlsa& record : records) detail += " (" + text_of(record) + ")";
    refuse(Errc::certificate_dane, GNUTLS_A_BAD_CERTIFICATE, GNUTLS_E_CERTIFICATE_KEY_MISMATCH,
           detail + "; the peer has " + pin_of(bytes_of(shown[0])) +
               ", and its zone or its certificate is out of date");
    return false;
}

// Whether one of the authorities between the peer and whom we trust is the one that the record
// names. What the peer shows beside them proves nothing.
bool Verification::path_has(const Tlsa& record) const {
    constexpr int longest_path = 8;
    unsigned count = 0;
    const gnutls_datum_t* shown = gnutls_certificate_get_peers(native_, &count);
    auto at = read_certificate(shown[0]);
    for (int depth = 0; at && depth < longest_path; ++depth) {
        gnutls_x509_crt_t trusted = nullptr;
        if (gnutls_certificate_get_issuer(credentials_->native(), at.get(), &trusted, 0) == 0) {
            Datum der;
            return gnutls_x509_crt_export2(trusted, GNUTLS_X509_FMT_DER, &der) >= 0 &&
                   names_certificate(record, bytes_of(der));
        }
        Certificate next;
        for (unsigned i = 1; i < count && !next; ++i) {
            auto candidate = read_certificate(shown[i]);
            if (!candidate || gnutls_x509_crt_check_issuer(at.get(), candidate.get()) == 0)
                continue;
            unsigned status = 0;
            gnutls_x509_crt_t issuer = candidate.get();
            if (gnutls_x509_crt_verify(at.get(), &issuer, 1, 0, &status) < 0 || status != 0)
                continue;
            if (names_certificate(record, bytes_of(shown[i]))) return true;
            next = std::move(candidate);
        }
        at = std::move(next);
    }
    return false;
}

}  // namespace post::crypto
