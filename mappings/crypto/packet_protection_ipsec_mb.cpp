// Packet protection by libipsec-mb, whose AES-GCM and ChaCha20-Poly1305 use all of the vector units
// (2 to 5 times as fast as GnuTLS). Compiled where CMake finds the library, on x86-64; used where
// the processor has AES and AVX2.
//
// Of the library only the direct functions are used. They need no manager and keep no state between
// calls, so one table of them serves all threads. Each of them sets the library's one error number
// to 0, without a lock: a race detector may name it. Nobody reads it but make_protection().
#include <algorithm>
#include <cstring>

#include <immintrin.h>

#include <intel-ipsec-mb.h>

#include "mappings/crypto/machine.hpp"
#include "mappings/crypto/packet_protection.hpp"

namespace post::crypto {

namespace {

std::uint8_t* raw(std::byte* bytes) { return reinterpret_cast<std::uint8_t*>(bytes); }
const std::uint8_t* raw(const std::byte* bytes) {
    return reinterpret_cast<const std::uint8_t*>(bytes);
}

using Tag = std::array<std::byte, tag_size>;

// The library computes tags and compares none. This takes the same time wherever they differ.
bool same(const Tag& computed, const std::byte* received) {
    std::uint64_t a[2];
    std::uint64_t b[2];
    std::memcpy(a, computed.data(), tag_size);
    std::memcpy(b, received, tag_size);
    return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
}

// Opening, whatever the cipher: `decrypt` writes the plaintext and gives the tag that goes with it.
template <class Decrypt>
bool opened(std::byte* out, std::span<const std::byte> sealed, const Decrypt& decrypt) {
    if (sealed.size() < tag_size) return false;
    const auto size = sealed.size() - tag_size;
    if (same(decrypt(size), sealed.data() + size)) return true;
    wipe({out, size});
    return false;
}

struct Gcm {
    aes_gcm_pre_t expand = nullptr;
    aes_gcm_enc_dec_t encrypt = nullptr;
    aes_gcm_enc_dec_t decrypt = nullptr;
};

struct Chacha {
    chacha_poly_init_t begin = nullptr;
    chacha_poly_enc_dec_update_t encrypt = nullptr;
    chacha_poly_enc_dec_update_t decrypt = nullptr;
    chacha_poly_finalize_t finish = nullptr;
};

class GcmKey final : public PacketKey {
public:
    GcmKey(const Gcm& gcm, std::span<const std::byte> key) : gcm_(gcm) {
        gcm_.expand(key.data(), &expanded_);
    }
    GcmKey(const GcmKey&) = delete;
    GcmKey& operator=(const GcmKey&) = delete;
    ~GcmKey() override { wipe(std::as_writable_bytes(std::span(&expanded_, 1))); }

    bool seal(std::byte* out, std::span<const std::byte> plain, Nonce nonce,
              std::span<const std::byte> header) const override {
        gcm_context_data scratch;
        gcm_.encrypt(&expanded_, &scratch, raw(out), raw(plain.data()), plain.size(),
                     raw(nonce.data()), raw(header.data()), header.size(), raw(out + plain.size()),
                     tag_size);
        return true;
    }
    bool open(std::byte* out, std::span<const std::byte> sealed, Nonce nonce,
              std::span<const std::byte> header) const override {
        return opened(out, sealed, [&](std::size_t size) {
            gcm_context_data scratch;
            Tag tag;
            gcm_.decrypt(&expanded_, &scratch, raw(out), raw(sealed.data()), size,
                         raw(nonce.data()), raw(header.data()), header.size(), raw(tag.data()),
                         tag_size);
            return tag;
        });
    }

private:
    const Gcm& gcm_;
    // As the library itself is compiled; its header only says so with -DLINUX.
    alignas(64) gcm_key_data expanded_;
};

class ChachaKey final : public PacketKey {
public:
    ChachaKey(const Chacha& chacha, std::span<const std::byte> key) : chacha_(chacha) {
        std::copy_n(key.begin(), key_.size(), key_.begin());
    }
    ChachaKey(const ChachaKey&) = delete;
    ChachaKey& operator=(const ChachaKey&) = delete;
    ~ChachaKey() override { wipe(key_); }

    bool seal(std::byte* out, std::span<const std::byte> plain, Nonce nonce,
              std::span<const std::byte> header) const override {
        auto tag = run(chacha_.encrypt, out, plain, nonce, header);
        std::copy(tag.begin(), tag.end(), out + plain.size());
        return true;
    }
    bool open(std::byte* out, std::span<const std::byte> sealed, Nonce nonce,
              std::span<const std::byte> header) const override {
        return opened(out, sealed, [&](std::size_t size) {
            return run(chacha_.decrypt, out, sealed.first(size), nonce, header);
        });
    }

private:
    Tag run(chacha_poly_enc_dec_update_t update, std::byte* out, std::span<const std::byte> in,
            Nonce nonce, std::span<const std::byte> header) const {
        chacha20_poly1305_context_data context;
        Tag tag;
        chacha_.begin(key_.data(), &context, nonce.data(), header.data(), header.size());
        if (!in.empty()) update(key_.data(), &context, out, in.data(), in.size());
        chacha_.finish(&context, tag.data(), tag_size);
        return tag;
    }

