// What the tests of frames share: hex to bytes and back, the bytes of a list of things to say, and
// what a Decoder makes of bytes, as text that a failed test shows and as frames.
#pragma once

#include <array>
#include <cctype>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mappings/framing/post_framing.hpp"

namespace post::test {

// "05 68 65": spaces are for the eye.
inline std::vector<std::byte> hex(std::string_view text) {
    std::vector<std::byte> bytes;
    int high = -1;
    for (const char c : text) {
        if (c == ' ' || c == '\n') continue;
        const int digit = c <= '9' ? c - '0' : std::tolower(c) - 'a' + 10;
        if (high >= 0) bytes.push_back(static_cast<std::byte>(high * 16 + digit));
        high = high >= 0 ? -1 : digit;
    }
    return bytes;
}

inline std::string hex_of(std::span<const std::byte> bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const std::byte byte : bytes) {
        if (!text.empty()) text += ' ';
        text += digits[std::to_integer<unsigned>(byte) >> 4];
        text += digits[std::to_integer<unsigned>(byte) & 0xf];
    }
    return text;
}

// Bytes in a block of their own, so that a sanitizer sees any read beyond them.
inline Bytes bytes_of(std::span<const std::byte> bytes) { return Bytes(bytes); }

// What an Encoder writes for `outgoing`, contents included.
inline void say(framing::Encoder& encoder, std::vector<std::byte>& stream,
                const Outgoing& outgoing) {
    std::array<std::byte, framing::largest_frame> space{};
    const std::size_t size = encoder.write(space, outgoing);
    stream.insert(stream.end(), space.begin(), space.begin() + static_cast<std::ptrdiff_t>(size));
    if (const auto* piece = std::get_if<Piece>(&outgoing))
        stream.insert(stream.end(), piece->bytes.begin(), piece->bytes.end());
}

inline std::vector<std::byte> say(const std::vector<Outgoing>& all) {
    framing::Encoder encoder;
    std::vector<std::byte> stream;
    for (const Outgoing& outgoing : all) say(encoder, stream, outgoing);
    return stream;
}

// "message 1/7 +0/2 uri: hi": class/sequence +offset/total and the marks that are not default.
inline std::string describe(const Piece& piece) {
    std::string marks;
    if (!piece.marks.ordered) marks += " unordered";
    if (!piece.marks.reliable) marks += " unreliable";
    if (piece.marks.idempotent) marks += " idempotent";
    if (piece.marks.final) marks += " final";
    if (piece.marks.ask) marks += " ask";
    if (piece.marks.text) marks += " text";
    return "message " + std::to_string(piece.carrier.value()) + ":" +
           std::to_string(piece.niceness.value()) + "/" + std::to_string(piece.sequence.value()) +
           " +" + std::to_string(piece.offset) + "/" + std::to_string(piece.total) + marks + ": " +
           piece.bytes.string();
}
inline std::string describe(const Open& open) {
    return "open " + std::to_string(open.carrier.value()) + " kind " +
           std::to_string(static_cast<int>(open.kind)) +
           (open.parent ? " parent " + std::to_string(open.parent->value()) : "");
}
inline std::string describe(const EarlyKey& key) {
    if (key.association)
        return "early " + std::to_string(key.carrier.value()) + " of the association " +
               std::to_string(key.association->back());
    return "early " + std::to_string(key.carrier.value()) + " of " + std::to_string(key.race);
}
inline std::string describe(const Finish& finish) {
    return "finish " + std::to_string(finish.carrier.value());
}
inline std::string describe(const Skip& skip) {
    return "skip " + std::to_string(skip.carrier.value()) + ":" +
           std::to_string(skip.niceness.value()) + "/" + std::to_string(skip.first.value()) + " x" +
           std::to_string(skip.count);
}
inline std::string describe(const Abandon& abandon) {
    return "abandon " + std::to_string(abandon.carrier.value()) + ":" +
           std::to_string(abandon.niceness.value()) + "/" +
           std::to_string(abandon.sequence.value());
}
inline std::string describe(const Settings& settings) {
    return "settings " + hex_of(std::as_bytes(std::span(settings.association))) +
           (settings.race ? " race " + std::to_string(*settings.race) : "") + " largest " +
           std::to_string(settings.largest_message) + " carriers " +
           std::to_string(settings.carriers) + " features " + std::to_string(settings.features);
}
inline std::string describe(const Chosen& chosen) {
    return "chosen " + std::to_string(chosen.race);
}
inline std::string describe(const Refuse& refuse) {
    return "refuse " + std::to_string(refuse.carrier.value()) + ": " +
           make_error_code(refuse.reason).message();
}
inline std::string describe(const Delivered& delivered) {
    std::string text = "delivered " + std::to_string(delivered.carrier.value()) + ":" +
                       std::to_string(delivered.niceness.value()) + " below " +
                       std::to_string(delivered.watermark.value());
    for (const auto& range : delivered.ranges)
        text += " " + std::to_string(range.first.value()) + "x" + std::to_string(range.count);
    if (delivered.partial)
        text += " of " + std::to_string(delivered.partial->value()) + " " +
                std::to_string(delivered.progress);
    return text;
}

