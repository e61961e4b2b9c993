// From secrets to keys, and ngtcp2's callbacks that use them.
#include "mappings/quic/keys.hpp"

#include <cstring>

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "mappings/crypto/key_schedule.hpp"
#include "mappings/crypto/packet_protection.hpp"
#include "mappings/quic/connection.hpp"

namespace post::quic {

namespace {

using crypto::HeaderKey;
using crypto::PacketKey;
using crypto::QuicVersion;
using crypto::Suite;

std::span<const std::byte> view(const std::uint8_t* data, std::size_t size) {
    return std::as_bytes(std::span(data, size));
}

std::byte* bytes(std::uint8_t* data) { return reinterpret_cast<std::byte*>(data); }

const std::uint8_t* raw(std::span<const std::byte> data) {
    return reinterpret_cast<const std::uint8_t*>(data.data());
}

QuicVersion to_version(std::uint32_t version) {
    return version == NGTCP2_PROTO_VER_V2 ? QuicVersion::v2 : QuicVersion::v1;
}

ngtcp2_crypto_ctx context_of(const Suite& suite) {
    ngtcp2_crypto_ctx context{};
    context.aead.native_handle = const_cast<Suite*>(&suite);
    context.aead.max_overhead = crypto::tag_size;
    context.max_encryption = suite.most_sealed;
    context.max_decryption_failure = suite.most_forged;
    return context;
}

const Suite& suite_of(const ngtcp2_crypto_ctx* context) {
    return *static_cast<const Suite*>(context->aead.native_handle);
}

// The keys of one direction at one level, ours until ngtcp2 has taken them.
class DirectionKeys {
public:
    DirectionKeys(const crypto::PacketProtection& protection, const Suite& suite,
                  QuicVersion version, std::span<const std::byte> secret) {
        crypto::PacketSecrets secrets(suite.cipher);
        derive(secrets, suite, version, secret);
        packet_ = protection.packet_key(suite.cipher, secrets.key.bytes());
        header_ = protection.header_key(suite.cipher, secrets.header_key.bytes());
        aead.native_handle = packet_.get();
        cipher.native_handle = header_.get();
        iv_ = secrets.iv;
    }

    const std::uint8_t* iv() const { return raw(iv_); }
    std::size_t iv_size() const { return iv_.size(); }
    // `code`: what ngtcp2 answered to the keys.
    bool taken(int code) {
        if (code != 0) return false;
        (void)packet_.release();
        (void)header_.release();
        return true;
    }

    ngtcp2_crypto_aead_ctx aead{};
    ngtcp2_crypto_cipher_ctx cipher{};

private:
    std::unique_ptr<PacketKey> packet_;
    std::unique_ptr<HeaderKey> header_;
    std::array<std::byte, crypto::nonce_size> iv_{};
};

}  // namespace

// A friend of Connection, as Callbacks is.
struct Keys {
    static Connection& connection(void* user_data) { return *static_cast<Connection*>(user_data); }

    // ---- Initial keys

    static bool install_initial(Connection& self, ngtcp2_conn* conn, const ngtcp2_cid& id) {
        auto version = to_version(ngtcp2_conn_get_client_chosen_version(conn));
        const auto& suite = crypto::initial_suite();
        auto context = context_of(suite);
        ngtcp2_conn_set_initial_crypto_ctx(conn, &context);
        if (self.role_ == Role::client && ngtcp2_conn_after_retry(conn) == 0) {
            ngtcp2_crypto_aead_ctx retry{};
            auto key = crypto::dormant_packet_key(self.endpoint_.protection(), suite.cipher,
                                                  crypto::retry_key(version));
            retry.native_handle = key.release();
            ngtcp2_conn_set_retry_aead(conn, &context.aead, &retry);
        }
        auto [receive, send] = initial_keys(self, version, id);
        int code = ngtcp2_conn_install_initial_key(conn, &receive.aead, receive.iv(),
                                                   &receive.cipher, &send.aead, send.iv(),
                                                   &send.cipher, send.iv_size());
        return receive.taken(code) && send.taken(code);
    }
    static int client_initial(ngtcp2_conn* conn, void* user_data) {
        return connection(user_data).guarded([&](Connection& self) {
            if (!install_initial(self, conn, *ngtcp2_conn_get_dcid(conn))) return false;
            // The ClientHello.
            return self.tls_->advance(GNUTLS_ENCRYPTION_LEVEL_INITIAL, {}) !=
                   crypto::TlsSession::Progress::failed;
        });
    }
    static int recv_client_initial(ngtcp2_conn* conn, const ngtcp2_cid* id, void* user_data) {
        return connection(user_data).guarded(
            [&](Connection& self) { return install_initial(self, conn, *id); });
    }
    static int recv_retry(ngtcp2_conn* conn, const ngtcp2_pkt_hd* header, void* user_data) {
        return connection(user_data).guarded(
            [&](Connection& self) { return install_initial(self, conn, header->scid); });
    }
    // RFC 9368: both sides go on in another version than the client began with.
    static int version_negotiation(ngtcp2_conn* conn, std::uint32_t version, const ngtcp2_cid* id,
                                   void* user_data) {
        return connection(user_data).guarded([&](Connection& self) {
            auto [receive, send] = initial_keys(self, to_version(version), *id);
            int code = ngtcp2_conn_install_vneg_initial_key(
                conn, version, &receive.aead, receive.iv(), &receive.cipher, &send.aead, send.iv(),
                &send.cipher, send.iv_size());
            return receive.taken(code) && send.taken(code);
        });
    }

