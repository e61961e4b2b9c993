// Moves: a connection goes from one path to another and stays the same connection (RFC 9000, 9).
// Only the client decides that, and only some mappings can.
#pragma once

#include <cstdint>

#include <post/address.hpp>
#include <post/error.hpp>

namespace post {

struct Move {
    std::uint64_t number = 0;  // the caller's, for event::Moved
    Address local;             // where the new path begins, with its port
    // The old path is gone: what waits goes over the new one before the peer has answered there.
    // Else the connection stays where it is until the peer has.
    bool at_once = false;
};

namespace event {

// What became of a Move, once for each: the peer answers on the new path, which is in use. Else
// why not: cancelled (another Move came), unsupported (the peer forbids it), would_block (the peer
// has given no spare connection id), unreachable (no answer).
struct Moved {
    std::uint64_t number = 0;
    Error error;
};
// Mapping::path is another one than before; never before Established.
struct PathChanged {};

}  // namespace event

}  // namespace post
