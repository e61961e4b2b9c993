// Address: parsing and printing. Strict on purpose: what has two readings ("010.0.0.1", "1.2.3")
// is no address at all, and every IPv6 address is printed in the one form of RFC 5952.
#include <post/address.hpp>

#include <algorithm>
#include <cstring>

namespace post {
namespace {

using V4 = std::array<std::uint8_t, 4>;
using Groups = std::array<std::uint16_t, 8>;

// A decimal number without leading zeros, at most `most`.
std::optional<std::uint32_t> parse_decimal(std::string_view text, std::uint32_t most) {
    if (text.empty() || text.size() > 10 || (text.size() > 1 && text[0] == '0')) return {};
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return {};
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    if (value > most) return {};
    return static_cast<std::uint32_t>(value);
}

std::optional<V4> parse_v4(std::string_view text) {
    V4 bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const bool last = i + 1 == bytes.size();
        const std::size_t end = last ? text.size() : text.find('.');
        if (end == std::string_view::npos) return {};
        const auto part = parse_decimal(text.substr(0, end), 255);
        if (!part) return {};
        bytes[i] = static_cast<std::uint8_t>(*part);
        if (!last) text.remove_prefix(end + 1);
    }
    return bytes;
}

std::optional<std::uint16_t> parse_group(std::string_view text) {
    if (text.empty() || text.size() > 4) return {};
    std::uint32_t value = 0;
    for (const char c : text) {
        std::uint32_t digit = 0;
        if (c >= '0' && c <= '9')
            digit = static_cast<std::uint32_t>(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = static_cast<std::uint32_t>(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = static_cast<std::uint32_t>(c - 'A') + 10;
        else
            return {};
        value = value * 16 + digit;
    }
    return static_cast<std::uint16_t>(value);
}

// Groups separated by single colons, written to the front of `groups`; the last may be a dotted
// IPv4 address where `v4_tail` allows it. How many groups it came to; nothing when it is malformed.
std::optional<std::size_t> parse_groups(std::string_view text, Groups& groups, bool v4_tail) {
    if (text.empty()) return 0;
    std::size_t count = 0;
    while (true) {
        const std::size_t colon = text.find(':');
        const std::string_view part = text.substr(0, colon);
        if (colon == std::string_view::npos && v4_tail &&
            part.find('.') != std::string_view::npos) {
            const auto v4 = parse_v4(part);
            if (!v4 || count + 2 > groups.size()) return {};
            groups[count++] = static_cast<std::uint16_t>((*v4)[0] << 8 | (*v4)[1]);
            groups[count++] = static_cast<std::uint16_t>((*v4)[2] << 8 | (*v4)[3]);
            return count;
        }
        const auto group = parse_group(part);
        if (!group || count == groups.size()) return {};
        groups[count++] = *group;
        if (colon == std::string_view::npos) return count;
        text.remove_prefix(colon + 1);
    }
}

std::optional<Groups> parse_v6(std::string_view text) {
    Groups groups{};
    const std::size_t gap = text.find("::");
    if (gap == std::string_view::npos) {
        const auto count = parse_groups(text, groups, true);
        if (count != groups.size()) return {};
        return groups;
    }
    Groups tail{};
    const auto before = parse_groups(text.substr(0, gap), groups, false);
    const auto after = parse_groups(text.substr(gap + 2), tail, true);
    // RFC 4291, 2.2: "::" stands for one group of zeros at least.
    if (!before || !after || *before + *after >= groups.size()) return {};
    std::copy_n(tail.begin(), *after, groups.end() - static_cast<std::ptrdiff_t>(*after));
    return groups;
}

bool is_mapped(const std::array<std::uint8_t, 16>& ip) {
    static constexpr std::array<std::uint8_t, 12> prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::equal(prefix.begin(), prefix.end(), ip.begin());
}

// Only addresses that are valid on one link need to be told which link (RFC 4007, 6).
bool has_scope(const std::array<std::uint8_t, 16>& ip) {
    const bool link_local = ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
    const bool multicast = ip[0] == 0xff && ((ip[1] & 0x0f) == 1 || (ip[1] & 0x0f) == 2);
    return link_local || multicast;
}

void append_v4(std::string& text, const std::uint8_t* bytes) {
    for (int i = 0; i < 4; ++i) {
        if (i > 0) text += '.';
        text += std::to_string(bytes[i]);
    }
}

void append_hex(std::string& text, std::uint16_t value) {
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        const unsigned digit = (value >> shift) & 0xfu;
        begun = begun || digit != 0 || shift == 0;
        if (begun) text += "0123456789abcdef"[digit];
    }
}

// RFC 5952, 4: lower case, no leading zeros, "::" for the longest run of at least two zero groups,
// the first of them when there are several.
void append_v6(std::string& text, const std::array<std::uint8_t, 16>& ip) {
    Groups groups{};
    for (std::size_t i = 0; i < groups.size(); ++i)
        groups[i] = static_cast<std::uint16_t>(ip[2 * i] << 8 | ip[2 * i + 1]);

    std::size_t gap = groups.size();
    std::size_t gap_size = 1;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        std::size_t end = i;
        while (end < groups.size() && groups[end] == 0) ++end;
        if (end - i <= gap_size) continue;
        gap = i;
        gap_size = end - i;
    }
    for (std::size_t i = 0; i < groups.size();) {
        if (i == gap) {
            text += "::";
            i += gap_size;
            continue;
        }
        if (i > 0 && i != gap + gap_size) text += ':';
        append_hex(text, groups[i++]);
    }
}

}  // namespace

