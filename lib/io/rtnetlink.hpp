// What rtnetlink(7) says of interfaces, addresses and routes, put together to Interfaces. Bytes in,
// values out; the sockets are interfaces.cpp's. Whatever does not fit its own lengths is refused as
// a whole, though the kernel is believed to be honest: in a sandbox it may be somebody else.
//
//     message    { length (32), type (16), flags (16), sequence (32), port (32), body }
//     attribute  { length (16), type (16), value }, each padded to 4 bytes
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <post/interface.hpp>

namespace post::io {

class InterfaceTable {
public:
    static constexpr std::size_t most_interfaces = 256;
    static constexpr std::size_t most_sources = 64;  // of one interface
    static constexpr std::size_t most_routes = 256;  // of one interface

    enum class Answer : std::uint8_t {
        more,         // there follows more
        done,         // of this question
        interrupted,  // something changed meanwhile: ask again, from the start
        refused,      // the kernel does not answer this
        malformed,
    };
    // What came in answer to question number `sequence`.
    Answer take(std::span<const std::byte> bytes, std::uint32_t sequence);

    // Those that are up, the best default route first, the loopback interface last.
    std::vector<Interface> interfaces() const;

private:
    struct Link {
        Interface interface;
        bool up = false;
    };
    bool take_link(std::span<const std::byte> body);
    bool take_address(std::span<const std::byte> body);
    bool take_route(std::span<const std::byte> body);
    bool take_hops(std::span<const std::byte> hops, const Interface::Route& route);
    void add(std::uint32_t index, const Interface::Route& route);

    std::map<std::uint32_t, Link> links_;
};

}  // namespace post::io
