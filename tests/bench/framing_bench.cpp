// How fast Post frames are written and read on one core: messages of a few sizes, each with its
// content copied behind its header into one block, as a mapping does it, and read from it again.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "mappings/framing/post_framing.hpp"

namespace {

using namespace post;
using Seconds = std::chrono::duration<double>;

template <class Work> double best_of(int rounds, const Work& work) {
    double best = 1e9;
    for (int i = 0; i < rounds; ++i) {
        const auto start = std::chrono::steady_clock::now();
        work();
        best = std::min(best, Seconds(std::chrono::steady_clock::now() - start).count());
    }
    return best;
}

void run(std::size_t size, NicenessClass niceness) {
    constexpr std::size_t block_size = 65536;
    constexpr int rounds = 200;
    const Bytes content{std::vector<std::byte>(size)};
    const std::size_t count = block_size / (size + 8);
    std::size_t written = 0;
    Block block(block_size + framing::largest_frame);

    const double encode = best_of(20, [&] {
        for (int round = 0; round < rounds; ++round) {
            framing::Encoder encoder;
            Piece piece{CarrierId{}, niceness, Sequence{}, 0, size, content, {}};
            std::byte* at = block.writable();
            for (std::size_t i = 0; i < count; ++i) {
                piece.sequence = Sequence{i};
                at += encoder.write({at, framing::largest_frame}, piece);
                std::memcpy(at, piece.bytes.data(), size);
                at += size;
            }
            written = static_cast<std::size_t>(at - block.writable());
        }
    });

    const Bytes stream = block.commit(written);
    std::uint64_t check = 0;
    const auto decode = [&](bool wrapped) {
        return best_of(20, [&] {
            for (int round = 0; round < rounds; ++round) {
                framing::Decoder decoder(CarrierId{0});
                Bytes input = stream;
                Piece piece;
                while (!wrapped && decoder.next_short(input, piece)) check += piece.bytes.size();
                while (auto frame = decoder.next(input).value())
                    check += std::get<Piece>(*frame).bytes.size();
            }
        });
    };
    const double plain = decode(false);
    const double wrapped = decode(true);
    const double messages = static_cast<double>(count) * rounds / 1e6;
    std::printf("%6zu B class %u: encode %6.1f M/s, decode %6.1f M/s, decode by next() %6.1f M/s\n",
                size, static_cast<unsigned>(niceness.value()), messages / encode, messages / plain,
                messages / wrapped);
    if (check != 40 * count * rounds * size) std::abort();
}

}  // namespace

int main() {
    for (const std::size_t size : {16U, 64U, 1000U, 5000U}) run(size, NicenessClass{0});
    run(64, NicenessClass{1});
}