inline std::string describe(const Attach& attach) {
    return "attach " + hex_of(std::as_bytes(std::span(attach.association))) + " epoch " +
           std::to_string(attach.epoch) + (attach.early ? " early" : "") +
           (attach.standby ? " standby" : "") + " proof " +
           hex_of(std::as_bytes(std::span(attach.proof)));
}

inline std::string describe(const framing::Credit& credit) {
    using Of = framing::Credit::Of;
    const std::string whom = credit.of == Of::all     ? "all"
                             : credit.of == Of::fresh ? "fresh"
                                                      : std::to_string(credit.carrier.value());
    return "credit " + whom + " to " + std::to_string(credit.limit);
}
inline std::string describe(const framing::GivenUp& given_up) {
    return "reset " + std::to_string(given_up.carrier.value()) + ": " +
           std::to_string(given_up.code);
}
inline std::string describe(const framing::Unwanted& unwanted) {
    return "stop " + std::to_string(unwanted.carrier.value()) + ": " +
           std::to_string(unwanted.code);
}

struct Heard {
    std::vector<std::string> frames;  // pieces that follow each other in a message are joined
    Error error;
    std::uint64_t overhead = 0;
    bool between = true;
};

// Feeds `stream` in parts that end at `cuts` (ascending) and lists what comes out.
inline Heard hear(framing::Decoder& decoder, std::span<const std::byte> stream,
                  const std::vector<std::size_t>& cuts = {}) {
    Heard heard;
    std::optional<Piece> open;
    std::string content;
    const auto flush = [&] {
        if (!open) return;
        open->bytes = Bytes(std::exchange(content, {}));
        heard.frames.push_back(describe(*open));
        open.reset();
    };
    const auto take = [&](framing::Frame frame) {
        auto* piece = std::get_if<Piece>(&frame);
        const bool follows = piece && open && open->sequence == piece->sequence &&
                             open->niceness == piece->niceness &&
                             open->offset + content.size() == piece->offset &&
                             open->total == piece->total;
        if (!follows) flush();
        if (!piece) {
            heard.frames.push_back(std::visit([](const auto& f) { return describe(f); }, frame));
            return;
        }
        content += piece->bytes.view();
        if (!follows) open = std::move(*piece);
    };
    std::size_t from = 0;
    for (std::size_t part = 0; part <= cuts.size() && !heard.error; ++part) {
        const std::size_t to = part < cuts.size() ? cuts[part] : stream.size();
        Bytes input = bytes_of(stream.subspan(from, to - from));
        from = to;
        for (;;) {
            auto frame = decoder.next(input);
            heard.error = frame.error();
            if (!frame || !*frame) break;
            take(std::move(**frame));
        }
    }
    flush();
    heard.overhead = decoder.take_overhead();
    heard.between = decoder.between_frames();
    return heard;
}

}  // namespace post::test
