// What a packet costs: nanoseconds of one core to seal, to open and to mask a packet of 1420 bytes
// (and a short one of 100), on every backend and with every cipher. Backends take turns, since a
// machine has fast and slow moments; the best round counts, in time of the processor.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "mappings/crypto/packet_protection.hpp"

namespace {

using namespace post;
using crypto::Aead;

constexpr int rounds = 30;
constexpr int packets = 4000;

double processor_nanoseconds() {
    std::timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

template <class Work> void measure(double& best, const Work& work) {
    const double start = processor_nanoseconds();
    for (int i = 0; i < packets; ++i) work();
    best = std::min(best, (processor_nanoseconds() - start) / packets);
}

struct Costs {
    double make = 1e9;
    double seal = 1e9;
    double open = 1e9;
    double mask = 1e9;
};

void run(const crypto::PacketProtection& protection, Aead cipher, std::size_t size, Costs& costs) {
    const std::vector<std::byte> secret(crypto::key_size(cipher), std::byte{7});
    const auto key = protection.packet_key(cipher, secret);
    const auto header_key = protection.header_key(cipher, secret);
    const std::vector<std::byte> header(14, std::byte{1});
    std::array<std::byte, crypto::nonce_size> nonce{};
    std::vector<std::byte> plain(size, std::byte{2});
    std::vector<std::byte> packet(size + crypto::tag_size);
    if (!key->seal(packet.data(), plain, nonce, header)) std::abort();

    measure(costs.make, [&] { (void)protection.packet_key(cipher, secret); });
    measure(costs.open, [&] {
        if (!key->open(plain.data(), packet, nonce, header)) std::abort();
    });
    measure(costs.seal, [&] {
        nonce[0] ^= std::byte{1};
        const auto body = std::span(packet).first(size);
        if (!key->seal(packet.data(), body, nonce, header)) std::abort();
    });
    unsigned check = 0;
    measure(costs.mask, [&] {
        const auto mask = header_key->mask(crypto::Sample(std::span(packet).first<16>()));
        check += std::to_integer<unsigned>(mask[0]);
    });
    if (check % packets != 0) std::abort();  // it was the same mask each time
}

}  // namespace

int main() {
    std::vector<const crypto::PacketProtection*> protections = {&crypto::gnutls_protection()};
    if (const auto ipsec_mb = crypto::ipsec_mb_protection(); ipsec_mb.protection != nullptr)
        protections.push_back(ipsec_mb.protection);
    else
        std::printf("no libipsec-mb: %s\n", std::string(ipsec_mb.why_not).c_str());

    const std::map<Aead, const char*> ciphers = {{Aead::aes_128_gcm, "AES-128-GCM"},
                                                 {Aead::aes_256_gcm, "AES-256-GCM"},
                                                 {Aead::chacha20_poly1305, "ChaCha20-Poly1305"}};
    std::printf("%-18s %6s  %-12s %10s %10s %10s %10s   (ns)\n", "cipher", "bytes", "backend",
                "make key", "seal", "open", "mask");
    for (const auto& [cipher, name] : ciphers) {
        for (const std::size_t size : {std::size_t{1420}, std::size_t{100}}) {
            std::vector<Costs> costs(protections.size());
            for (int round = 0; round < rounds; ++round)
                for (std::size_t i = 0; i < protections.size(); ++i)
                    run(*protections[i], cipher, size, costs[i]);
            for (std::size_t i = 0; i < protections.size(); ++i)
                std::printf("%-18s %6zu  %-12s %10.1f %10.1f %10.1f %10.1f\n", name, size,
                            std::string(protections[i]->name()).c_str(), costs[i].make,
                            costs[i].seal, costs[i].open, costs[i].mask);
        }
    }
}
