// Forge: a packet protection that remembers the keys it was asked for, and seals what nobody asked
// for: any frames, at any level of a connection whose handshake was honest. It also hears, before
// they are sealed, the frames of the endpoint whose protection it is. QUIC version 1.
//
//     Forge forge;
//     options.substitute = &forge;                    // of a client's endpoint
//     ...                                             // the handshake
//     forge.seal(Level::one_rtt, frame::ping());      // a datagram that the server takes
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mappings/crypto/packet_protection.hpp"

namespace post::test {

enum class Level : std::uint8_t { initial, handshake, one_rtt };
inline constexpr std::size_t levels = 3;

class Forge final : public crypto::PacketProtection {
public:
    // A packet that the endpoint itself sealed.
    struct Said {
        Level level;
        std::uint64_t number;
        std::string frames;
    };

    Forge();
    Forge(const Forge&) = delete;
    Forge& operator=(const Forge&) = delete;
    ~Forge() override;

    std::string_view name() const override { return "forge"; }
    std::unique_ptr<crypto::PacketKey> packet_key(crypto::Aead cipher,
                                                  std::span<const std::byte> key) const override;
    std::unique_ptr<crypto::HeaderKey> header_key(crypto::Aead cipher,
                                                  std::span<const std::byte> key) const override;

    // Whether the endpoint has sealed a packet at this level: then we can.
    bool ready(Level level) const;
    // A packet with the next number. Initial packets are not padded: the frames do that.
    std::vector<std::byte> seal(Level level, std::string_view frames);
    // From now on packets carry this number and the following ones.
    void count_from(Level level, std::uint64_t number);

    // Changes the frames of the endpoint's own packets before they are sealed; their length stays.
    std::function<void(Level, std::string& frames)> edit;

    // While it is set, what the endpoint seals is kept here.
    mutable bool listens = false;
    mutable std::vector<Said> said;

private:
    struct Keys;
    class Watched;
    Keys& sending(Level level) const;
    void saw(Keys& keys, std::span<const std::byte> header, std::span<const std::byte> nonce,
             std::span<const std::byte> frames) const;

    const crypto::PacketProtection& real_;
    // Shared with the keys that ngtcp2 holds.
    mutable std::shared_ptr<Keys> last_;  // that the endpoint asked for
    mutable std::array<std::shared_ptr<Keys>, levels> sending_;
};

}  // namespace post::test
