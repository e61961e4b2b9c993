// Keys that are watched, and packets that are made of them.
#include "tests/hostile/forge.hpp"

#include <algorithm>
#include <stdexcept>

namespace post::test {

namespace {

using crypto::nonce_size;

// RFC 9000, 17.2: the type of a long header in version 1.
Level level_of(std::byte first) {
    const auto bits = std::to_integer<unsigned>(first);
    if ((bits & 0x80) == 0) return Level::one_rtt;
    return (bits >> 4 & 3) == 0 ? Level::initial : Level::handshake;
}

// RFC 9000, A.3, for a number that is at least `least`.
std::uint64_t number_in(std::span<const std::byte> header, std::uint64_t least) {
    const auto size = (std::to_integer<std::size_t>(header[0]) & 3) + 1;
    std::uint64_t number = 0;
    for (auto byte : header.last(size)) number = number << 8 | std::to_integer<std::uint64_t>(byte);
    const auto window = std::uint64_t{1} << 8 * size;
    number |= least & ~(window - 1);
    return number < least ? number + window : number;
}

void mix(std::array<std::byte, nonce_size>& nonce, std::uint64_t number) {
    for (std::size_t i = 0; i < 8; ++i)
        nonce[nonce_size - 1 - i] ^= static_cast<std::byte>(number >> 8 * i & 0xff);
}

}  // namespace

// One direction at one level. What is known of the packets follows from the first that is sealed.
struct Forge::Keys {
    crypto::Aead cipher;
    std::vector<std::byte> key;
    std::vector<std::byte> header_key;
    std::array<std::byte, nonce_size> iv{};
    std::vector<std::byte> ids;  // the header behind its first byte, up to the source id's end
    std::uint64_t next = 0;      // of ours
    std::uint64_t least = 0;     // the endpoint's next is not below it
    std::unique_ptr<crypto::PacketKey> sealing;
    std::unique_ptr<crypto::HeaderKey> masking;
};

class Forge::Watched final : public crypto::PacketKey {
public:
    Watched(const Forge& forge, std::shared_ptr<Keys> keys, std::unique_ptr<crypto::PacketKey> real)
        : forge_(forge), keys_(std::move(keys)), real_(std::move(real)) {}

