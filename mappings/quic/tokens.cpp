// Sealing and opening of address tokens: ngtcp2's formats, our secrets.
#include "mappings/quic/tokens.hpp"

#include <initializer_list>

#include "mappings/quic/convert.hpp"

namespace post::quic {

namespace {

// An address as ngtcp2 takes it.
struct SocketAddress {
    explicit SocketAddress(const Address& address) : size(to_sockaddr(address, storage)) {}
    ngtcp2_sockaddr_union storage;
    ngtcp2_socklen size;
};

ngtcp2_duration nanoseconds(Duration duration) {
    return static_cast<ngtcp2_duration>(duration.count());
}

}  // namespace

AddressTokens::Token AddressTokens::make_retry(Instant now, const Address& remote,
                                               const RetryIds& ids,
                                               crypto::RotatingSecret::Random& random) {
    retry_secrets_.rotate(now, random);
    const auto& secret = retry_secrets_.current();
    const SocketAddress address(remote);
    const auto original = to_native(ids.original);
    const auto chosen = to_native(ids.chosen);
    Token token;
    auto size = ngtcp2_crypto_generate_retry_token2(
        token.bytes.data(), secret.data(), secret.size(), ids.version, &address.storage.sa,
        address.size, &chosen, &original, to_timestamp(now));
    token.size = size > 0 ? static_cast<std::size_t>(size) : 0;
    return token;
}

AddressTokens::Token AddressTokens::make(Instant now, const Address& remote,
                                         crypto::RotatingSecret::Random& random) {
    secrets_.rotate(now, random);
    const auto& secret = secrets_.current();
    const SocketAddress address(remote);
    Token token;
    auto size = ngtcp2_crypto_generate_regular_token(token.bytes.data(), secret.data(),
                                                     secret.size(), &address.storage.sa,
                                                     address.size, to_timestamp(now));
    token.size = size > 0 ? static_cast<std::size_t>(size) : 0;
    return token;
}

AddressProof AddressTokens::verify(Instant now, const Address& remote, std::uint32_t version,
                                   const ConnectionId& destination,
                                   std::span<const std::uint8_t> token,
                                   crypto::RotatingSecret::Random& random) {
    if (token.empty()) return {};
    if (token.front() == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2) {
        retry_secrets_.rotate(now, random);
        return verify_retry(now, remote, version, destination, token);
    }
    if (token.front() != NGTCP2_CRYPTO_TOKEN_MAGIC_REGULAR) return {};
    secrets_.rotate(now, random);
    const SocketAddress address(remote);
    for (const auto* secret : {&secrets_.current(), &secrets_.previous()})
        if (ngtcp2_crypto_verify_regular_token(token.data(), token.size(), secret->data(),
                                               secret->size(), &address.storage.sa, address.size,
                                               nanoseconds(lifetime), to_timestamp(now)) == 0)
            return {AddressProof::Kind::token, {}};
    return {};
}

AddressProof AddressTokens::verify_retry(Instant now, const Address& remote, std::uint32_t version,
                                         const ConnectionId& destination,
                                         std::span<const std::uint8_t> token) const {
    const SocketAddress address(remote);
    const auto chosen = to_native(destination);
    for (const auto* secret : {&retry_secrets_.current(), &retry_secrets_.previous()}) {
        ngtcp2_cid original;
        int code = ngtcp2_crypto_verify_retry_token2(
            &original, token.data(), token.size(), secret->data(), secret->size(), version,
            &address.storage.sa, address.size, &chosen, nanoseconds(retry_lifetime),
            to_timestamp(now));
        if (code == 0) return {AddressProof::Kind::retry, to_id(original)};
        // It opened, so it was ours; but it is old, or somebody else's.
        if (code == NGTCP2_CRYPTO_ERR_VERIFY_TOKEN) return {AddressProof::Kind::refused, {}};
    }
    return {};
}

}  // namespace post::quic
