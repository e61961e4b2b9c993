// TLS over a byte stream in memory: TlsEnd is one of our sessions and what came out of it; GnuPeer
// is GnuTLS with its own record layer, so that our records are judged by somebody else's, and it
// can also seal anything under the true keys: what no honest peer would send.
#pragma once

#include <doctest/doctest.h>

#include <gnutls/gnutls.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mappings/crypto/handles.hpp"
#include "mappings/crypto/key_schedule.hpp"
#include "mappings/crypto/tls_stream.hpp"
#include "mappings/values.hpp"

namespace post::test {

using Octets = std::vector<std::byte>;

inline Octets octets(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}
inline std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A certificate for server.example and so many other names of 240 bytes each.
inline crypto::PemPair tls_certificate(std::size_t more) {
    crypto::CertificateRequest request;
    request.names = {"server.example"};
    for (; more > 0; --more) {
        std::string name = std::to_string(1000 + more);
        while (name.size() < 233) name += "." + std::string(55, 'n');
        request.names.push_back(name + ".example");
    }
    return crypto::make_certificate(request);
}
// Made once, for keys cost time.
inline const crypto::PemPair& tls_pem() {
    static const crypto::PemPair pair = tls_certificate(0);
    return pair;
}
inline const crypto::PemPair& large_tls_pem() {
    static const crypto::PemPair pair = tls_certificate(75);
    return pair;
}

struct TlsEndOptions {
    std::vector<std::string> alpn{"test/1"};
    Cipher cipher = Cipher::automatic;
    const crypto::PemPair* pem = &tls_pem();  // the server's
    crypto::ClientCertificate client_certificate = crypto::ClientCertificate::none;
    Trust trust = Trust::danger_anyone();  // the client's
    std::string server_name = "server.example";
    std::vector<Tlsa> tlsa{};
    std::string tlsa_host{};
    Bytes session{};               // that the client resumes
    std::uint32_t early_data = 0;  // the client's
    crypto::ServerTickets tickets{};
};

class TlsEnd {
public:
    using Progress = crypto::TlsStream::Progress;

    explicit TlsEnd(Role role, const TlsEndOptions& options = {}) {
        const auto& protection = crypto::gnutls_protection();
        if (role == Role::client) {
            crypto::ClientSecurity security;
            security.trust = options.trust;
            security.server_name = options.server_name;
            security.tlsa = options.tlsa;
            security.tlsa_host = options.tlsa_host;
            security.cipher = options.cipher;
            security.session = options.session;
            security.early_data = options.early_data;
            stream.emplace(store, security, options.alpn, protection);
            stream->start();
        } else {
            crypto::ServerSecurity security;
            security.identity = Identity::from_pem(options.pem->certificates, options.pem->key);
            security.cipher = options.cipher;
            security.client_certificate = options.client_certificate;
            security.client_trust = Trust::danger_anyone();
            security.tickets = options.tickets;
            stream.emplace(store, security, options.alpn, protection);
        }
    }

    // In parts of `part` bytes each.
    Progress feed(std::span<const std::byte> bytes, std::size_t part = ~std::size_t{0}) {
        crypto::TlsStream::Sink sink = [&](std::span<const std::byte> content) {
            ++contents;
            arrived += text_of(content);
            return true;
        };
        do {
            const auto now = bytes.first(std::min(part, bytes.size()));
            stream->handle_input(now, room_, sink);
            bytes = bytes.subspan(now.size());
        } while (!bytes.empty());
        return progress();
    }
    Octets take() {
        Octets out;
        while (stream->has_output()) {
            std::array<std::byte, 1000> space;
            const auto size = stream->take_output(space);
            out.insert(out.end(), space.begin(), space.begin() + static_cast<std::ptrdiff_t>(size));
        }
        return out;
    }
    // What TLS has to say, and a record of `content` behind it.
    Octets say(std::string_view content) {
        Octets out = take();
        Octets space(content.size() + crypto::tls_overhead);
        const auto bytes = std::as_bytes(std::span(content));
        std::copy(bytes.begin(), bytes.end(), space.begin() + crypto::tls_header_size);
        space.resize(stream->seal(space, content.size()));
        out.insert(out.end(), space.begin(), space.end());
        return out;
    }

