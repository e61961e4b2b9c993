// Address: an IP address and port as a plain value. IPv4 is kept as such and not as a mapped IPv6
// address; a mapped one is turned into IPv4 when it is parsed.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace post {

struct Address {
    enum class Family : std::uint8_t { none, v4, v6 };

    std::array<std::uint8_t, 16> ip{};  // v4: the first four, network order
    std::uint32_t scope = 0;            // v6 link-local: the interface's index
    std::uint16_t port = 0;             // host order
    Family family = Family::none;

    // "192.0.2.1", "2001:db8::1", "fe80::1%3"; no name is looked up. Nothing when it is none.
    static std::optional<Address> parse(std::string_view ip, std::uint16_t port = 0);
    static Address any_v4(std::uint16_t port = 0);
    static Address any_v6(std::uint16_t port = 0);

    bool is_any() const;
    bool is_loopback() const;
    bool is_multicast() const;
    // "192.0.2.1:443", "[2001:db8::1]:443".
    std::string string() const;
    std::string ip_string() const;

    auto operator<=>(const Address&) const = default;
};

}  // namespace post

template <> struct std::hash<post::Address> {
    std::size_t operator()(const post::Address& address) const noexcept;
};
