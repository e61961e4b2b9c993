// AddressTokens: what a server gives to clients so that they can prove their address later (RFC
// 9000, 8.1): in a Retry, for the very next packet, and by NEW_TOKEN, for the next connection.
//
// A token is sealed (AES-128-GCM under a key derived from a secret of ours and a random salt), so
// that nothing is kept here of those who were given one. What it is bound to:
//
//            address  port  version  ids                              lifetime
//    Retry      x      x       x     the client's first destination   10 s
//                                    and the one that Retry gave it
//    NEW_TOKEN  x                                                     24 h
//
// Secrets rotate; what the last but one sealed is forgotten.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>

#include <ngtcp2/ngtcp2_crypto.h>

#include <post/address.hpp>
#include <post/time.hpp>

#include "mappings/crypto/rotating_secret.hpp"
#include "mappings/quic/routes.hpp"

namespace post::quic {

// What is known of the address that a client's first packet came from.
struct AddressProof {
    enum class Kind : std::uint8_t {
        none,     // no token, or one that is not ours or not good any more
        refused,  // a Retry token of ours, but late or from elsewhere: it will never get better
        retry,    // it answered our Retry
        token,    // it was here before
    };
    Kind kind = Kind::none;
    ConnectionId original{};  // retry: the destination of the client's first packet
};

class AddressTokens {
public:
    static constexpr Duration retry_lifetime = std::chrono::seconds(10);
    static constexpr Duration lifetime = std::chrono::hours(24);

    struct Token {
        std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2> bytes;
        std::size_t size = 0;  // 0: it could not be made
    };
    static_assert(sizeof(Token::bytes) >= NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN);

    // The ids of a client's packet and of the Retry that answers it.
    struct RetryIds {
        std::uint32_t version = 0;
        ConnectionId original;  // where the client sent its first packet
        ConnectionId chosen;    // where it shall send the next one
    };
    Token make_retry(Instant now, const Address& remote, const RetryIds& ids,
                     crypto::RotatingSecret::Random& random);
    Token make(Instant now, const Address& remote, crypto::RotatingSecret::Random& random);

    // What a client's packet proves: its token, and where it was sent to.
    AddressProof verify(Instant now, const Address& remote, std::uint32_t version,
                        const ConnectionId& destination, std::span<const std::uint8_t> token,
                        crypto::RotatingSecret::Random& random);

private:
    AddressProof verify_retry(Instant now, const Address& remote, std::uint32_t version,
                              const ConnectionId& destination,
                              std::span<const std::uint8_t> token) const;

    crypto::RotatingSecret retry_secrets_{std::chrono::hours(1)};
    crypto::RotatingSecret secrets_{lifetime};
};

}  // namespace post::quic
