// The hash of the routing table.
#include "mappings/quic/routes.hpp"

#include <bit>

namespace post::quic {

namespace {

struct SipState {
    std::uint64_t v0, v1, v2, v3;
    void round() {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }
    void word(std::uint64_t value) {
        v3 ^= value;
        round();
        v0 ^= value;
    }
};

}  // namespace

std::size_t Routes::Hash::operator()(const ConnectionId& id) const noexcept {
    SipState state{key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL,
                   key[0] ^ 0x6c7967656e657261ULL, key[1] ^ 0x7465646279746573ULL};
    // Always three words: the bytes behind the id are zero, and its length is in the last one.
    std::uint64_t words[3]{};
    std::memcpy(words, id.bytes.data(), id.size);
    words[2] |= std::uint64_t{id.size} << 56;
    for (auto value : words) state.word(value);
    state.v2 ^= 0xff;
    state.round();
    state.round();
    state.round();
    return static_cast<std::size_t>(state.v0 ^ state.v1 ^ state.v2 ^ state.v3);
}

}  // namespace post::quic
