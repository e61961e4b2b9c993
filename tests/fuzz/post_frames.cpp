// Fuzz target for Post frames. The first byte chooses: a Decoder of our own stream or of a peer's,
// fed the rest of the data in parts that the data themselves choose, which must say the same as one
// that gets all at once; the reader of a datagram; or an Encoder whose commands come from the data,
// with a Decoder behind it that must hear what was said.
#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mappings/framing/frames.hpp"
#include "mappings/framing/post_framing.hpp"
#include "mappings/wire/reader.hpp"
#include "tests/unit/framing_support.hpp"

namespace {

using namespace post;
using framing::Decoder;
using framing::Encoder;

constexpr CarrierId carrier{4};

void require(bool condition) {
    if (!condition) std::abort();
}

// What comes out obeys the contract of post_framing.hpp.
void check(const framing::Frame& frame) {
    const auto* piece = std::get_if<Piece>(&frame);
    if (!piece) return;
    require(piece->niceness.value() < niceness_classes);
    require(piece->sequence.value() <= wire::varint_max);
    require(piece->offset <= piece->total);
    require(piece->bytes.size() <= piece->total - piece->offset);
    require(!piece->bytes.empty() || piece->offset == 0);
}

// All frames of `data` as text, cut after every `step` bytes or not at all (0).
test::Heard hear(std::span<const std::byte> data, bool ours, std::size_t step) {
    std::vector<std::size_t> cuts;
    for (std::size_t cut = step; step != 0 && cut < data.size(); cut += step) cuts.push_back(cut);
    Decoder decoder = ours ? Decoder(carrier) : Decoder();
    test::Heard heard = test::hear(decoder, data, cuts);
    require(heard.overhead <= data.size());
    require(!heard.error || heard.error == Errc::protocol_violation);
    require(!heard.error || !heard.error.detail.empty());
    require(!(heard.error && heard.between));
    return heard;
}

void decode(std::span<const std::byte> data, bool ours) {
    if (data.empty()) return;
    const std::size_t step = 1 + std::to_integer<std::size_t>(data[0]) % 64;
    data = data.subspan(1);
    Decoder decoder = ours ? Decoder(carrier) : Decoder();
    Bytes input = test::bytes_of(data);
    for (;;) {
        const auto frame = decoder.next(input);
        if (!frame || !*frame) break;
        check(**frame);
    }
    const auto whole = hear(data, ours, 0);
    const auto parts = hear(data, ours, step);
    require(whole.frames == parts.frames);
    require(whole.error.detail == parts.error.detail);
    require(whole.between == parts.between);
    if (!whole.error) require(whole.overhead == parts.overhead);
}

// A datagram is one whole message, or nothing; what it says can be said again.
void datagram(std::span<const std::byte> data) {
    const auto piece = framing::read_alone(test::bytes_of(data));
    if (!piece) return;
    check(framing::Frame(*piece));
    require(piece->first() && piece->last() && !piece->marks.reliable);
    std::array<std::byte, framing::largest_frame> header;
    const auto size = static_cast<std::ptrdiff_t>(framing::write_alone(header, *piece));
    std::vector<std::byte> again(header.begin(), header.begin() + size);
    again.insert(again.end(), piece->bytes.begin(), piece->bytes.end());
    const auto second = framing::read_alone(test::bytes_of(again));
    require(second && second->carrier == piece->carrier && second->bytes == piece->bytes);
    require(second->sequence == piece->sequence && second->marks == piece->marks);
}

// Commands for an Encoder, drawn from the data; nothing when they are used up.
class Commands {
public:
    explicit Commands(std::span<const std::byte> data) : data_(data) {}

    std::optional<Outgoing> next() {
        const auto command = data_.u8();
        if (!command) return std::nullopt;
        const NicenessClass niceness{static_cast<std::uint8_t>(number() % 64)};
        switch (*command % 8) {
            case 0: return Outgoing(Abandon{carrier, niceness, Sequence{number()}});
            case 1: return Outgoing(Skip{carrier, niceness, Sequence{number()}, 1 + number()});
            case 2: return go_on();
            default: return begin(*command, niceness);
        }
    }

