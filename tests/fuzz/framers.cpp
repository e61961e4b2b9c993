// Fuzz target for the framers. The first byte chooses the framer or stack of them, the second how
// the stream is broken and how long a value may be, the third what the rest is: a stream of a
// peer's, which must give the same values in pieces as at once, and end at the same place; or
// contents, which must come back when they can be said.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/framers_support.hpp"

namespace {

using namespace post;
using namespace post::test;

void require(bool condition) {
    if (!condition) std::abort();
}

struct Plan {
    std::size_t step = 1;
    std::size_t largest = 0;
    bool contents = false;  // the rest are contents, and not a stream
};

std::string joined(const std::vector<std::string>& values) {
    std::string all;
    for (const std::string& value : values) all += value;
    return all;
}

void check(const Cut& got, std::size_t largest) {
    for (const std::string& value : got.values) require(value.size() <= largest);
    if (!got.error) return;
    require(*got.error == Errc::malformed || *got.error == Errc::message_too_large);
    require(got.error->detail.view().find("at byte ") != std::string_view::npos);
}

// Where a stream is broken changes nothing but which of two errors is seen first.
template <class C> void read(const C& codec, std::string_view stream, const Plan& plan) {
    const Cut whole = cut(codec, stream, {}, plan.largest);
    const Cut parts = cut(codec, stream, every(plan.step, stream.size()), plan.largest);
    check(whole, plan.largest);
    check(parts, plan.largest);
    require(whole.error.has_value() == parts.error.has_value());
    if constexpr (std::same_as<C, Raw>) {
        require(joined(whole.values) == stream && joined(parts.values) == stream);
        require(!whole.error);
        return;
    }
    require(whole.values == parts.values);
    if (!whole.error) require(whole.left == 0 && parts.left == 0);
    // What was taken can be said again, and is taken again.
    for (const std::string& value : whole.values) {
        const Written again = write(codec, Bytes(value));
        if (again.error) continue;
        const Cut second = cut(codec, again.bytes);
        require(second.values == std::vector{value} && !second.error);
    }
}

// Contents stand behind a byte for their length, times a factor for a few long ones.
template <class C> void round_trip(const C& codec, std::string_view data, const Plan& plan) {
    std::vector<std::string> contents;
    std::string stream;
    while (!data.empty() && stream.size() < 200'000) {
        const auto first = static_cast<unsigned char>(data.front());
        const std::size_t size = first < 250 ? first % 70 : (first - 249) * 5000u;
        data.remove_prefix(1);
        std::string content(data.substr(0, size));
        content.resize(size, 'x');
        data.remove_prefix(std::min(data.size(), size));
        content = as_value(codec, std::move(content));
        const Written written = write(codec, Bytes(content));
        if (written.error) {
            require(written.error == Errc::message_too_large ||
                    written.error == Errc::invalid_argument);
            require(!written.error.detail.empty());
            continue;
        }
        contents.push_back(std::move(content));
        stream += written.bytes;
    }
    const Cut got = cut(codec, stream, every(plan.step, stream.size()));
    require(!got.error && got.left == 0);
    if constexpr (std::same_as<C, Raw>)
        require(joined(got.values) == joined(contents));
    else
        require(got.values == contents);
}

template <class C> void run(const C& codec, std::string_view data, const Plan& plan) {
    if (plan.contents)
        round_trip(codec, data, plan);
    else
        read(codec, data, plan);
}

LengthPrefix prefix(unsigned choice) {
    return {static_cast<LengthPrefix::Width>(choice % 5),
            static_cast<LengthPrefix::Order>(choice / 5 % 2), choice / 10 % 2 != 0};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size < 3) return 0;
    const std::string_view data(reinterpret_cast<const char*>(bytes) + 3, size - 3);
    const Plan plan{1u + bytes[1] % 16u, bytes[1] % 2 == 0 ? 64u : 1'000'000u, bytes[2] % 2 != 0};
    const unsigned more = bytes[0] / 10u;
    const auto keep = static_cast<Delimiter::Keep>(more / 4 % 2 != 0);
    const Delimiter delimiter(std::array{"\n", "\r\n\r\n", "aab", "abababab"}[more % 4], keep);
    switch (bytes[0] % 10) {
        case 0: run(Raw{}, data, plan); break;
        case 1: run(delimiter, data, plan); break;
        case 2:
        case 3: run(prefix(more), data, plan); break;
        case 4: run(Netstring{}, data, plan); break;
        case 5: run(Framed{Netstring{}, prefix(more)}, data, plan); break;
        case 6: run(Framed{prefix(more), Delimiter()}, data, plan); break;
        case 7: run(Layered{prefix(more), Delimiter("\r\n")}, data, plan); break;
        case 8: run(Layered{Netstring{}, Netstring{}}, data, plan); break;
        default: run(Layered{Delimiter(), prefix(more)}, data, plan); break;
    }
    return 0;
}
