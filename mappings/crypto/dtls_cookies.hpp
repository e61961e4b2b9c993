// DtlsCookies: how a server of DTLS knows that a client receives what is sent to its address,
// without keeping anything of it (RFC 6347, 4.2.1). A first ClientHello is answered with a
// HelloVerifyRequest, which is never longer than what it answers; the cookie in it is an HMAC of
// the address under a secret that rotates, and comes back with the next ClientHello.
//
//    client                        server
//      | ClientHello                 |   nothing is kept
//      |---------------------------->|
//      | HelloVerifyRequest, cookie  |   44 bytes
//      |<----------------------------|
//      | ClientHello, cookie         |   a DtlsSession is made
//      |---------------------------->|
//
// RFC 6347, 4.2.1: not done is the reassembly of a ClientHello in several datagrams before the
// cookie, which would be state that anybody can ask for. They are dropped; a ClientHello fits one,
// unless the path is narrower than any that the internet has (RFC 8200, 5). In that one it may
// stand in several fragments.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include <post/address.hpp>
#include <post/time.hpp>

#include "mappings/crypto/dtls_handshake.hpp"
#include "mappings/crypto/rotating_secret.hpp"

namespace post::crypto {

class DtlsCookies {
public:
    // A cookie is good for at least so long, and at most twice as long.
    static constexpr Duration period = std::chrono::minutes(1);

    // What becomes of a datagram: nothing, when it is no ClientHello; an answer to be sent to where
    // it came from; or the start of a session, whose first input the datagram is.
    using Verdict = std::variant<std::monostate, std::vector<std::byte>, DtlsPrestate>;

    // `random` fills what it is given with secret bytes.
    Verdict examine(Instant now, const Address& remote, std::span<const std::byte> datagram,
                    RotatingSecret::Random& random);

    // True for the first record of a handshake, as `examine` takes it: also how the owner of a port
    // finds out that the client of a session that is complete began anew (RFC 6347, 4.2.8).
    static bool is_client_hello(std::span<const std::byte> datagram);

private:
    RotatingSecret secrets_{period};
};

}  // namespace post::crypto