    void forget(const Abandon& abandon) {
        const auto found = begun_.find({abandon.niceness, abandon.sequence});
        if (found != begun_.end()) begun_.erase(found);
    }

private:
    using Id = std::pair<NicenessClass, Sequence>;

    std::uint64_t number() {
        const auto small = data_.u8();
        if (!small) return 0;
        return *small < 250 ? *small : data_.varint().value_or(0) / 4;
    }

    std::optional<Outgoing> begin(std::uint8_t command, NicenessClass niceness) {
        Piece piece;
        piece.carrier = carrier;
        piece.niceness = command % 2 ? niceness : NicenessClass{0};
        std::uint64_t& next = next_[piece.niceness.value()];
        if (command & 0x40) next += number();
        piece.sequence = Sequence{next++};
        const std::uint64_t marks = command & 0x80 ? number() : 0;
        piece.marks = {!(marks & 1), !(marks & 2), (marks & 4) != 0, (marks & 8) != 0,
                       (marks & 16) != 0};
        piece.total = number() * (command & 0x20 ? 64 : 1) % 10'000;
        const std::uint64_t size = command & 0x10 ? piece.total : number() % (piece.total + 1);
        if (size != piece.total) {
            if (begun_.size() == framing::slots) return Outgoing(Open{carrier, {}, {}});
            begun_[{piece.niceness, piece.sequence}] = piece;
            begun_[{piece.niceness, piece.sequence}].offset = size;
        }
        piece.bytes = Bytes(std::string(size, 'x'));
        return Outgoing(piece);
    }

    std::optional<Outgoing> go_on() {
        if (begun_.empty()) return Outgoing(Open{carrier, {}, {}});
        auto at = begun_.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(number() % begun_.size()));
        Piece piece = at->second;
        const std::uint64_t left = piece.total - piece.offset;
        const std::uint64_t size = 1 + number() % left;
        piece.bytes = Bytes(std::string(size, 'y'));
        at->second.offset += size;
        if (size == left) begun_.erase(at);
        return Outgoing(piece);
    }

    wire::Reader data_;
    std::array<std::uint64_t, 64> next_{};
    std::map<Id, Piece> begun_;
};

// One thing said is one thing heard, pieces in as many parts as their bytes came in.
void round_trip(std::span<const std::byte> data) {
    Commands commands(data);
    Encoder encoder;
    Decoder decoder(carrier);
    while (auto outgoing = commands.next()) {
        if (std::holds_alternative<Open>(*outgoing)) continue;  // stands for nothing to do
        std::string expected = std::visit(
            [](const auto& what) {
                if constexpr (requires { test::describe(what); })
                    return test::describe(what);
                else
                    return std::string();
            },
            *outgoing);
        if (const auto* abandon = std::get_if<Abandon>(&*outgoing)) {
            const std::size_t before = encoder.unfinished();
            std::vector<std::byte> stream;
            test::say(encoder, stream, *outgoing);
            if (encoder.unfinished() == before)
                expected = test::describe(Skip{carrier, abandon->niceness, abandon->sequence, 1});
            commands.forget(*abandon);
            const auto heard = test::hear(decoder, stream);
            require(heard.frames == std::vector{expected});
            continue;
        }
        std::vector<std::byte> stream;
        test::say(encoder, stream, *outgoing);
        const auto heard = test::hear(decoder, stream, {stream.size() / 2});
        require(!heard.error);
        require(heard.frames == std::vector{expected});
        require(heard.between);
        require(heard.overhead < framing::largest_frame);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto rest = std::as_bytes(std::span(data, size)).subspan(1);
    switch (data[0] % 4) {
        case 0: decode(rest, true); break;
        case 1: decode(rest, false); break;
        case 3: datagram(rest); break;
        default: round_trip(rest); break;
    }
    return 0;
}
