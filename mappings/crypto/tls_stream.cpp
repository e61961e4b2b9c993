// The session: records to GnuTLS's handshake and back, and what comes when that is over.
#include "mappings/crypto/tls_stream.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <gnutls/gnutls.h>

#include "mappings/crypto/handles.hpp"

namespace post::crypto {

namespace {

constexpr std::byte end_of_early_data{5};  // RFC 8446, 4.5
constexpr std::byte key_update{24};        // RFC 8446, 4.6.3
constexpr std::size_t message_header = 4;

constexpr const char* longer_than_tls = "a record longer than TLS has them";

std::size_t message_size(std::span<const std::byte> message) {
    std::size_t size = 0;
    for (std::size_t i = 1; i < message_header; ++i)
        size = size << 8 | std::to_integer<std::size_t>(message[i]);
    return message_header + size;
}

}  // namespace

// GnuTLS's hooks. No exception crosses C: what is thrown ends the session.
struct TlsStream::Hooks {
    static TlsStream& of(gnutls_session_t session) {
        return *static_cast<TlsStream*>(gnutls_session_get_ptr(session));
    }
    template <class Body> static int guarded(gnutls_session_t session, Body body) noexcept {
        TlsStream& self = of(session);
        try {
            body(self);
            return 0;
        } catch (...) {
            self.thrown_ = true;
            return GNUTLS_E_INTERNAL_ERROR;
        }
    }
    static int message(gnutls_session_t session, gnutls_record_encryption_level_t level,
                       gnutls_handshake_description_t type, const void* data, std::size_t size) {
        // For the eyes of middleboxes only, and we do without.
        if (type == GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC) return 0;
        return guarded(session, [&](TlsStream& self) {
            self.on_message(static_cast<int>(level), {static_cast<const std::byte*>(data), size});
        });
    }
    static int secrets(gnutls_session_t session, gnutls_record_encryption_level_t level,
                       const void* receive, const void* send, std::size_t size) {
        return guarded(session, [&](TlsStream& self) {
            self.on_secrets(static_cast<int>(level), receive, send, size);
        });
    }
    // The alert that fits is known when the handshake has failed.
    static int alert(gnutls_session_t, gnutls_record_encryption_level_t, gnutls_alert_level_t,
                     gnutls_alert_description_t) {
        return 0;
    }
};

TlsStream::TlsStream(CredentialStore& store, const ClientSecurity& security,
                     const std::vector<std::string>& alpn, const PacketProtection& protection)
    : session_(store, security, alpn, TlsSession::For::records),
      protection_(protection),
      server_(false) {
    watch();
}

TlsStream::TlsStream(CredentialStore& store, const ServerSecurity& security,
                     const std::vector<std::string>& alpn, const PacketProtection& protection)
    : session_(store, security, alpn, TlsSession::For::records),
      protection_(protection),
      server_(true) {
    watch();
}

void TlsStream::watch() {
    session_.cookie(this);
    gnutls_handshake_set_read_function(session_.native(), Hooks::message);
    gnutls_handshake_set_secret_function(session_.native(), Hooks::secrets);
    gnutls_alert_set_read_function(session_.native(), Hooks::alert);
    messages_level_ = read_level_ = GNUTLS_ENCRYPTION_LEVEL_INITIAL;
}

void TlsStream::start() { advance({}); }

// Input.

TlsStream::Progress TlsStream::handle_input(std::span<const std::byte> bytes,
                                            std::span<std::byte> room, Sink& sink) {
    TlsRecord record;
    while (progress_ == Progress::waiting || progress_ == Progress::complete) {
        if (!partial_.empty()) {
            // As much as the record at the front wants, so that what follows is read in place.
            std::size_t wanted = tls_header_size;
            if (partial_.size() >= tls_header_size)
                wanted += std::to_integer<std::size_t>(partial_[3]) << 8 |
                          std::to_integer<std::size_t>(partial_[4]);
            const auto more = bytes.first(
                std::min(bytes.size(), wanted - std::min(wanted, partial_.size())));
            partial_.insert(partial_.end(), more.begin(), more.end());
            bytes = bytes.subspan(more.size());
        }
        const bool gathered = !partial_.empty();
        std::span<const std::byte> rest = gathered ? std::span<const std::byte>(partial_) : bytes;
        const TlsFront front = next_record(rest, record);
        if (front == TlsFront::malformed) {
            unexpected("what the peer sends is not TLS");
            break;
        }
        if (front == TlsFront::too_long) {
            refuse(longer_than_tls, GNUTLS_A_RECORD_OVERFLOW);
            break;
        }
        if (front == TlsFront::incomplete) {
            if (gathered && !bytes.empty()) continue;
            if (!gathered) partial_.assign(bytes.begin(), bytes.end());
            break;
        }
        const bool more = handle_record(record, room, sink);
        if (gathered)
            partial_.clear();
        else
            bytes = rest;
        if (!more) break;
    }
    // A session at rest holds nothing.
    if (partial_.empty()) partial_ = {};
    return progress_;
}

bool TlsStream::handle_record(const TlsRecord& record, std::span<std::byte> room, Sink& sink) {
    // RFC 8446, 5: a single byte of 1 is dropped without further processing from the first
    // ClientHello until the handshake is over.
    if (record.type == TlsType::change_cipher_spec) {
        const bool known = record.fragment.size() == 1 && record.fragment[0] == std::byte{1};
        if (known && (heard_ || !server_) && progress_ == Progress::waiting) return true;
        return unexpected("a ChangeCipherSpec that nobody expects");
    }
    heard_ = true;
    // RFC 8446, 5.1 and 5.2: "An endpoint that receives a record that exceeds this length MUST
    // terminate the connection with a "record_overflow" alert."
    const std::size_t most = largest_tls_content + (read_ ? tls_trailer_size : 0);
    if (record.fragment.size() > most) return refuse(longer_than_tls, GNUTLS_A_RECORD_OVERFLOW);
    if (!read_) {
        if (record.type == TlsType::alert) return handle_alert(record.fragment);
        if (record.type == TlsType::handshake) return handle_handshake(record.fragment);
        if (skip_early(record)) return true;
        return unexpected("application data before the handshake");
    }
    // A peer that failed before it had keys says so without.
    if (record.type == TlsType::alert && progress_ == Progress::waiting &&
        read_level_ != GNUTLS_ENCRYPTION_LEVEL_APPLICATION && server_)
        return handle_alert(record.fragment);
    if (record.type != TlsType::application_data) return unexpected("a record without protection");
    const auto opened = read_->open(record, room);
    if (!opened && skip_early(record)) return true;
    if (!opened) {
        fail(Error(Errc::protocol_violation, {}, Stage::established,
                   "a record of TLS was damaged or forged on the way"),
             GNUTLS_A_BAD_RECORD_MAC);
        return false;
    }
    return handle_content(*opened, sink);
}

// RFC 8446, 4.2.10: of a client whose early data is not taken, what cannot be opened is dropped, up
// to the most that there may be.
bool TlsStream::skip_early(const TlsRecord& record) {
    constexpr std::size_t most_skipped = 2 * largest_early_data;  // with small records' overhead
    const bool rejected = server_ && session_.early_announced() && progress_ == Progress::waiting &&
                          record.type == TlsType::application_data &&
                          (!read_ || read_level_ == GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE);
    if (!rejected || record.fragment.size() > most_skipped - skipped_) return false;
    skipped_ += record.fragment.size();
    return true;
}

bool TlsStream::reads_early() const { return read_level_ == GNUTLS_ENCRYPTION_LEVEL_EARLY; }

bool TlsStream::handle_content(const TlsKeys::Opened& opened, Sink& sink) {
    // RFC 8446, 5.1: "Handshake messages MUST NOT be interleaved with other record types."
    if (!incoming_.empty() && opened.type != TlsType::handshake)
        return unexpected("a record inside a handshake message");
    switch (opened.type) {
        case TlsType::application_data:
            if (read_level_ != GNUTLS_ENCRYPTION_LEVEL_APPLICATION && !reads_early())
                return unexpected("application data inside the handshake");
            return sink(opened.content);
        case TlsType::handshake: return handle_handshake(opened.content);
        case TlsType::alert: return handle_alert(opened.content);
        case TlsType::change_cipher_spec: break;
    }
    return unexpected("a record of an unknown type");
}

// One message after the other, however records cut them: so none is longer than we bear, and none
// stands on both sides of a change of keys.
bool TlsStream::handle_handshake(std::span<const std::byte> bytes) {
    // RFC 8446, 5.1: no records of handshake messages are empty.
    if (bytes.empty()) return unexpected("an empty record of the handshake");
    incoming_.insert(incoming_.end(), bytes.begin(), bytes.end());
    std::span<const std::byte> rest = incoming_;
    while (rest.size() >= message_header) {
        const std::size_t size = message_size(rest);
        if (size > largest_handshake_message) return unexpected("a handshake message too long");
        if (rest.size() < size) break;
        const auto message = rest.first(size);
        rest = rest.subspan(size);
        const int level = read_level_;
        if (!handle_message(message, rest.empty())) return false;
        // RFC 8446, 5.1: "Handshake messages MUST NOT span key changes."
        if (read_level_ != level && !rest.empty())
            return unexpected("a handshake message on both sides of a change of keys");
    }
    incoming_.erase(incoming_.begin(), incoming_.end() - static_cast<std::ptrdiff_t>(rest.size()));
    if (incoming_.empty()) incoming_ = {};
    return true;
}

bool TlsStream::handle_message(std::span<const std::byte> message, bool last) {
    if (progress_ == Progress::complete && message[0] == key_update)
        return handle_key_update(message.subspan(message_header), last);
    return advance(message);
}

// RFC 8446, 4.6.3
bool TlsStream::handle_key_update(std::span<const std::byte> body, bool last) {
    if (body.size() != 1) return refuse("a malformed KeyUpdate", GNUTLS_A_DECODE_ERROR);
    if (body[0] > std::byte{1}) return refuse("a malformed KeyUpdate", GNUTLS_A_ILLEGAL_PARAMETER);
    if (!last) return unexpected("a handshake message on both sides of a change of keys");
    read_->update();
    // One answer is enough for all that came before it could leave.
    if (body[0] == std::byte{1} && !closed_ && !std::exchange(answered_, true)) update_keys(false);
    return true;
}

bool TlsStream::handle_alert(std::span<const std::byte> alert) {
    if (alert.size() != 2) return unexpected("a malformed alert");
    const auto number = std::to_integer<std::uint8_t>(alert[1]);
    if (number == GNUTLS_A_CLOSE_NOTIFY && progress_ == Progress::complete) {
        progress_ = Progress::closed;
        return false;
    }
    if (number == GNUTLS_A_USER_CANCELED) return true;  // a close_notify follows (RFC 8446, 6.1)
    error_ = error_of_alert(number, server_);
    if (progress_ == Progress::complete && error_ == Errc::handshake_failed)
        error_ = Error(Errc::connection_closed, error_.cause, Stage::established,
                       "the peer ended the session");
    progress_ = Progress::failed;
    return false;
}

bool TlsStream::advance(std::span<const std::byte> bytes) {
    const auto progress = session_.advance(read_level_, bytes);
    if (thrown_) throw std::bad_alloc();
    flush();
    if (progress == TlsSession::Progress::failed) {
        fail(session_.error(), session_.alert());
        return false;
    }
    if (progress == TlsSession::Progress::complete && progress_ == Progress::waiting) {
        progress_ = Progress::complete;
        write_handshake_.reset();
        write_early_.reset();
    }
    return true;
}

bool TlsStream::refuse(const char* what, std::uint8_t alert) {
    const auto stage = progress_ == Progress::waiting ? Stage::handshake : Stage::established;
    fail(Error(Errc::protocol_violation, {}, stage, what), alert);
    return false;
}

bool TlsStream::unexpected(const char* what) { return refuse(what, GNUTLS_A_UNEXPECTED_MESSAGE); }

// From GnuTLS.

void TlsStream::on_message(int level, std::span<const std::byte> message) {
    // GnuTLS calls the keys of a client's early data those of its first message.
    if (!message.empty() && message.front() == end_of_early_data)
        level = GNUTLS_ENCRYPTION_LEVEL_EARLY;
    if (level != messages_level_) flush();
    messages_level_ = level;
    messages_.insert(messages_.end(), message.begin(), message.end());
}

void TlsStream::on_secrets(int level, const void* receive, const void* send, std::size_t size) {
    const bool early = level == GNUTLS_ENCRYPTION_LEVEL_EARLY;
    const Suite* suite = suite_of(session_.native(), early);
    if (suite == nullptr) must(GNUTLS_E_UNKNOWN_CIPHER_SUITE, "cipher of the handshake");
    const auto view = [&](const void* secret) {
        return std::span(static_cast<const std::byte*>(secret), size);
    };
    if (early) session_.keep_early_secret();
    // It has one direction, and both ends are told its secret.
    if (early && !server_ && send != nullptr) write_early_.emplace(protection_, *suite, view(send));
    if (early && !server_) return;
    if (receive != nullptr) {
        read_.emplace(protection_, *suite, view(receive));
        read_level_ = level;
    }
    if (send == nullptr || early) return;
    auto& keys = level == GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE ? write_handshake_ : write_;
    keys.emplace(protection_, *suite, view(send));
}

// Output.

void TlsStream::flush() {
    for (std::span<const std::byte> rest = messages_; !rest.empty();) {
        const auto part = rest.first(std::min(rest.size(), largest_tls_content));
        write_record(TlsType::handshake, part);
        rest = rest.subspan(part.size());
    }
    messages_ = {};
}

void TlsStream::write_record(TlsType type, std::span<const std::byte> content) {
    TlsKeys* keys = nullptr;
    if (type == TlsType::handshake) {
        if (messages_level_ == GNUTLS_ENCRYPTION_LEVEL_EARLY && write_early_)
            keys = &*write_early_;  // EndOfEarlyData
        if (messages_level_ == GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE && write_handshake_)
            keys = &*write_handshake_;
        if (messages_level_ == GNUTLS_ENCRYPTION_LEVEL_APPLICATION && write_) keys = &*write_;
    } else {
        keys = write_ ? &*write_ : write_handshake_ ? &*write_handshake_ : nullptr;
    }
    const std::size_t at = output_.size();
    output_.resize(at + tls_overhead + content.size());
    const auto space = std::span(output_).subspan(at);
    std::copy(content.begin(), content.end(), space.begin() + tls_header_size);
    std::size_t size = tls_header_size + content.size();
    if (keys)
        size = keys->seal(type, space, content.size());
    else
        put_header(space, type, content.size());
    output_.resize(at + size);
}

std::size_t TlsStream::take_output(std::span<std::byte> out) {
    const std::size_t size = std::min(out.size(), output_.size() - taken_);
    std::copy_n(output_.begin() + static_cast<std::ptrdiff_t>(taken_), size, out.begin());
    taken_ += size;
    if (taken_ == output_.size()) {
        output_ = {};
        taken_ = 0;
        answered_ = false;
    }
    return size;
}

std::size_t TlsStream::seal(std::span<std::byte> space, std::size_t size) {
    return write_->seal(TlsType::application_data, space, size);
}

std::size_t TlsStream::seal_early(std::span<std::byte> space, std::size_t size) {
    return write_early_->seal(TlsType::application_data, space, size);
}

void TlsStream::update_keys(bool both) {
    if (!write_) return;
    const std::array message{key_update, std::byte{0}, std::byte{0}, std::byte{1},
                             std::byte{both ? std::uint8_t{1} : std::uint8_t{0}}};
    messages_level_ = GNUTLS_ENCRYPTION_LEVEL_APPLICATION;
    write_record(TlsType::handshake, message);
    write_->update();
}

void TlsStream::send_alert(std::uint8_t level, std::uint8_t alert) {
    write_record(TlsType::alert, std::array{std::byte{level}, std::byte{alert}});
}

void TlsStream::close() {
    if (std::exchange(closed_, true) || progress_ == Progress::failed) return;
    send_alert(GNUTLS_AL_WARNING, GNUTLS_A_CLOSE_NOTIFY);
}

void TlsStream::fail(Error error, std::uint8_t alert) {
    if (progress_ == Progress::failed) return;
    error_ = std::move(error);
    if (!closed_) send_alert(GNUTLS_AL_FATAL, alert);  // nothing follows a close_notify
    progress_ = Progress::failed;
}

}  // namespace post::crypto
