// The choice between the backends, and keys that wait.
#include "mappings/crypto/packet_protection.hpp"

#include <algorithm>
#include <string>

#include <gnutls/gnutls.h>

#include <post/error.hpp>

namespace post::crypto {

namespace {

class DormantKey final : public PacketKey {
public:
    DormantKey(const PacketProtection& protection, Aead cipher, std::span<const std::byte> key)
        : protection_(protection), cipher_(cipher) {
        std::copy_n(key.begin(), key_size(cipher), key_.begin());
    }
    DormantKey(const DormantKey&) = delete;
    DormantKey& operator=(const DormantKey&) = delete;
    ~DormantKey() override { wipe(key_); }

    bool seal(std::byte* out, std::span<const std::byte> plain, Nonce nonce,
              std::span<const std::byte> header) const override {
        return awake().seal(out, plain, nonce, header);
    }
    bool open(std::byte* out, std::span<const std::byte> sealed, Nonce nonce,
              std::span<const std::byte> header) const override {
        return awake().open(out, sealed, nonce, header);
    }

private:
    const PacketKey& awake() const {
        if (!awake_)
            awake_ = protection_.packet_key(cipher_, std::span(key_).first(key_size(cipher_)));
        return *awake_;
    }

    const PacketProtection& protection_;
    mutable std::unique_ptr<PacketKey> awake_;
    const Aead cipher_;
    std::array<std::byte, 32> key_{};
};

}  // namespace

const PacketProtection& packet_protection(PacketProtectionBackend backend) {
    if (backend == PacketProtectionBackend::gnutls) return gnutls_protection();
    auto ipsec_mb = ipsec_mb_protection();
    if (ipsec_mb.protection != nullptr) return *ipsec_mb.protection;
    if (backend == PacketProtectionBackend::automatic) return gnutls_protection();
    throw Failure(
        Error(Errc::unsupported, {}, Stage::call, "libipsec-mb: " + std::string(ipsec_mb.why_not)));
}

std::unique_ptr<PacketKey> dormant_packet_key(const PacketProtection& protection, Aead cipher,
                                              std::span<const std::byte> key) {
    return std::make_unique<DormantKey>(protection, cipher, key);
}

void wipe(std::span<std::byte> secret) { gnutls_memset(secret.data(), 0, secret.size()); }

}  // namespace post::crypto
