// HTTP/3 by hand: frames (RFC 9114, 7), and sections of fields without a dynamic table (RFC 9204).
#pragma once

#include <cstdint>
#include <string>

namespace post::test::http3_bytes {

inline std::string varint(std::uint64_t value) {
    std::string bytes;
    const auto put = [&](int size, unsigned mark) {
        for (int i = size - 1; i >= 0; --i)
            bytes += static_cast<char>((value >> (8 * i) & 0xff) | (i == size - 1 ? mark : 0));
    };
    if (value < 64)
        put(1, 0);
    else if (value < 16384)
        put(2, 0x40);
    else
        put(4, 0x80);
    return bytes;
}

inline std::string frame(std::uint64_t type, const std::string& payload) {
    return varint(type) + varint(payload.size()) + payload;
}

// RFC 9204, 4.5: no dynamic table; then what is in the static one, and literals.
inline const std::string prefix("\0\0", 2);
inline const std::string get("\xd1", 1);    // :method GET
inline const std::string https("\xd7", 1);  // :scheme https
inline const std::string root("\xc1", 1);   // :path /
inline std::string literal(const std::string& name, const std::string& value) {
    std::string bytes;
    if (name.size() < 7)
        bytes += static_cast<char>(0x20 | name.size());
    else
        (bytes += '\x27') += static_cast<char>(name.size() - 7);
    bytes += name;
    if (value.size() < 127) return bytes + static_cast<char>(value.size()) + value;
    std::size_t rest = value.size() - 127;
    bytes += '\x7f';
    for (; rest >= 128; rest >>= 7) bytes += static_cast<char>(0x80 | (rest & 0x7f));
    return bytes + static_cast<char>(rest) + value;
}
inline const std::string authority = literal(":authority", "server.test");
inline const std::string good = prefix + get + https + root + authority;
inline const std::string settings = std::string("\0", 1) + frame(4, "");

}  // namespace post::test::http3_bytes
