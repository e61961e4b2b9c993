// Links: the byte streams of a mapping that runs on several of them, since each of its Carriers is
// a TCP connection of its own. The mapping numbers them and says what shall become of them
// (Mapping::poll_link); the root has the sockets, does it, and tells what came of it
// (Mapping::handle_link). Their bytes travel as Datagrams do, with the link's number.
#pragma once

#include <cstdint>
#include <system_error>
#include <variant>

#include <post/address.hpp>
#include <post/error.hpp>
#include <post/time.hpp>

#include "mappings/wire/datagrams.hpp"

namespace post {

namespace link {

// What happened.

// It is being connected, from this address.
struct Begun {
    Address local;
};
// It could not even be tried.
struct Failed {
    Error error;
};
// There is room for what shall be sent; of one that is being connected, it is made now.
struct Writable {
    std::size_t run = 64 * 1024;  // how many bytes one run should have
};
// There is none until it is Writable again. Sending on is allowed, and early.
struct Full {};
// The peer has closed its direction.
struct Ended {};
// It could not be made or is broken (errno), and nothing follows.
struct Broken {
    std::error_code code;
};
// How many of the bytes that were sent the peer's system has not acknowledged, and the round trip
// that ours has measured; zero: none.
struct Unacknowledged {
    std::uint64_t bytes = 0;
    Duration round_trip{};
};

// What is wanted.

// A connection to the association's remote address.
struct Connect {};
// Take at most so many bytes in one go: what else comes is left in the system, so that the peer is
// held back. 0: nothing at all.
struct Take {
    std::size_t most = 0;
};
// Say how much is Unacknowledged.
struct Ask {};
// It is done with: what was sent is still delivered. Or all is given up at once, and the peer hears
// so by a reset (RFC 9293, 3.10.5).
struct Close {
    bool reset = false;
};

}  // namespace link

struct LinkNews {
    LinkId link;
    std::variant<link::Begun, link::Failed, link::Writable, link::Full, link::Ended, link::Broken,
                 link::Unacknowledged>
        what;
};

struct LinkWant {
    LinkId link;
    std::variant<link::Connect, link::Take, link::Ask, link::Close> what;
};

}  // namespace post