    bool seal(std::byte* out, std::span<const std::byte> plain, crypto::Nonce nonce,
              std::span<const std::byte> header) const override {
        if (forge_.edit) {
            const auto level = level_of(header[0]);
            std::string edited(reinterpret_cast<const char*>(plain.data()), plain.size());
            forge_.edit(level, edited);
            std::copy_n(std::as_bytes(std::span(edited)).begin(), plain.size(), out);
            plain = {out, plain.size()};
        }
        if (!seen_) forge_.sending_[static_cast<std::size_t>(level_of(header[0]))] = keys_;
        if (!seen_ || forge_.listens) forge_.saw(*keys_, header, nonce, plain);
        seen_ = true;
        return real_->seal(out, plain, nonce, header);
    }
    bool open(std::byte* out, std::span<const std::byte> sealed, crypto::Nonce nonce,
              std::span<const std::byte> header) const override {
        return real_->open(out, sealed, nonce, header);
    }

private:
    const Forge& forge_;
    std::shared_ptr<Keys> keys_;
    std::unique_ptr<crypto::PacketKey> real_;
    mutable bool seen_ = false;
};

Forge::Forge() : real_(crypto::gnutls_protection()) {}
Forge::~Forge() = default;

std::unique_ptr<crypto::PacketKey> Forge::packet_key(crypto::Aead cipher,
                                                     std::span<const std::byte> key) const {
    auto keys = std::make_shared<Keys>();
    keys->cipher = cipher;
    keys->key.assign(key.begin(), key.begin() + static_cast<std::ptrdiff_t>(key_size(cipher)));
    last_ = keys;
    return std::make_unique<Watched>(*this, keys, real_.packet_key(cipher, key));
}

// The mapping asks for it right after the packet key of the same direction.
std::unique_ptr<crypto::HeaderKey> Forge::header_key(crypto::Aead cipher,
                                                     std::span<const std::byte> key) const {
    last_->header_key.assign(key.begin(),
                             key.begin() + static_cast<std::ptrdiff_t>(key_size(cipher)));
    return real_.header_key(cipher, key);
}

void Forge::saw(Keys& keys, std::span<const std::byte> header, std::span<const std::byte> nonce,
                std::span<const std::byte> frames) const {
    const auto level = level_of(header[0]);
    const auto number = number_in(header, keys.least);
    keys.least = number + 1;
    if (keys.ids.empty()) {
        // Early enough for the number to be in the header whole.
        std::copy(nonce.begin(), nonce.end(), keys.iv.begin());
        mix(keys.iv, number);
        auto size = header.size() - 1 - (std::to_integer<std::size_t>(header[0]) & 3) - 1;
        if (level != Level::one_rtt) {
            const auto destination = std::to_integer<std::size_t>(header[5]);
            const auto source = std::to_integer<std::size_t>(header[6 + destination]);
            size = 4 + 1 + destination + 1 + source;
        }
        keys.ids.assign(header.begin() + 1, header.begin() + 1 + static_cast<std::ptrdiff_t>(size));
        keys.next = number + 1000;
    }
    if (listens)
        said.push_back({level, number,
                        std::string(reinterpret_cast<const char*>(frames.data()), frames.size())});
}

bool Forge::ready(Level level) const {
    return sending_[static_cast<std::size_t>(level)] != nullptr;
}

Forge::Keys& Forge::sending(Level level) const {
    const auto& keys = sending_[static_cast<std::size_t>(level)];
    if (!keys) throw std::logic_error("no packet was sealed at this level yet");
    return *keys;
}

void Forge::count_from(Level level, std::uint64_t number) { sending(level).next = number; }

// RFC 9000, 17.2 and 17.3.1; RFC 9001, 5.3 and 5.4. Packet numbers have four bytes.
std::vector<std::byte> Forge::seal(Level level, std::string_view frames) {
    auto& keys = sending(level);
    if (!keys.sealing) {
        keys.sealing = real_.packet_key(keys.cipher, keys.key);
        keys.masking = real_.header_key(keys.cipher, keys.header_key);
    }
    const std::uint64_t number = keys.next++;
    const unsigned first = level == Level::one_rtt ? 0x43 : level == Level::initial ? 0xc3 : 0xe3;
    std::vector<std::byte> packet;
    packet.reserve(64 + frames.size());
    packet.push_back(static_cast<std::byte>(first));
    packet.insert(packet.end(), keys.ids.begin(), keys.ids.end());
    if (level == Level::initial) packet.push_back(std::byte{0});  // no token
    if (level != Level::one_rtt) {
        const auto length = 4 + frames.size() + crypto::tag_size;
        packet.push_back(static_cast<std::byte>(0x40 | length >> 8));
        packet.push_back(static_cast<std::byte>(length & 0xff));
    }
    const auto place = packet.size();
    for (unsigned i = 4; i-- > 0;) packet.push_back(static_cast<std::byte>(number >> 8 * i & 0xff));

    auto nonce = keys.iv;
    mix(nonce, number);
    const std::vector<std::byte> header = packet;
    packet.resize(header.size() + frames.size() + crypto::tag_size);
    keys.sealing->seal(packet.data() + header.size(), std::as_bytes(std::span(frames)), nonce,
                       header);
    const auto mask = keys.masking->mask(
        crypto::Sample(packet.data() + header.size(), crypto::sample_size));
    packet[0] ^= mask[0] & static_cast<std::byte>(level == Level::one_rtt ? 0x1f : 0x0f);
    for (std::size_t i = 0; i < 4; ++i) packet[place + i] ^= mask[1 + i];
    return packet;
}

}  // namespace post::test
