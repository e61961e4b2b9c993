// DtlsHandshake: GnuTLS's handshake of DTLS 1.2, told the time. Messages go in whole and in order,
// so that GnuTLS has no fragments to put together; flights come out.
//
// GnuTLS sends a flight again when it is asked for progress and no record is there, which is what
// handle_timeout does. What it would repeat for other reasons does not pass: the timers of the two
// ends are enough, and no peer draws more from us than it sends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <post/time.hpp>

#include "mappings/crypto/dtls_flights.hpp"
#include "mappings/crypto/dtls_messages.hpp"
#include "mappings/crypto/dtls_record.hpp"
#include "mappings/crypto/verification.hpp"

namespace post::crypto {

struct DtlsOptions {
    // What we offer or accept, best first. Empty: none is offered, and what a client offers counts
    // for nothing.
    std::vector<std::string> alpn{};
    // A peer that negotiates none is taken all the same, as plain WebRTC peers are.
    bool alpn_optional = false;
    // The largest datagram, in bytes of UDP payload: least_dtls_mtu to 65507.
    std::size_t mtu = 1200;
    // How long a flight waits for its answer at first; doubled each time. RFC 6347, 4.2.4.1, has
    // 1 s, which is long for a race.
    Duration retransmit_after = std::chrono::milliseconds(400);
    // Negotiates a profile of SRTP, which nobody uses: without one, WebRTC's endpoints end the
    // session (RFC 5764). Such a session is not resumed: GnuTLS up to 3.7.9, at least, writes past
    // its memory when it reads the SRTP extension of a kept session.
    bool srtp = true;
    // Who protects the records once the handshake is complete.
    PacketProtectionBackend protection = PacketProtectionBackend::automatic;
};

inline constexpr std::size_t least_dtls_mtu = 256;

// Where a handshake stands after the exchange of cookies.
struct DtlsPrestate {
    std::uint8_t record_sequence = 0;
    std::uint8_t read_message = 0;
    std::uint8_t write_message = 0;
};

class DtlsHandshake {
public:
    // `verification` and `out` outlive it. Throws Failure when the machine cannot.
    DtlsHandshake(CredentialStore& store, Cipher cipher, const DtlsOptions& options,
                  Verification& verification, DtlsFlights& out);
    DtlsHandshake(const DtlsHandshake&) = delete;
    DtlsHandshake& operator=(const DtlsHandshake&) = delete;
    ~DtlsHandshake();

    void resume_from(const DtlsPrestate& prestate);

    // False: it is over, complete or with an error.
    bool start(Instant now);
    bool handle_record(Instant now, const DtlsRecord& record);
    bool handle_timeout(Instant now);
    Instant deadline() const;
    void set_mtu(std::size_t mtu);
    // Tells the peer, in the protection that there is by now.
    void send_alert(bool fatal, std::uint8_t alert);

    bool complete() const { return complete_; }
    const Error& error() const { return error_ ? error_ : verification_.error(); }
    const Error& rumour() const { return rumour_; }
    std::uint64_t dropped() const;
    gnutls_session_int* native() const { return native_; }

    // Records that came before their keys, to be opened once it is complete.
    std::vector<std::vector<std::byte>> take_early() { return std::move(early_); }
    // What follows it: the sequence of our next record without and with protection, and the
    // Finished message of ours.
    std::uint64_t next_plain() const { return next_plain_; }
    std::uint64_t next_protected() const { return next_protected_; }
    const std::array<std::byte, 24>& finished() const { return finished_; }
    std::vector<std::byte> take_ticket() { return std::move(ticket_); }

private:
    struct Hooks;

    bool handle_plain(const DtlsRecord& record);
    void heard();
    bool feed_message(const DtlsMessages::Message& message);
    bool feed_plain(DtlsType type, std::span<const std::byte> content);
    void handle_rumour(Instant now, const DtlsRecord& record);
    bool feed(std::span<const std::byte> record);
    bool feed_early();
    bool step();
    bool reads_protected() const;
    void on_message(std::uint8_t type, std::span<const std::byte> body);
    void on_output(std::span<const std::byte> bytes);
    bool passes(const DtlsRecord& record);
    bool finish(int code);

    Verification& verification_;
    DtlsFlights& out_;
    gnutls_session_int* native_ = nullptr;
    std::span<const std::byte> input_;  // the record that GnuTLS may take
    DtlsMessages messages_;
    std::vector<std::vector<std::byte>> early_;
    Error error_;
    Error rumour_;
    std::array<std::byte, 24> finished_{};
    std::vector<std::byte> ticket_;  // a server's NewSessionTicket, which goes with its Finished
    std::uint64_t next_plain_ = 0;
    std::uint64_t next_protected_ = 0;
    std::uint64_t next_fed_ = 0;  // sequence of the next record for GnuTLS
    std::uint64_t dropped_ = 0;
    Instant now_{};
    Instant resend_at_ = never;
    Instant believe_at_ = never;  // the rumour
    Duration first_wait_;
    Duration wait_;
    std::size_t mtu_;
    unsigned timeouts_ = 0;  // since the last flight that was new
    std::uint16_t next_message_ = 0;
    std::optional<std::uint64_t> first_of_flight_;  // of this step
    bool alpn_optional_ = false;
    bool fresh_ = false;  // this step made a message
    bool muted_ = false;  // what follows in this step was sent in it before
    bool due_ = false;    // this step is to
    bool complete_ = false;
};

}  // namespace post::crypto
