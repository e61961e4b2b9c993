// Credentials in GnuTLS's form, and the store that lends them.
#include "mappings/crypto/credentials.hpp"

#include <algorithm>

#include "mappings/crypto/handles.hpp"
#include "mappings/crypto/machine.hpp"

namespace post::crypto {

namespace {

// Deeper chains are not looked at (CVE-2024-12243 and its kin: time grows with the chain). The
// public QUIC interop runner shows nine certificates of a server, and the authority is one more.
constexpr unsigned deepest_chain = 10;
constexpr unsigned most_key_bits = 16384;

// One protocol alone, and AEAD alone. Where the machine computes AES, AES-128-GCM is five to ten
// times faster than GnuTLS's ChaCha20; where it does not, the other way round.
std::string priority_text(Cipher cipher, TlsProtocol protocol) {
    std::string ciphers;
    switch (cipher) {
        case Cipher::automatic:
            ciphers = machine_has_aes() ? ":+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
                                        : ":+CHACHA20-POLY1305:+AES-128-GCM:+AES-256-GCM";
            break;
        case Cipher::aes_128_gcm: ciphers = ":+AES-128-GCM"; break;
        case Cipher::aes_256_gcm: ciphers = ":+AES-256-GCM"; break;
        case Cipher::chacha20_poly1305: ciphers = ":+CHACHA20-POLY1305"; break;
    }
    const std::string groups =
        ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1";
    // No middlebox compatibility: QUIC forbids it (RFC 9001, 8.4).
    if (protocol == TlsProtocol::tls_1_3)
        return "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL" + ciphers + groups +
               ":%DISABLE_TLS13_COMPAT_MODE";
    return "NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-MAC-ALL:+AEAD"
           ":-CIPHER-ALL" +
           ciphers + groups;
}

}  // namespace

Credentials::Credentials(const Identity& identity, const Trust& trust)
    : certificates_(identity.certificates()), key_(identity.key()), trust_(trust) {
    must(gnutls_certificate_allocate_credentials(&native_), "credentials");
    Owned<gnutls_certificate_credentials_t, gnutls_certificate_free_credentials> guard(native_);
    gnutls_certificate_set_verify_limits(native_, most_key_bits, deepest_chain);
    if (identity) {
        auto certificates = datum(certificates_.view());
        auto key = datum(key_.view());
        must(gnutls_certificate_set_x509_key_mem2(native_, &certificates, &key, GNUTLS_X509_FMT_PEM,
                                                  nullptr, 0),
             "identity");
        has_identity_ = true;
    }
    if (trust.kind() == Trust::Kind::system) {
        // Not an error here: a machine without authorities trusts nobody, and the verdict says so.
        authorities_ = std::max(0, gnutls_certificate_set_x509_system_trust(native_));
    } else if (trust.kind() == Trust::Kind::authorities) {
        auto pem = datum(trust.authorities_pem().view());
        authorities_ = gnutls_certificate_set_x509_trust_mem(native_, &pem, GNUTLS_X509_FMT_PEM);
        must(authorities_, "authorities");
    }
    (void)guard.release();
}

Credentials::~Credentials() { gnutls_certificate_free_credentials(native_); }

bool Credentials::fits(const Identity& identity, const Trust& trust) const {
    return certificates_ == identity.certificates() && key_ == identity.key() && trust_ == trust;
}

struct CredentialStore::Entry {
    Entry(const Identity& identity, const Trust& trust) : credentials(identity, trust) {}
    Credentials credentials;
    std::size_t users = 0;
};

CredentialStore::CredentialStore() = default;

CredentialStore::~CredentialStore() {
    for (auto& protocol : priorities_)
        for (auto* priority : protocol)
            if (priority) gnutls_priority_deinit(priority);
}

gnutls_priority_st* CredentialStore::priority(Cipher cipher, TlsProtocol protocol) {
    auto& priority =
        priorities_[static_cast<std::size_t>(protocol)][static_cast<std::size_t>(cipher)];
    if (priority == nullptr)
        must(gnutls_priority_init(&priority, priority_text(cipher, protocol).c_str(), nullptr),
             "TLS priorities");
    return priority;
}

CredentialStore::Loan::Loan(Entry& entry) : entry_(&entry) { ++entry_->users; }

CredentialStore::Loan::~Loan() {
    if (entry_) --entry_->users;
}

const Credentials& CredentialStore::Loan::operator*() const { return entry_->credentials; }

CredentialStore::Loan CredentialStore::lend(const Identity& identity, const Trust& trust) {
    for (auto& entry : entries_)
        if (entry->credentials.fits(identity, trust)) return Loan(*entry);
    // A server that renews its certificate for years must not keep every one it ever had.
    auto unused = std::count_if(entries_.begin(), entries_.end(),
                                [](const auto& entry) { return entry->users == 0; });
    if (static_cast<std::size_t>(unused) >= most_unused)
        std::erase_if(entries_, [](const auto& entry) { return entry->users == 0; });
    entries_.push_back(std::make_unique<Entry>(identity, trust));
    return Loan(*entries_.back());
}

}  // namespace post::crypto
