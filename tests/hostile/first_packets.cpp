// The keys of Initial packets follow from their destination (RFC 9001, 5.2), so anybody makes them.
#include "tests/hostile/first_packets.hpp"

#include <algorithm>

#include "mappings/crypto/key_schedule.hpp"
#include "tests/fake/queue_supply.hpp"
#include "tests/hostile/forge.hpp"

namespace post::test {

namespace {

constexpr std::size_t datagram = 1200;

}  // namespace

FirstPackets::FirstPackets(std::uint64_t seed) : random_(seed) {
    Forge forge;
    forge.listens = true;
    quic::EndpointOptions options;
    options.random = [this](std::span<std::byte> bytes) {
        for (auto& byte : bytes) byte = static_cast<std::byte>(random_() & 0xff);
    };
    options.substitute = &forge;
    quic::Endpoint endpoint(std::move(options));
    quic::ConnectOptions connect;
    connect.remote = *Address::parse("192.0.2.2", 4433);
    connect.security.trust = Trust::pinned(Identity::self_signed("server.test").pin());
    connect.security.server_name = "server.test";
    connect.transport.versions = {QuicVersion::v1};
    auto client = endpoint.connect(Instant(std::chrono::seconds(1)), TransientId{1}, connect);
    QueueSupply nothing;
    std::vector<std::byte> space(largest_run);
    const auto run = (*client)->poll_transmit(Instant(std::chrono::seconds(1)), nothing, space);
    frames_ = forge.said.at(0).frames;
    frames_.resize(frames_.find_last_not_of('\0') + 1);  // without the padding
    const auto destination = std::to_integer<std::size_t>(run.front()[5]);
    const auto source = run.front().subspan(
        7 + destination, std::to_integer<std::size_t>(run.front()[6 + destination]));
    source_.assign(source.begin(), source.end());
}

std::vector<std::byte> FirstPackets::next(bool sealed) {
    std::array<std::byte, 8> destination;
    const auto word = random_();
    for (std::size_t i = 0; i < destination.size(); ++i)
        destination[i] = static_cast<std::byte>(word >> 8 * i & 0xff);
    return next(sealed, destination, {});
}

// RFC 9000, 17.2.2.
std::vector<std::byte> FirstPackets::next(bool sealed, std::span<const std::byte> destination,
                                          std::span<const std::byte> token) {
    std::vector<std::byte> packet;
    const auto put = [&](std::span<const std::byte> bytes) {
        packet.insert(packet.end(), bytes.begin(), bytes.end());
    };
    const auto byte = [&](std::size_t value) { packet.push_back(static_cast<std::byte>(value)); };
    packet.reserve(datagram);
    for (std::size_t value : {0xc0u, 0u, 0u, 0u, 1u}) byte(value);  // version 1, number of 1 byte
    byte(destination.size());
    put(destination);
    byte(source_.size());
    put(source_);
    byte(0x40 | token.size() >> 8);
    byte(token.size() & 0xff);
    put(token);
    const auto length = datagram - packet.size() - 2;
    byte(0x40 | length >> 8);
    byte(length & 0xff);
    byte(0);  // the packet number
    const std::size_t header = packet.size();
    packet.resize(datagram);
    if (!sealed) return packet;

    crypto::InitialSecrets initial;
    derive_initial(initial, crypto::QuicVersion::v1, destination);
    crypto::PacketSecrets secrets(crypto::Aead::aes_128_gcm);
    derive(secrets, crypto::initial_suite(), crypto::QuicVersion::v1, initial.client.bytes());
    std::string plain = frames_;
    plain.resize(datagram - header - crypto::tag_size, '\0');
    const auto& protection = crypto::gnutls_protection();
    const auto aead = crypto::Aead::aes_128_gcm;
    const std::vector<std::byte> associated(packet.begin(),
                                            packet.begin() + static_cast<std::ptrdiff_t>(header));
    protection.packet_key(aead, secrets.key.bytes())
        ->seal(packet.data() + header, std::as_bytes(std::span(plain)), secrets.iv, associated);
    // RFC 9001, 5.4.2: as if the number had four bytes.
    const auto mask = protection.header_key(aead, secrets.header_key.bytes())
                          ->mask(crypto::Sample(packet.data() + header + 3, crypto::sample_size));
    packet[0] ^= mask[0] & std::byte{0x0f};
    packet[header - 1] ^= mask[1];
    return packet;
}

}  // namespace post::test
