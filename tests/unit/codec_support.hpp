// Codecs made by hand, in ways an application would: a line of text, and a record whose decoded
// form is a view over the bytes that were received.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include <post/codec.hpp>

namespace post::test {

// A line, up to and with its '\n'. It says "throw" where it is told to.
struct LineCodec {
    using Value = std::string;

    void encode(std::string_view line, Buffer& buffer) const {
        if (line == "throw on encode") throw std::runtime_error("encode");
        buffer.append(line);
        buffer.append("\n");
    }
    Decoded<std::string> decode(const Bytes& bytes) const {
        const auto end = bytes.view().find('\n');
        if (end == std::string_view::npos) return NeedsMore{};
        if (bytes.view().starts_with('#')) return Malformed{"a line does not begin with #", {}};
        std::string line(bytes.view().substr(0, end));
        if (line == "throw on decode") throw std::runtime_error("decode");
        return {std::move(line), end + 1};
    }
};

//     Record { key size (8), body size (24), key (..), body (..) }
struct Record {
    std::string key;
    Bytes body;
};
struct RecordView {
    Bytes key;
    Bytes body;
};

// Encodes records, and decodes views: key and body are slices of what was received.
struct RecordCodec {
    using Sent = Record;
    using Value = RecordView;
    static constexpr std::size_t head = 4;

    void encode(const Record& record, Buffer& buffer) const {
        const auto byte = [&](std::size_t value, int shift) {
            buffer.append(static_cast<std::byte>(value >> shift & 0xff));
        };
        byte(record.key.size(), 0);
        for (const int shift : {16, 8, 0}) byte(record.body.size(), shift);
        buffer.append(record.key);
        buffer.append(record.body.span());
    }
    Decoded<RecordView> decode(const Bytes& bytes) const {
        if (bytes.size() < head) return NeedsMore{head - bytes.size()};
        const auto at = [&](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
        const std::size_t key = at(0);
        const std::size_t whole = head + key + (at(1) << 16 | at(2) << 8 | at(3));
        if (key == 0) return Malformed{"a record without a key", {}};
        if (bytes.size() < whole) return NeedsMore{whole - bytes.size()};
        return {RecordView{bytes.slice(head, key), bytes.slice(head + key, whole - head - key)},
                whole};
    }
};

// Bytes as they are, out and in, with the message around them.
struct WholeCodec {
    using Sent = Bytes;
    using Value = InMessage;
    void encode(const Bytes& bytes, Buffer& buffer) const { buffer.adopt(bytes); }
    Decoded<InMessage> decode(InMessage message) const { return message; }
};

static_assert(StreamCodec<LineCodec> && StreamCodec<RecordCodec>);
static_assert(MessageCodec<WholeCodec> && !StreamCodec<WholeCodec>);
static_assert(Encodes<LineCodec, const char*> && !Encodes<LineCodec, int>);
static_assert(!MessageCodec<int>);

}  // namespace post::test