    const Chacha& chacha_;
    std::array<std::byte, 32> key_;
};

// One block of AES by the processor's own instructions: 10 rounds of AES-128, 14 of AES-256.
template <std::size_t rounds> class AesHeaderKey final : public HeaderKey {
public:
    AesHeaderKey(keyexp_t expand, std::span<const std::byte> key) {
        decltype(expanded_) inverse;
        expand(key.data(), expanded_.data(), inverse.data());
        wipe(std::as_writable_bytes(std::span(inverse)));
    }
    AesHeaderKey(const AesHeaderKey&) = delete;
    AesHeaderKey& operator=(const AesHeaderKey&) = delete;
    ~AesHeaderKey() override { wipe(std::as_writable_bytes(std::span(expanded_))); }

    [[gnu::target("aes")]] Mask mask(Sample sample) const override {
        auto block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(sample.data()));
        block = _mm_xor_si128(block, round_key(0));
        for (std::size_t i = 1; i < rounds; ++i) block = _mm_aesenc_si128(block, round_key(i));
        block = _mm_aesenclast_si128(block, round_key(rounds));
        Mask mask;
        std::memcpy(mask.data(), &block, mask.size());
        return mask;
    }

private:
    __m128i round_key(std::size_t i) const {
        return _mm_load_si128(reinterpret_cast<const __m128i*>(expanded_.data() + i * 16));
    }

    alignas(16) std::array<std::uint8_t, (rounds + 1) * 16> expanded_;
};

class IpsecMbProtection final : public PacketProtection {
public:
    explicit IpsecMbProtection(const IMB_MGR& manager)
        : aes_128_{manager.gcm128_pre, manager.gcm128_enc, manager.gcm128_dec},
          aes_256_{manager.gcm256_pre, manager.gcm256_enc, manager.gcm256_dec},
          chacha_{manager.chacha20_poly1305_init, manager.chacha20_poly1305_enc_update,
                  manager.chacha20_poly1305_dec_update, manager.chacha20_poly1305_finalize},
          expand_128_(manager.keyexp_128),
          expand_256_(manager.keyexp_256) {}

    std::string_view name() const override { return "libipsec-mb"; }

    std::unique_ptr<PacketKey> packet_key(Aead cipher,
                                          std::span<const std::byte> key) const override {
        switch (cipher) {
            case Aead::aes_128_gcm: return std::make_unique<GcmKey>(aes_128_, key);
            case Aead::aes_256_gcm: return std::make_unique<GcmKey>(aes_256_, key);
            case Aead::chacha20_poly1305: break;
        }
        return std::make_unique<ChachaKey>(chacha_, key);
    }
    std::unique_ptr<HeaderKey> header_key(Aead cipher,
                                          std::span<const std::byte> key) const override {
        switch (cipher) {
            case Aead::aes_128_gcm: return std::make_unique<AesHeaderKey<10>>(expand_128_, key);
            case Aead::aes_256_gcm: return std::make_unique<AesHeaderKey<14>>(expand_256_, key);
            case Aead::chacha20_poly1305: break;
        }
        // ChaCha20 alone is none of the direct functions.
        return gnutls_protection().header_key(cipher, key);
    }

private:
    Gcm aes_128_;
    Gcm aes_256_;
    Chacha chacha_;
    keyexp_t expand_128_;
    keyexp_t expand_256_;
};

// A manager is 200 KiB of queues that the direct functions do not use: it is only asked which of
// them are right for this processor, after it has tested them.
std::unique_ptr<const IpsecMbProtection> make_protection() {
    if (!machine_has_aes_and_avx2()) return nullptr;
    std::unique_ptr<IMB_MGR, void (*)(IMB_MGR*)> manager(alloc_mb_mgr(0), free_mb_mgr);
    if (!manager) return nullptr;
    init_mb_mgr_auto(manager.get(), nullptr);
    if (imb_get_errno(manager.get()) != 0) return nullptr;
    return std::make_unique<const IpsecMbProtection>(*manager);
}

}  // namespace

IpsecMb ipsec_mb_protection() {
    static const auto protection = make_protection();
    if (protection) return {protection.get(), {}};
    return {nullptr, machine_has_aes_and_avx2()
                         ? "it fails its own test on this machine"
                         : "this machine has no AES instructions or no AVX2"};
}

}  // namespace post::crypto
