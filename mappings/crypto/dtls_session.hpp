// DtlsSession: one DTLS 1.2 session (RFC 6347) that knows no socket and no clock. Datagrams go in,
// their content comes out, and what the handshake has to say is polled; application data is sealed
// into the caller's memory. SCTP runs over it (RFC 8261).
//
//   start(now)            the client's first flight
//   handle_input          a datagram from the peer     -> content, a step of the handshake
//   handle_timeout        at deadline(), or later      -> the last flight once more
//   poll_datagram         after each of those, and after close()
//
// The handshake is GnuTLS's. It is told to send a flight again by handle_timeout alone, so that it
// depends on nothing but `now`. When it is complete GnuTLS's session goes, and what stays are the
// keys.
//
// Who can write to the path can end a handshake of DTLS 1.2, but not with an alert alone: one that
// is not authenticated is only believed when nothing else of the handshake comes for 1.5 s. Later,
// what is not authentic is dropped, and counted.
//
// RFC 6347, 4.2.4: not done is renegotiation, since nobody asks for it who means well. RFC 6347,
// 4.2.8: a ClientHello in a session that is complete is dropped; whether the peer began anew is for
// the owner of the port to find out (DtlsCookies).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <post/bytes.hpp>
#include <post/function.hpp>
#include <post/time.hpp>

#include "mappings/crypto/dtls_exporter.hpp"
#include "mappings/crypto/dtls_flights.hpp"
#include "mappings/crypto/dtls_handshake.hpp"
#include "mappings/crypto/dtls_record.hpp"
#include "mappings/crypto/verification.hpp"

namespace post::crypto {

class DtlsSession {
public:
    // Throws Failure when an option is out of its range, or the machine cannot.
    DtlsSession(CredentialStore& store, const ClientSecurity& security, const DtlsOptions& options);
    // `verified`: from DtlsCookies; the datagram that it came with is the session's first input.
    // Nothing: the server is sure of the client's address.
    DtlsSession(CredentialStore& store, const ServerSecurity& security, const DtlsOptions& options,
                const std::optional<DtlsPrestate>& verified = {});
    DtlsSession(const DtlsSession&) = delete;
    DtlsSession& operator=(const DtlsSession&) = delete;

    enum class Progress : std::uint8_t {
        waiting,   // the handshake is on its way
        complete,  // the peer is who it must be
        closed,    // in good order, by the peer or by close()
        failed,    // error() has the reason
    };
    using Sink = Function<void(std::span<std::byte>)>;

    void start(Instant now);
    // One datagram with one or several records. The content of each is written to the front of
    // `room` and given to `sink`, which may not call the session; as much room as the datagram is
    // long always suffices. An end of the session comes after the content before it.
    Progress handle_input(Instant now, std::span<const std::byte> datagram,
                          std::span<std::byte> room, Sink& sink);
    void handle_timeout(Instant now);
    // When to call handle_timeout; `never` without a handshake. How long a handshake may take
    // altogether is the caller's to say.
    Instant deadline() const { return handshake_ ? handshake_->deadline() : never; }
    // A datagram of the handshake or an alert; empty when there is none.
    std::vector<std::byte> poll_datagram() { return flights_.poll(); }

    // Once complete: writes a record to `out` and returns its size. 0 when `plain` is longer than
    // data_mtu() or `out` too short for it, when the session is not complete, or when it has sent
    // all records that it may (2^48). `plain` may stand data_offset() bytes into `out`.
    std::size_t seal(std::span<const std::byte> plain, std::span<std::byte> out);
    std::size_t data_offset() const { return keys_ ? keys_->prefix() : 0; }
    std::size_t data_mtu() const;  // 0 until complete
    std::size_t mtu() const { return mtu_; }
    // Throws Failure when it is out of its range.
    void set_mtu(std::size_t mtu);

    // Ends the session and queues a close_notify.
    void close();

    Progress progress() const { return progress_; }
    // Why it failed, and the alert that the peer is told, if it is told one.
    const Error& error() const { return error_; }
    std::uint8_t alert() const { return verification_.alert(); }
    // Of a handshake that waits: what somebody said, perhaps the peer, about why it is in vain.
    Error rumour() const { return handshake_ ? handshake_->rumour() : Error(); }
    // Records that were not for us: damaged, forged, repeated, or too late.
    std::uint64_t dropped() const { return dropped_ + (handshake_ ? handshake_->dropped() : 0); }

    // Once complete.
    const std::string& alpn() const { return alpn_; }
    const Bytes& peer_certificate() const { return peer_certificate_; }  // DER; empty: none shown
    // Without certificates: it goes on where an earlier one was (ClientSecurity::session).
    bool resumed() const { return verification_.tickets().resumed(); }
    // A client's: what the server gave.
    std::vector<SessionTicket> take_tickets() { return verification_.tickets().take(); }
    // RFC 5705; the same at both ends, and at no other session (RFC 7627 is required).
    std::vector<std::byte> exporter(std::string_view label,
                                    std::optional<std::span<const std::byte>> context,
                                    std::size_t size) const;

    bool shows_identity() const { return verification_.shows_identity(); }

private:
    std::vector<std::vector<std::byte>> end_handshake();
    void handle_protected(const DtlsRecord& record, std::span<std::byte> room, Sink& sink);
    void handle_alert(std::span<const std::byte> alert);
    void handle_message(std::span<const std::byte> message);
    void send(DtlsType type, std::span<const std::byte> content);
    void send_alert(std::uint8_t level, std::uint8_t number);
    void send_last_flight();
    void send_plain(DtlsType type, std::span<const std::byte> content);

    Verification verification_;
    std::unique_ptr<DtlsHandshake> handshake_;  // until it is over
    std::optional<DtlsKeys> keys_;              // from then on, if it is complete
    std::optional<DtlsExporter> exporter_;
    DtlsFlights flights_;
    std::string alpn_;
    Bytes peer_certificate_;
    Error error_;
    std::size_t mtu_;
    std::uint64_t dropped_ = 0;
    // What who spoke last repeats for a peer that has not heard it: NewSessionTicket where there is
    // one, ChangeCipherSpec and Finished.
    std::vector<std::byte> ticket_;
    std::array<std::byte, 24> finished_{};
    std::uint64_t next_plain_ = 0;  // sequence of our next record of epoch 0
    Progress progress_ = Progress::waiting;
    const PacketProtection& protection_;
};

}  // namespace post::crypto
