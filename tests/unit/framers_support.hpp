// What the tests of framers share: contents are framed and fed, cut as one likes, and what comes
// out is gathered as text.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <post/framers.hpp>

namespace post::test {

// What goes onto the stream for one value; empty, with the error, when it cannot be said.
struct Written {
    std::string bytes;
    Error error;
};
template <MessageCodec C, class T> Written write(const C& codec, const T& value) {
    Buffer buffer;
    codec.encode(value, buffer);
    if (buffer.failed()) return {{}, buffer.error()};
    return {buffer.content().take().string(), {}};
}

inline std::string text_of(const Bytes& value) { return value.string(); }
inline std::string text_of(const std::string& value) { return value; }

// What a stream gave.
struct Cut {
    std::vector<std::string> values;
    std::optional<Error> error;
    std::size_t left = 0;
};

template <class D> void take_all(D& deframer, Cut& cut) {
    while (auto value = deframer.next()) {
        if (!*value) {
            cut.error = value->error();
            return;
        }
        cut.values.push_back(text_of(**value));
    }
}

// Feeds the stream in pieces, which end at `ends` and at its end, asks for values behind each, and
// says that it is over.
template <class C>
Cut cut(const C& codec, std::string_view stream, const std::vector<std::size_t>& ends = {},
        std::size_t largest = Deframer<C>::default_largest) {
    Deframer<C> deframer(codec, largest);
    Cut result;
    std::size_t begin = 0;
    const auto feed_to = [&](std::size_t end) {
        deframer.feed(Bytes(stream.substr(begin, end - begin)));
        begin = end;
        take_all(deframer, result);
    };
    for (const std::size_t end : ends)
        if (end < stream.size() && !result.error) feed_to(end);
    if (!result.error) feed_to(stream.size());
    result.left = deframer.left();
    deframer.finish();
    if (!result.error) take_all(deframer, result);
    return result;
}

// The ends of pieces of so many bytes.
inline std::vector<std::size_t> every(std::size_t step, std::size_t size) {
    std::vector<std::size_t> ends;
    for (std::size_t end = step; end < size; end += step) ends.push_back(end);
    return ends;
}

// A prefix by all that it may be.
template <class Use> void each_prefix(const Use& use) {
    using Width = LengthPrefix::Width;
    using Order = LengthPrefix::Order;
    for (const Width width :
         {Width::bits8, Width::bits16, Width::bits32, Width::bits64, Width::varint})
        for (const Order order : {Order::big_endian, Order::little_endian})
            for (const bool counts_itself : {false, true})
                use(LengthPrefix{width, order, counts_itself});
}
// Every framer that keeps boundaries, and has no trouble with what is in a value but a mark.
template <class Use> void each_framer(const Use& use) {
    each_prefix(use);
    use(Netstring{});
    for (const auto keep : {Delimiter::Keep::no, Delimiter::Keep::yes})
        for (const char* mark : {"\n", "\r\n\r\n", "aab"}) use(Delimiter(mark, keep));
}

// What a framer gives for a content: Keep::yes wants the mark, which is added.
template <class C> std::string as_value(const C& codec, std::string content) {
    if constexpr (std::same_as<C, Delimiter>)
        if (codec.keep() == Delimiter::Keep::yes) content += codec.mark();
    return content;
}

}  // namespace post::test