    // The same before the server has answered.
    Octets say_early(std::string_view content) {
        Octets out = take();
        Octets space(content.size() + crypto::tls_overhead);
        const auto bytes = std::as_bytes(std::span(content));
        std::copy(bytes.begin(), bytes.end(), space.begin() + crypto::tls_header_size);
        space.resize(stream->seal_early(space, content.size()));
        out.insert(out.end(), space.begin(), space.end());
        return out;
    }

    Progress progress() const { return stream->progress(); }
    bool complete() const { return progress() == Progress::complete; }
    bool failed() const { return progress() == Progress::failed; }

    crypto::CredentialStore store;
    std::optional<crypto::TlsStream> stream;
    std::string arrived;
    std::size_t contents = 0;  // records of content

private:
    Octets room_ = Octets(crypto::largest_tls_fragment);
};

// Two of ours. Each direction is cut into parts of `part` bytes.
struct TlsTalk {
    explicit TlsTalk(const TlsEndOptions& options = {}, std::size_t part = ~std::size_t{0})
        : client(Role::client, options), server(Role::server, options) {
        for (int turn = 0; turn < 8 && (client.stream->has_output() || server.stream->has_output());
             ++turn) {
            if (const auto out = client.take(); !out.empty()) server.feed(out, part);
            if (const auto out = server.take(); !out.empty()) client.feed(out, part);
        }
    }
    bool complete() const { return client.complete() && server.complete(); }
    bool talks() {
        client.arrived.clear();
        server.arrived.clear();
        server.feed(client.say("ping"));
        client.feed(server.say("pong"));
        return server.arrived == "ping" && client.arrived == "pong";
    }

    TlsEnd client;
    TlsEnd server;
};

class GnuPeer {
public:
    struct Options {
        std::string alpn = "test/1";  // empty: none
        std::string cipher = "AES-128-GCM";
        const crypto::PemPair* pem = &tls_pem();  // the server's
        unsigned flags = 0;
        std::string extra;  // of the priorities
    };

    explicit GnuPeer(Role role) : GnuPeer(role, Options()) {}
    GnuPeer(Role role, const Options& options) : role_(role) {
        suite_.cipher = options.cipher == "AES-128-GCM"   ? crypto::Aead::aes_128_gcm
                        : options.cipher == "AES-256-GCM" ? crypto::Aead::aes_256_gcm
                                                          : crypto::Aead::chacha20_poly1305;
        if (options.cipher == "AES-256-GCM") suite_.hash = crypto::Hash::sha384;
        gnutls_session_t session = nullptr;
        REQUIRE(gnutls_init(&session, (role == Role::client ? GNUTLS_CLIENT : GNUTLS_SERVER) |
                                          GNUTLS_NO_SIGNAL | options.flags) == 0);
        session_.reset(session);
        const std::string priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+" +
                                     options.cipher + options.extra;
        REQUIRE(gnutls_priority_set_direct(session, priority.c_str(), nullptr) == 0);
        gnutls_certificate_credentials_t credentials = nullptr;
        REQUIRE(gnutls_certificate_allocate_credentials(&credentials) == 0);
        credentials_.reset(credentials);
        if (role == Role::server) {
            const auto certificates = crypto::datum(options.pem->certificates);
            const auto key = crypto::datum(options.pem->key);
            REQUIRE(gnutls_certificate_set_x509_key_mem(credentials, &certificates, &key,
                                                        GNUTLS_X509_FMT_PEM) >= 0);
        }
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
        if (!options.alpn.empty()) {
            const auto name = crypto::datum(options.alpn);
            gnutls_alpn_set_protocols(session, &name, 1, 0);
        }
        gnutls_handshake_set_timeout(session, GNUTLS_INDEFINITE_TIMEOUT);
        gnutls_handshake_set_max_packet_length(session, 64 * 1024);
        gnutls_session_set_ptr(session, this);
        gnutls_session_set_keylog_function(session, on_secret);
        gnutls_transport_set_ptr(session, this);
        gnutls_transport_set_push_function(session, push);
        gnutls_transport_set_pull_function(session, pull);
        gnutls_transport_set_pull_timeout_function(session, wait);
    }
    GnuPeer(const GnuPeer&) = delete;
    GnuPeer& operator=(const GnuPeer&) = delete;

