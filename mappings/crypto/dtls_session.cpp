// The DTLS session: what becomes of each record once the handshake is complete.
#include "mappings/crypto/dtls_session.hpp"

#include <algorithm>

#include <gnutls/gnutls.h>

#include "mappings/wire/reader.hpp"

namespace post::crypto {

namespace {

constexpr std::size_t largest_mtu = 65507;

std::size_t checked(std::size_t mtu) {
    if (mtu < least_dtls_mtu || mtu > largest_mtu)
        throw Failure(Error(
            Errc::invalid_argument, {}, Stage::call,
            "the largest datagram of DTLS has 256 to 65507 bytes, not " + std::to_string(mtu)));
    return mtu;
}

}  // namespace

DtlsSession::DtlsSession(CredentialStore& store, const ClientSecurity& security,
                         const DtlsOptions& options)
    : verification_(store, security),
      mtu_(checked(options.mtu)),
      protection_(packet_protection(options.protection)) {
    handshake_ = std::make_unique<DtlsHandshake>(store, security.cipher, options, verification_,
                                                 flights_);
}

DtlsSession::DtlsSession(CredentialStore& store, const ServerSecurity& security,
                         const DtlsOptions& options, const std::optional<DtlsPrestate>& verified)
    : verification_(store, security),
      mtu_(checked(options.mtu)),
      protection_(packet_protection(options.protection)) {
    handshake_ = std::make_unique<DtlsHandshake>(store, security.cipher, options, verification_,
                                                 flights_);
    if (verified) handshake_->resume_from(*verified);
}

void DtlsSession::start(Instant now) {
    if (handshake_ && !handshake_->start(now)) end_handshake();
}

DtlsSession::Progress DtlsSession::handle_input(Instant now, std::span<const std::byte> datagram,
                                                std::span<std::byte> room, Sink& sink) {
    while (!datagram.empty() && (handshake_ || progress_ == Progress::complete)) {
        const auto record = next_record(datagram);
        if (!record) {
            ++dropped_;
        } else if (!handshake_) {
            handle_protected(*record, room, sink);
        } else if (!handshake_->handle_record(now, *record)) {
            for (const auto& early : end_handshake()) {
                // Longer, perhaps, than the datagram that `room` was made for.
                std::vector<std::byte> space(early.size());
                std::span<const std::byte> rest(early);
                if (auto held = next_record(rest)) handle_protected(*held, space, sink);
            }
        }
    }
    return progress_;
}

void DtlsSession::handle_timeout(Instant now) {
    if (handshake_ && now >= handshake_->deadline() && !handshake_->handle_timeout(now))
        end_handshake();
}

std::size_t DtlsSession::seal(std::span<const std::byte> plain, std::span<std::byte> out) {
    if (progress_ != Progress::complete || plain.size() > data_mtu()) return 0;
    return keys_->seal(DtlsType::application_data, plain, out);
}

std::size_t DtlsSession::data_mtu() const {
    return keys_ ? std::min(mtu_ - keys_->overhead(), largest_dtls_fragment) : 0;
}

void DtlsSession::set_mtu(std::size_t mtu) {
    mtu_ = checked(mtu);
    if (handshake_) handshake_->set_mtu(mtu);
}

void DtlsSession::close() {
    if (progress_ == Progress::complete) {
        send_alert(GNUTLS_AL_WARNING, GNUTLS_A_CLOSE_NOTIFY);
    } else if (handshake_) {
        handshake_->send_alert(true, GNUTLS_A_USER_CANCELED);
        handshake_.reset();
    } else {
        return;
    }
    progress_ = Progress::closed;
}

std::vector<std::byte> DtlsSession::exporter(std::string_view label,
                                             std::optional<std::span<const std::byte>> context,
                                             std::size_t size) const {
    return exporter_ ? exporter_->derive(label, context, size) : std::vector<std::byte>();
}

// Takes what is worth keeping of it, and gives the records that came too early.
std::vector<std::vector<std::byte>> DtlsSession::end_handshake() {
    const auto handshake = std::move(handshake_);
    dropped_ += handshake->dropped();
    if (!handshake->complete()) {
        error_ = handshake->error();
        progress_ = Progress::failed;
        return {};
    }
    keys_.emplace(handshake->native(), protection_, handshake->next_protected());
    exporter_.emplace(handshake->native());
    alpn_ = verification_.alpn();
    peer_certificate_ = verification_.peer_certificate();
    finished_ = handshake->finished();
    ticket_ = handshake->take_ticket();
    next_plain_ = handshake->next_plain();
    progress_ = Progress::complete;
    return handshake->take_early();
}

void DtlsSession::handle_protected(const DtlsRecord& record, std::span<std::byte> room,
                                   Sink& sink) {
    if (progress_ != Progress::complete) return;
    const auto content = keys_->open(record, room);
    if (!content) {
        ++dropped_;
        return;
    }
    switch (record.type) {
        case DtlsType::application_data:
            ticket_ = {};  // the peer has our last flight
            if (!content->empty()) sink(*content);
            break;
        case DtlsType::alert: handle_alert(*content); break;
        case DtlsType::handshake: handle_message(*content); break;
        case DtlsType::change_cipher_spec: ++dropped_; break;
    }
}

void DtlsSession::handle_alert(std::span<const std::byte> alert) {
    if (alert.size() != 2) {
        ++dropped_;
        return;
    }
    const auto number = std::to_integer<std::uint8_t>(alert[1]);
    if (number == GNUTLS_A_CLOSE_NOTIFY) {
        progress_ = Progress::closed;
    } else if (alert[0] == std::byte{GNUTLS_AL_FATAL}) {
        // The verdict of a peer that learned more after our handshake was over comes here as well.
        error_ = error_of_alert(number, verification_.server());
        if (error_ == Errc::handshake_failed)
            error_ = Error(Errc::connection_closed, error_.cause, Stage::established,
                           "the peer ended the session");
        progress_ = Progress::failed;
    }
}

// RFC 6347, 4.2.4: a peer that repeats its Finished has not heard ours, which was the last word of
// the handshake: the server's, or, where a session is resumed, the client's.
void DtlsSession::handle_message(std::span<const std::byte> message) {
    if (message.empty()) return;
    const auto type = std::to_integer<std::uint8_t>(message[0]);
    if (type == GNUTLS_HANDSHAKE_FINISHED) {
        if (verification_.server() != resumed()) send_last_flight();
    } else if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO || type == GNUTLS_HANDSHAKE_HELLO_REQUEST) {
        send_alert(GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
    }
}

void DtlsSession::send_last_flight() {
    wire::Reader reader(ticket_);
    if (const auto ticket = DtlsFragment::read(reader)) {
        const std::size_t most = mtu_ - dtls_header_size - DtlsFragment::header_size;
        DtlsFragment part = *ticket;
        while (part.offset < part.length) {
            part.bytes = ticket->bytes.subspan(
                part.offset, std::min<std::size_t>(most, part.length - part.offset));
            send_plain(DtlsType::handshake, part.written());
            part.offset += static_cast<std::uint32_t>(part.bytes.size());
        }
    }
    send_plain(DtlsType::change_cipher_spec, std::array{std::byte{1}});
    send(DtlsType::handshake, finished_);
}

void DtlsSession::send_plain(DtlsType type, std::span<const std::byte> content) {
    std::vector<std::byte> record(dtls_header_size + content.size());
    put_header(record, {.type = type, .sequence = next_plain_++}, content.size());
    std::copy(content.begin(), content.end(), record.begin() + dtls_header_size);
    flights_.add(record, mtu_);
}

void DtlsSession::send_alert(std::uint8_t level, std::uint8_t number) {
    send(DtlsType::alert, std::array{std::byte{level}, std::byte{number}});
}

void DtlsSession::send(DtlsType type, std::span<const std::byte> content) {
    std::array<std::byte, 128> record{};
    const auto size = keys_->seal(type, content, record);
    flights_.add(std::span(record).first(size), mtu_);
}

}  // namespace post::crypto