std::optional<Address> Address::parse(std::string_view ip, std::uint16_t port) {
    Address address;
    address.port = port;
    if (ip.find(':') == std::string_view::npos) {
        const auto v4 = parse_v4(ip);
        if (!v4) return {};
        std::copy(v4->begin(), v4->end(), address.ip.begin());
        address.family = Family::v4;
        return address;
    }

    const std::size_t percent = ip.find('%');
    const auto groups = parse_v6(ip.substr(0, percent));
    if (!groups) return {};
    for (std::size_t i = 0; i < groups->size(); ++i) {
        address.ip[2 * i] = static_cast<std::uint8_t>((*groups)[i] >> 8);
        address.ip[2 * i + 1] = static_cast<std::uint8_t>((*groups)[i] & 0xff);
    }
    address.family = Family::v6;
    if (percent != std::string_view::npos) {
        const auto scope = parse_decimal(ip.substr(percent + 1), 0xffffffff);
        if (!scope || !has_scope(address.ip)) return {};
        address.scope = *scope;
    }
    if (is_mapped(address.ip)) {
        Address v4;
        std::copy_n(address.ip.begin() + 12, 4, v4.ip.begin());
        v4.port = port;
        v4.family = Family::v4;
        return v4;
    }
    return address;
}

Address Address::any_v4(std::uint16_t port) {
    Address address;
    address.port = port;
    address.family = Family::v4;
    return address;
}

Address Address::any_v6(std::uint16_t port) {
    Address address;
    address.port = port;
    address.family = Family::v6;
    return address;
}

bool Address::is_any() const {
    return family != Family::none &&
           std::all_of(ip.begin(), ip.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool Address::is_multicast() const {
    return family == Family::v4 ? ip[0] >= 224 && ip[0] < 240
                                : family == Family::v6 && ip[0] == 0xff;
}

bool Address::is_loopback() const {
    switch (family) {
        case Family::none: return false;
        case Family::v4: return ip[0] == 127;
        case Family::v6:
            return std::all_of(ip.begin(), ip.end() - 1, [](std::uint8_t b) { return b == 0; }) &&
                   ip[15] == 1;
    }
    return false;
}

std::string Address::ip_string() const {
    std::string text;
    switch (family) {
        case Family::none: text = "none"; break;
        case Family::v4: append_v4(text, ip.data()); break;
        case Family::v6:
            if (is_mapped(ip)) {
                text = "::ffff:";
                append_v4(text, ip.data() + 12);
                break;
            }
            append_v6(text, ip);
            if (scope != 0) text += '%' + std::to_string(scope);
            break;
    }
    return text;
}

std::string Address::string() const {
    switch (family) {
        case Family::none: return "none";
        case Family::v4: return ip_string() + ':' + std::to_string(port);
        case Family::v6: return '[' + ip_string() + "]:" + std::to_string(port);
    }
    return {};
}

}  // namespace post

// Every bit of the address reaches every bit of the result (the finisher of MurmurHash3), because
// the low bits alone often differ least: a port or the last byte of a network.
std::size_t std::hash<post::Address>::operator()(const post::Address& address) const noexcept {
    const auto mix = [](std::uint64_t x) {
        x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
        x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
        return x ^ (x >> 33);
    };
    std::array<std::uint64_t, 2> halves{};
    std::memcpy(halves.data(), address.ip.data(), address.ip.size());
    const std::uint64_t rest = std::uint64_t{address.scope} << 32 |
                               std::uint64_t{address.port} << 8 |
                               static_cast<std::uint64_t>(address.family);
    const std::uint64_t mixed = mix(mix(mix(rest) ^ halves[0]) + halves[1]);
    return static_cast<std::size_t>(mixed);
}
