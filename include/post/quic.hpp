// QuicOptions: what an application may choose of QUIC itself (RFC 9000, RFC 9369). The defaults are
// right for nearly everybody; whatever is here works between any two peers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <post/address.hpp>
#include <post/bytes.hpp>

namespace post {

enum class QuicVersion : std::uint32_t {
    v1 = 0x00000001,  // RFC 9000
    v2 = 0x6b3343cf,  // RFC 9369: the same protocol under another number
};

enum class Congestion : std::uint8_t {
    cubic,  // RFC 9438
    reno,   // RFC 9002, 7
    bbr,    // the model-based one of draft-ietf-ccwg-bbr, as the library underneath has it
};

// What packets are protected with. automatic: AES-128-GCM where the machine computes AES in
// hardware, else ChaCha20; the others are offered behind it. A named one is the only one offered
// or taken, and a peer without it is refused (handshake_failed).
enum class Cipher : std::uint8_t { automatic, aes_128_gcm, aes_256_gcm, chacha20_poly1305 };

// Which library protects packets. automatic: libipsec-mb where it was built in and the processor
// suits it (one and a half times as fast on the whole), else GnuTLS. A named one that cannot be had
// makes the Context's constructor throw Failure (unsupported), with the reason.
enum class PacketProtection : std::uint8_t { automatic, gnutls, ipsec_mb };

// When a client must show that it receives what is sent to its address (Retry, RFC 9000, 8.1).
// when_busy: while 128 connections or more are in their handshakes. always: every client without a
// token of an earlier connection; costs it one round trip.
enum class AddressValidation : std::uint8_t { when_busy, always };

// For initiate and listen alike, unless a line says otherwise. Values outside the ranges are
// refused with invalid_argument by both.
struct QuicOptions {
    // In the order of preference; one or two different ones. initiate: the first flight is written
    // in the first, and the others are offered beside it. listen: the first one that a client
    // offers is used (compatible version negotiation, RFC 9368); clients without any are told which
    // there are.
    std::vector<QuicVersion> versions = {QuicVersion::v1, QuicVersion::v2};
    // The largest UDP payload to send, in bytes, 1200 to 65507; 0: what the network interface
    // allows. Larger packets than 1200 bytes are only used where probes have arrived (RFC 8899).
    std::size_t largest_payload = 0;
    Congestion congestion = Congestion::cubic;
    Cipher cipher = Cipher::automatic;
    // Packets that are protected with one key before the next one is used (RFC 9001, 6), at least
    // 64; what the cipher bears is far above the default.
    std::uint64_t key_update_after = std::uint64_t{1} << 20;
    // listen only.
    AddressValidation address_validation = AddressValidation::when_busy;
    // listen only: the key of our stateless reset tokens (RFC 9000, 10.3), 32 bytes or more, or
    // none. With the same secret key after a crash, and on the same port, the clients of the dead
    // process learn at once that their connections are gone; without one, from their idle timeout.
    // Never the same on two servers that receive each other's packets.
    Bytes reset_key{};
    // listen only: where clients shall go once they are established (RFC 9000, 9.6), one for each
    // family, with the port; they are told, ask whether it answers, and go there if it does. They
    // have to be addresses of this machine, and the Listener takes packets there as well; for
    // servers that many reach by one address (anycast) and that answer by one of their own. Family
    // none: nowhere.
    Address preferred_v4{};
    Address preferred_v6{};
    // initiate only: go there. What only a network of their own reaches is not believed of servers
    // outside of such a network. False: stay.
    bool take_preferred = true;

    bool operator==(const QuicOptions&) const = default;
};

}  // namespace post
