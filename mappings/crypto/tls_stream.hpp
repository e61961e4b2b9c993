// TlsStream: one TLS 1.3 session over a byte stream (RFC 8446) that knows no socket and no clock.
// Bytes go in, the content of records comes out, and what the session itself has to say is taken
// before anything that is sealed. The handshake is TlsSession's, as for QUIC; the records are here.
//
//   start                 the client's first message
//   handle_input          bytes from the peer        -> content, a step of the handshake
//   take_output           after each of those, and after close() or refuse()
//   seal                  content -> a record, where it stands
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <post/bytes.hpp>
#include <post/function.hpp>

#include "mappings/crypto/tls_record.hpp"
#include "mappings/crypto/tls_session.hpp"

namespace post::crypto {

class TlsStream {
public:
    // Throws Failure when the machine cannot.
    TlsStream(CredentialStore& store, const ClientSecurity& security,
              const std::vector<std::string>& alpn, const PacketProtection& protection);
    TlsStream(CredentialStore& store, const ServerSecurity& security,
              const std::vector<std::string>& alpn, const PacketProtection& protection);
    TlsStream(const TlsStream&) = delete;
    TlsStream& operator=(const TlsStream&) = delete;

    enum class Progress : std::uint8_t {
        waiting,   // the handshake is on its way
        complete,  // the peer is who it must be
        closed,    // the peer will send nothing more, and said so (close_notify)
        failed,    // error() has the reason
    };
    // Given the content of a record, which it may keep no longer than its call. False: it wants no
    // more of this input, and handle_input returns.
    using Sink = Function<bool(std::span<const std::byte>)>;

    void start();
    // `room` is where records are opened: largest_tls_fragment bytes.
    Progress handle_input(std::span<const std::byte> bytes, std::span<std::byte> room, Sink& sink);

    // Moves bytes for the peer to the front of `out`; how many. They go before what is sealed
    // later.
    std::size_t take_output(std::span<std::byte> out);
    bool has_output() const { return taken_ < output_.size(); }

    // Our keys for content are there: for a server before the client has proved itself.
    bool can_seal() const { return write_.has_value() && progress_ != Progress::failed; }
    // The content, at most largest_tls_content bytes of it, stands tls_header_size bytes into
    // `space`, which has tls_overhead more than that. Makes a record of it; how long it is.
    std::size_t seal(std::span<std::byte> space, std::size_t size);

    // A client's, until something is heard of the server: what is sealed now is early data (RFC
    // 8446, 2.3), in the same form.
    bool can_seal_early() const {
        return write_early_.has_value() && !heard_ && progress_ == Progress::waiting;
    }
    std::size_t seal_early(std::span<std::byte> space, std::size_t size);
    // Once complete, of a client's: the server took it.
    bool early_accepted() const { return session_.early_accepted(); }
    // A server's: what the sink is given is early data.
    bool reads_early() const;

    // Says that we send nothing more. Receiving goes on.
    void close();
    // Ends the session, and tells the peer by an alert.
    void fail(Error error, std::uint8_t alert);

    Progress progress() const { return progress_; }
    const Error& error() const { return error_; }
    // The input ended inside of a record: the stream was cut.
    bool inside_record() const { return !partial_.empty(); }
    // Something came that only the peer can have sent.
    bool authentic() const { return read_.has_value(); }
    // Once complete.
    std::string alpn() const { return session_.alpn(); }
    Bytes peer_certificate() const { return session_.peer_certificate(); }
    bool resumed() const { return session_.resumed(); }
    // For what else is derived from the handshake (continuity.hpp).
    gnutls_session_int* native() const { return session_.native(); }
    std::span<const std::byte> early_secret() const { return session_.early_secret(); }
    std::vector<SessionTicket> take_tickets() { return session_.take_tickets(); }
    bool shows_identity() const { return session_.shows_identity(); }
    // New keys for what we send from here on, and where `both` for what the peer sends, too.
    void update_keys(bool both);
    bool keys_worn() const { return write_ && write_->worn(); }

private:
    struct Hooks;

    void watch();
    bool handle_record(const TlsRecord& record, std::span<std::byte> room, Sink& sink);
    bool handle_content(const TlsKeys::Opened& opened, Sink& sink);
    bool skip_early(const TlsRecord& record);
    bool handle_handshake(std::span<const std::byte> bytes);
    bool handle_message(std::span<const std::byte> message, bool last);
    bool handle_key_update(std::span<const std::byte> body, bool last);
    bool handle_alert(std::span<const std::byte> alert);
    bool advance(std::span<const std::byte> bytes);
    bool refuse(const char* what, std::uint8_t alert);
    bool unexpected(const char* what);
    void on_message(int level, std::span<const std::byte> message);
    void on_secrets(int level, const void* receive, const void* send, std::size_t size);
    void flush();
    void write_record(TlsType type, std::span<const std::byte> content);
    void send_alert(std::uint8_t level, std::uint8_t alert);

    TlsSession session_;
    const PacketProtection& protection_;
    std::optional<TlsKeys> read_;
    std::optional<TlsKeys> write_handshake_;
    std::optional<TlsKeys> write_;  // for content
    std::optional<TlsKeys> write_early_;
    std::size_t skipped_ = 0;          // bytes of early data that was rejected
    std::vector<std::byte> partial_;   // the front of a record
    std::vector<std::byte> output_;    // of which taken_ bytes are with the caller
    std::vector<std::byte> messages_;  // of the handshake, for one record or more
    std::vector<std::byte> incoming_;  // the front of a message of the handshake
    std::size_t taken_ = 0;
    Error error_;
    int messages_level_ = 0;
    int read_level_ = 0;
    Progress progress_ = Progress::waiting;
    bool server_;
    bool closed_ = false;    // by us
    bool heard_ = false;     // a record of the handshake
    bool answered_ = false;  // an answer to a KeyUpdate waits in output_
    bool thrown_ = false;    // a hook could not do its work
};

}  // namespace post::crypto