    // Until neither has anything to say; GnuTLS's code.
    int shake_hands(TlsEnd& end) {
        int code = GNUTLS_E_AGAIN;
        for (int turn = 0; turn < 8; ++turn) {
            if (code < 0 && gnutls_error_is_fatal(code) == 0) code = gnutls_handshake(native());
            exchange(end);
        }
        last = code;
        return code;
    }
    // What each has said reaches the other.
    void exchange(TlsEnd& end) {
        if (!sent.empty()) end.feed(std::exchange(sent, {}));
        hear(end.take());
    }
    void hear(std::span<const std::byte> bytes) {
        incoming_.insert(incoming_.end(), bytes.begin(), bytes.end());
    }

    // GnuTLS's own records.
    Octets say(std::string_view content) {
        REQUIRE(gnutls_record_send(native(), content.data(), content.size()) ==
                static_cast<ssize_t>(content.size()));
        return std::exchange(sent, {});
    }
    // All that has come; then the code that ended it: AGAIN for nothing more.
    std::string read() {
        std::string text;
        for (;;) {
            std::array<char, 20000> space;
            last = gnutls_record_recv(native(), space.data(), space.size());
            // A message of TLS alone is answered like nothing at all.
            if (last == GNUTLS_E_AGAIN && !incoming_.empty()) continue;
            if (last <= 0) return text;
            text.append(space.data(), static_cast<std::size_t>(last));
        }
    }
    // The alert that ended it for GnuTLS; -1: none came.
    int alert() {
        if (last != GNUTLS_E_FATAL_ALERT_RECEIVED) read();
        return last == GNUTLS_E_FATAL_ALERT_RECEIVED || last == GNUTLS_E_WARNING_ALERT_RECEIVED
                   ? gnutls_alert_get(native())
                   : -1;
    }

    // Records under the true keys, as if GnuTLS had sent none since the handshake.
    Octets forge(crypto::TlsType type, std::span<const std::byte> content) {
        if (!forging_) forging_.emplace(crypto::gnutls_protection(), suite_, secret_);
        Octets space(content.size() + crypto::tls_overhead);
        std::copy(content.begin(), content.end(), space.begin() + crypto::tls_header_size);
        space.resize(forging_->seal(type, space, content.size()));
        return space;
    }
    void update_forged() { forging_->update(); }

    gnutls_session_t native() const { return session_.get(); }
    Octets sent;
    ssize_t last = 0;

private:
    static GnuPeer& of(void* pointer) { return *static_cast<GnuPeer*>(pointer); }
    static ssize_t push(gnutls_transport_ptr_t pointer, const void* data, std::size_t size) {
        const auto* bytes = static_cast<const std::byte*>(data);
        of(pointer).sent.insert(of(pointer).sent.end(), bytes, bytes + size);
        return static_cast<ssize_t>(size);
    }
    static ssize_t pull(gnutls_transport_ptr_t pointer, void* data, std::size_t size) {
        auto& incoming = of(pointer).incoming_;
        if (incoming.empty()) {
            gnutls_transport_set_errno(of(pointer).native(), EAGAIN);
            return -1;
        }
        const auto taken = std::min(size, incoming.size());
        std::copy_n(incoming.begin(), taken, static_cast<std::byte*>(data));
        incoming.erase(incoming.begin(), incoming.begin() + static_cast<std::ptrdiff_t>(taken));
        return static_cast<ssize_t>(taken);
    }
    static int wait(gnutls_transport_ptr_t pointer, unsigned) {
        return of(pointer).incoming_.empty() ? 0 : 1;
    }
    static int on_secret(gnutls_session_t session, const char* label,
                         const gnutls_datum_t* secret) {
        auto& self = of(gnutls_session_get_ptr(session));
        const std::string_view ours = self.role_ == Role::client ? "CLIENT_TRAFFIC_SECRET_0"
                                                                 : "SERVER_TRAFFIC_SECRET_0";
        if (label == ours) {
            const auto bytes = crypto::bytes_of(*secret);
            self.secret_.assign(bytes.begin(), bytes.end());
        }
        return 0;
    }

    Role role_;
    crypto::Suite suite_{{}, crypto::Hash::sha256, ~std::uint64_t{0}, 0};
    crypto::Owned<gnutls_certificate_credentials_t, gnutls_certificate_free_credentials>
        credentials_;
    crypto::Owned<gnutls_session_t, gnutls_deinit> session_;
    Octets incoming_;
    Octets secret_;
    std::optional<crypto::TlsKeys> forging_;
};

}  // namespace post::test
