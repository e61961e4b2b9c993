// SessionTickets: resumption, as one TLS session sees it (RFC 8446, 2.2; RFC 5077). A client offers
// what an earlier session left to it, and collects what this one gives; a server opens a client's
// ticket, and sends new ones.
//
// A client's ticket leaves here in an envelope with a digest: GnuTLS trusts what it is given, and a
// damaged session can make it read anywhere. What a peer's certificates say was verified when the
// first session began; resuming proves that it is the same peer.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <post/bytes.hpp>

#include "mappings/crypto/ticket_keys.hpp"

struct gnutls_session_int;

namespace post::crypto {

// What a server takes of early data on a byte stream, bytes.
inline constexpr std::size_t largest_early_data = 16 * 1024;

// What a client keeps of a session.
struct SessionTicket {
    Bytes session;  // in its envelope
    std::chrono::seconds lifetime{};
    std::uint32_t early_data = 0;  // bytes; 0: none
};

class SessionTickets {
public:
    // From one session; a server may send as many as it likes (ATTACKS A17).
    static constexpr std::size_t most_taken = 16;
    static constexpr std::size_t largest = 8 * 1024;
    // In DTLS, bytes: the ClientHello that has it goes in one datagram (DtlsCookies).
    static constexpr std::size_t largest_in_datagram = 768;

    // Once, when the session is new. `session`: from an earlier one, or empty; what cannot be
    // resumed counts as empty.
    void begin_client(gnutls_session_int* native, const Bytes& session);
    void begin_server(gnutls_session_int* native, const ServerTickets& tickets, bool datagrams);

    // GnuTLS's hook, before and after each message of a handshake; what it answers is for GnuTLS.
    int on_message(unsigned type, unsigned after, bool incoming,
                   std::span<const std::byte> body) noexcept;
    // Once the handshake is complete. TLS 1.3: a server sends its tickets.
    void send();
    // TLS 1.2: a client takes what the handshake left.
    void collect();

    bool resumed() const { return resumed_; }
    // A client's: it asked to resume a session.
    bool offered() const { return offered_; }
    // A server's: the client said that early data follows its first message.
    bool early_announced() const { return early_; }
    void note_resumed();
    // A client's, those that came since the last call.
    std::vector<SessionTicket> take();

private:
    void read_client_hello(std::span<const std::byte> message);

    gnutls_session_int* native_ = nullptr;
    ServerTickets tickets_;
    std::optional<TicketKeys::Key> key_;    // of a server, once the client has spoken
    std::optional<TicketKeys::Name> name_;  // of the client's ticket
    std::vector<SessionTicket> taken_;
    std::chrono::seconds lifetime_{};  // of the one that is being read
    std::uint32_t early_data_ = 0;     // the same
    std::size_t count_ = 0;
    bool server_ = false;
    bool begun_ = false;
    bool datagrams_ = false;  // DTLS
    bool hello_ = false;      // the client's first message was here
    bool offered_ = false;
    bool resumed_ = false;
    bool early_ = false;
};

}  // namespace post::crypto