    struct BothKeys {
        DirectionKeys receive;
        DirectionKeys send;
    };
    static BothKeys initial_keys(Connection& self, QuicVersion version, const ngtcp2_cid& id) {
        crypto::InitialSecrets secrets;
        derive_initial(secrets, version, view(id.data, id.datalen));
        bool client = self.role_ == Role::client;
        const auto& ours = client ? secrets.client : secrets.server;
        const auto& theirs = client ? secrets.server : secrets.client;
        const auto& protection = self.endpoint_.protection();
        return {DirectionKeys(protection, crypto::initial_suite(), version, theirs.bytes()),
                DirectionKeys(protection, crypto::initial_suite(), version, ours.bytes())};
    }

    // ---- Keys from TLS

    static int secrets(gnutls_session_t session, gnutls_record_encryption_level_t level,
                       const void* receive, const void* send, std::size_t size) {
        auto* reference = static_cast<ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session));
        // RFC 9001, 8.2: nothing goes on without the peer's transport parameters, and ngtcp2 takes
        // it for granted that they are there. A client's come before any key, a server's before
        // those of 1-RTT.
        const Connection& owner = connection(reference->user_data);
        if ((owner.role_ == Role::server || level == GNUTLS_ENCRYPTION_LEVEL_APPLICATION) &&
            ngtcp2_conn_get_remote_transport_params(owner.native_.get()) == nullptr)
            return GNUTLS_E_MISSING_EXTENSION;
        // RFC 9001, 6: a KeyUpdate of TLS, which is none of QUIC's.
        if (ngtcp2_conn_get_handshake_completed(owner.native_.get()) != 0)
            return GNUTLS_E_UNEXPECTED_PACKET;
        auto code = connection(reference->user_data).guarded([&](Connection& self) {
            auto at = ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(level);
            for (const auto* secret : {receive, send})
                if (secret != nullptr &&
                    !install(self, at, {static_cast<const std::byte*>(secret), size},
                             secret == send))
                    return false;
            return true;
        });
        return code == 0 ? 0 : GNUTLS_E_INTERNAL_ERROR;
    }
    static bool install(Connection& self, ngtcp2_encryption_level level,
                        std::span<const std::byte> secret, bool sending) {
        auto* conn = self.native_.get();
        bool early = level == NGTCP2_ENCRYPTION_LEVEL_0RTT;
        if (early) self.tls_->keep_early_secret();
        // 0-RTT has one direction, and both ends are told its secret.
        if (early && sending != (self.role_ == Role::client)) return true;
        const auto* suite = crypto::suite_of(self.tls_->native(), early);
        if (suite == nullptr) return false;
        auto context = context_of(*suite);
        if (early)
            ngtcp2_conn_set_0rtt_crypto_ctx(conn, &context);
        else if (ngtcp2_conn_get_crypto_ctx(conn)->aead.native_handle == nullptr)
            ngtcp2_conn_set_crypto_ctx(conn, &context);
        auto version = to_version(early ? ngtcp2_conn_get_client_chosen_version(conn)
                                        : ngtcp2_conn_get_negotiated_version(conn));
        DirectionKeys keys(self.endpoint_.protection(), *suite, version, secret);
        return keys.taken(hand_over(conn, level, secret, sending, keys));
    }
    static int hand_over(ngtcp2_conn* conn, ngtcp2_encryption_level level,
                         std::span<const std::byte> secret, bool sending,
                         const DirectionKeys& keys) {
        switch (level) {
            case NGTCP2_ENCRYPTION_LEVEL_0RTT:
                return ngtcp2_conn_install_0rtt_key(conn, &keys.aead, keys.iv(), keys.iv_size(),
                                                    &keys.cipher);
            case NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE:
                return (sending ? ngtcp2_conn_install_tx_handshake_key
                                : ngtcp2_conn_install_rx_handshake_key)(
                    conn, &keys.aead, keys.iv(), keys.iv_size(), &keys.cipher);
            case NGTCP2_ENCRYPTION_LEVEL_1RTT:
                return (sending ? ngtcp2_conn_install_tx_key : ngtcp2_conn_install_rx_key)(
                    conn, raw(secret), secret.size(), &keys.aead, keys.iv(), keys.iv_size(),
                    &keys.cipher);
            default: return NGTCP2_ERR_INVALID_ARGUMENT;
        }
    }

    // RFC 9001, 6: ngtcp2 asks long before the next phase begins.
    static int update_key(ngtcp2_conn* conn, std::uint8_t* receive_secret,
                          std::uint8_t* send_secret, ngtcp2_crypto_aead_ctx* receive,
                          std::uint8_t* receive_iv, ngtcp2_crypto_aead_ctx* send,
                          std::uint8_t* send_iv, const std::uint8_t* current_receive,
                          const std::uint8_t* current_send, std::size_t size, void* user_data) {
        return connection(user_data).guarded([&](Connection& self) {
            auto next = [&](std::uint8_t* secret, const std::uint8_t* current, std::uint8_t* iv) {
                const auto& suite = suite_of(ngtcp2_conn_get_crypto_ctx(conn));
                auto version = to_version(ngtcp2_conn_get_negotiated_version(conn));
                crypto::PacketSecrets secrets(suite.cipher);
                derive_next({bytes(secret), size}, suite.hash, version, view(current, size));
                derive(secrets, suite, version, view(secret, size));
                std::copy(secrets.iv.begin(), secrets.iv.end(), bytes(iv));
                return crypto::dormant_packet_key(self.endpoint_.protection(), suite.cipher,
                                                  secrets.key.bytes());
            };
            auto receive_key = next(receive_secret, current_receive, receive_iv);
            auto send_key = next(send_secret, current_send, send_iv);
            receive->native_handle = receive_key.release();
            send->native_handle = send_key.release();
            ++self.key_generations_;
            return true;
        });
    }

    // ---- Using them. Here ngtcp2 gives no cookie, so what is thrown (making a dormant key ready
    // allocates) becomes a failure of the connection.

    static int encrypt(std::uint8_t* out, const ngtcp2_crypto_aead*,
                       const ngtcp2_crypto_aead_ctx* key, const std::uint8_t* plain,
                       std::size_t size, const std::uint8_t* nonce, std::size_t,
                       const std::uint8_t* header, std::size_t header_size) noexcept try {
        return packet_key(key).seal(bytes(out), view(plain, size), to_nonce(nonce),
                                    view(header, header_size))
                   ? 0
                   : NGTCP2_ERR_CALLBACK_FAILURE;
    } catch (...) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    static int decrypt(std::uint8_t* out, const ngtcp2_crypto_aead*,
                       const ngtcp2_crypto_aead_ctx* key, const std::uint8_t* sealed,
                       std::size_t size, const std::uint8_t* nonce, std::size_t,
                       const std::uint8_t* header, std::size_t header_size) noexcept try {
        return packet_key(key).open(bytes(out), view(sealed, size), to_nonce(nonce),
                                    view(header, header_size))
                   ? 0
                   : NGTCP2_ERR_DECRYPT;
    } catch (...) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    static int mask(std::uint8_t* out, const ngtcp2_crypto_cipher*,
                    const ngtcp2_crypto_cipher_ctx* key, const std::uint8_t* sample) noexcept {
        auto mask = static_cast<const HeaderKey*>(key->native_handle)
                        ->mask(crypto::Sample(view(sample, crypto::sample_size)));
        std::memcpy(out, mask.data(), mask.size());
        return 0;
    }
    static void delete_packet_key(ngtcp2_conn*, ngtcp2_crypto_aead_ctx* key, void*) {
        delete static_cast<PacketKey*>(key->native_handle);
    }
    static void delete_header_key(ngtcp2_conn*, ngtcp2_crypto_cipher_ctx* key, void*) {
        delete static_cast<HeaderKey*>(key->native_handle);
    }

    static const PacketKey& packet_key(const ngtcp2_crypto_aead_ctx* key) {
        return *static_cast<const PacketKey*>(key->native_handle);
    }
    // All three ciphers have nonces of 12 bytes, and so every iv that we gave to ngtcp2.
    static crypto::Nonce to_nonce(const std::uint8_t* nonce) {
        return crypto::Nonce(view(nonce, crypto::nonce_size));
    }
};

void fill_keys(ngtcp2_callbacks& callbacks, Role role) {
    if (role == Role::client) {
        callbacks.client_initial = Keys::client_initial;
        callbacks.recv_retry = Keys::recv_retry;
    } else {
        callbacks.recv_client_initial = Keys::recv_client_initial;
    }
    callbacks.version_negotiation = Keys::version_negotiation;
    callbacks.update_key = Keys::update_key;
    callbacks.encrypt = Keys::encrypt;
    callbacks.decrypt = Keys::decrypt;
    callbacks.hp_mask = Keys::mask;
    callbacks.delete_crypto_aead_ctx = Keys::delete_packet_key;
    callbacks.delete_crypto_cipher_ctx = Keys::delete_header_key;
}

void watch_secrets(gnutls_session_int* session) {
    gnutls_handshake_set_secret_function(session, Keys::secrets);
}

}  // namespace post::quic
