// The handshake: what enters it, what it sends and when, and how it ends.
#include "mappings/crypto/dtls_handshake.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>

#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>

#include "mappings/crypto/handles.hpp"
#include "mappings/wire/reader.hpp"

namespace post::crypto {

namespace {

using namespace std::chrono_literals;

constexpr Duration longest_wait = 60s;  // RFC 6347, 4.2.4.1
// OpenSSL and GnuTLS repeat a flight after 1 s, which gives the lie to a forged alert.
constexpr Duration rumour_stands_for = 1500ms;
constexpr std::size_t most_early = 8;
// RFC 6347, 4.1.1.1: what to fall back to when nothing comes back; 576 - 20 (IPv4) - 8 (UDP).
constexpr std::size_t safe_mtu = 548;
constexpr unsigned timeouts_until_safe_mtu = 2;

}  // namespace

// What GnuTLS calls. They take and give, and nothing else.
struct DtlsHandshake::Hooks {
    static ssize_t pull(gnutls_transport_ptr_t pointer, void* data, std::size_t size) {
        auto* self = static_cast<DtlsHandshake*>(pointer);
        if (self->input_.empty()) {
            gnutls_transport_set_errno(self->native_, EAGAIN);
            return -1;
        }
        const auto taken = std::exchange(self->input_, {});
        size = std::min(size, taken.size());
        std::copy_n(taken.begin(), size, static_cast<std::byte*>(data));
        return static_cast<ssize_t>(size);
    }

    static int pull_timeout(gnutls_transport_ptr_t pointer, unsigned) {
        return static_cast<DtlsHandshake*>(pointer)->input_.empty() ? 0 : 1;
    }

    static ssize_t push(gnutls_transport_ptr_t pointer, const void* data, std::size_t size) {
        static_cast<DtlsHandshake*>(pointer)->on_output(
            {static_cast<const std::byte*>(data), size});
        return static_cast<ssize_t>(size);
    }

    static int message(gnutls_session_t session, unsigned type, unsigned, unsigned incoming,
                       const gnutls_datum_t* body) {
        auto* self = static_cast<DtlsHandshake*>(gnutls_session_get_ptr(session));
        if (incoming == 0) self->on_message(static_cast<std::uint8_t>(type), bytes_of(*body));
        return self->verification_.tickets().on_message(type, 0, incoming != 0, bytes_of(*body));
    }
};

DtlsHandshake::DtlsHandshake(CredentialStore& store, Cipher cipher, const DtlsOptions& options,
                             Verification& verification, DtlsFlights& out)
    : verification_(verification),
      out_(out),
      first_wait_(options.retransmit_after),
      wait_(options.retransmit_after),
      mtu_(options.mtu),
      alpn_optional_(options.alpn_optional || options.alpn.empty()) {
    must(gnutls_init(&native_, (verification.server() ? GNUTLS_SERVER : GNUTLS_CLIENT) |
                                   GNUTLS_DATAGRAM | GNUTLS_NONBLOCK |
                                   (verification.resumes(options.srtp) ? 0U : GNUTLS_NO_TICKETS)),
         "DTLS session");
    Owned<gnutls_session_t, gnutls_deinit> guard(native_);
    must(gnutls_priority_set(native_, store.priority(cipher, TlsProtocol::dtls_1_2)),
         "DTLS priorities");
    gnutls_handshake_set_max_packet_length(native_, largest_handshake_message);
    verification_.equip(native_, options.alpn, TlsProtocol::dtls_1_2);
    if (options.srtp)
        must(gnutls_srtp_set_profile(native_, GNUTLS_SRTP_AES128_CM_HMAC_SHA1_80), "SRTP profile");

    gnutls_session_set_ptr(native_, this);
    gnutls_transport_set_ptr(native_, this);
    gnutls_transport_set_pull_function(native_, Hooks::pull);
    gnutls_transport_set_pull_timeout_function(native_, Hooks::pull_timeout);
    gnutls_transport_set_push_function(native_, Hooks::push);
    gnutls_handshake_set_hook_function(native_, static_cast<unsigned>(GNUTLS_HANDSHAKE_ANY),
                                       GNUTLS_HOOK_PRE, Hooks::message);
    // By its own clock a flight is due at once, and the handshake never late.
    gnutls_dtls_set_timeouts(native_, 0, std::numeric_limits<int>::max());
    gnutls_dtls_set_mtu(native_, static_cast<unsigned>(mtu_));
    (void)guard.release();
}

DtlsHandshake::~DtlsHandshake() { gnutls_deinit(native_); }

void DtlsHandshake::resume_from(const DtlsPrestate& prestate) {
    messages_.begin_at(prestate.read_message);
    gnutls_dtls_prestate_st native{.record_seq = prestate.record_sequence,
                                   .hsk_read_seq = prestate.read_message,
                                   .hsk_write_seq = prestate.write_message};
    gnutls_dtls_prestate_set(native_, &native);
}

bool DtlsHandshake::start(Instant now) {
    now_ = now;
    return step();
}

bool DtlsHandshake::handle_record(Instant now, const DtlsRecord& record) {
    now_ = now;
    if (record.epoch == 0 && record.type == DtlsType::alert) {
        handle_rumour(now, record);
        return true;
    }
    if (record.epoch == 0) return handle_plain(record) && feed_early();
    if (record.epoch > DtlsKeys::epoch) {
        ++dropped_;
        return true;
    }
    if (record.type == DtlsType::application_data || !reads_protected()) {
        if (early_.size() < most_early)
            early_.emplace_back(record.whole.begin(), record.whole.end());
        else
            ++dropped_;
        return true;
    }
    heard();
    return feed(record.whole);
}

bool DtlsHandshake::handle_timeout(Instant now) {
    now_ = now;
    if (now >= believe_at_) {
        error_ = std::move(rumour_);
        return false;
    }
    if (now < resend_at_) return true;
    wait_ = std::min(2 * wait_, longest_wait);
    resend_at_ = now + wait_;
    // A ClientHello with a ticket would be in two then, which a server drops (DtlsCookies).
    const bool in_one = verification_.tickets().offered() && !reads_protected();
    if (++timeouts_ == timeouts_until_safe_mtu && !in_one) set_mtu(std::min(mtu_, safe_mtu));
    due_ = true;
    const bool goes_on = step();
    due_ = false;
    return goes_on;
}

Instant DtlsHandshake::deadline() const { return std::min(resend_at_, believe_at_); }

void DtlsHandshake::set_mtu(std::size_t mtu) {
    mtu_ = mtu;
    gnutls_dtls_set_mtu(native_, static_cast<unsigned>(mtu));
}

void DtlsHandshake::send_alert(bool fatal, std::uint8_t alert) {
    gnutls_alert_send(native_, fatal ? GNUTLS_AL_FATAL : GNUTLS_AL_WARNING,
                      static_cast<gnutls_alert_description_t>(alert));
}

std::uint64_t DtlsHandshake::dropped() const {
    return dropped_ + gnutls_record_get_discarded(native_);
}

bool DtlsHandshake::handle_plain(const DtlsRecord& record) {
    if (record.type == DtlsType::change_cipher_spec && record.fragment.size() == 1 &&
        record.fragment[0] == std::byte{1}) {
        heard();
        return feed_plain(record.type, record.fragment);
    }
    wire::Reader reader(record.fragment);
    bool useful = record.type == DtlsType::handshake && !reader.empty();
    while (useful && !reader.empty()) {
        const auto fragment = DtlsFragment::read(reader);
        useful = fragment && fragment->type != GNUTLS_HANDSHAKE_HELLO_REQUEST &&
                 messages_.add(*fragment);
    }
    if (!useful) ++dropped_;
    while (const auto message = messages_.next()) {
        heard();
        if (!feed_message(*message)) return false;
    }
    return true;
}

// Something of the handshake came: the peer has not given it up.
void DtlsHandshake::heard() {
    rumour_ = {};
    believe_at_ = never;
}

bool DtlsHandshake::feed_message(const DtlsMessages::Message& message) {
    constexpr std::size_t most = largest_dtls_fragment - DtlsFragment::header_size;
    const auto all = std::span<const std::byte>(message.bytes);
    std::size_t offset = 0;
    do {
        const auto part = all.subspan(offset, std::min(most, all.size() - offset));
        const DtlsFragment fragment{message.type, message.sequence,
                                    static_cast<std::uint32_t>(all.size()),
                                    static_cast<std::uint32_t>(offset), part};
        if (!feed_plain(DtlsType::handshake, fragment.written())) return false;
        offset += part.size();
    } while (offset < all.size());
    return true;
}

// In a record of its own, numbered anew, for a message may come from several.
bool DtlsHandshake::feed_plain(DtlsType type, std::span<const std::byte> content) {
    std::vector<std::byte> record(dtls_header_size + content.size());
    put_header(record, {.type = type, .sequence = next_fed_++}, content.size());
    std::copy(content.begin(), content.end(), record.begin() + dtls_header_size);
    return feed(record);
}

// RFC 6347, 4.1.2.7, and 4.2.8: anybody can write an alert that is not protected.
void DtlsHandshake::handle_rumour(Instant now, const DtlsRecord& record) {
    ++dropped_;
    const bool fatal = record.fragment.size() == 2 &&
                       record.fragment[0] == std::byte{GNUTLS_AL_FATAL};
    if (!fatal || believe_at_ != never || reads_protected()) return;
    rumour_ = error_of_alert(std::to_integer<std::uint8_t>(record.fragment[1]),
                             verification_.server());
    believe_at_ = now + rumour_stands_for;
}

bool DtlsHandshake::feed(std::span<const std::byte> record) {
    // It may stop to write before it reads, and comes back for the record.
    constexpr int most_steps = 3;
    input_ = record;
    bool goes_on = true;
    for (int i = 0; i < most_steps && goes_on && !input_.empty(); ++i) goes_on = step();
    if (!input_.empty()) ++dropped_;
    input_ = {};
    return goes_on;
}

// What overtook the ChangeCipherSpec before it.
bool DtlsHandshake::feed_early() {
    if (early_.empty() || !reads_protected()) return true;
    for (const auto& bytes : std::exchange(early_, {})) {
        std::span<const std::byte> rest(bytes);
        const auto record = next_record(rest);
        if (record && record->type == DtlsType::application_data)
            early_.push_back(bytes);
        else if (!feed(bytes))
            return false;
    }
    return true;
}

bool DtlsHandshake::step() {
    fresh_ = false;
    muted_ = false;
    first_of_flight_.reset();
    return finish(gnutls_handshake(native_));
}

bool DtlsHandshake::reads_protected() const {
    gnutls_datum_t key{};
    return gnutls_record_get_state(native_, 1, nullptr, nullptr, &key, nullptr) >= 0 &&
           key.size > 0;
}

void DtlsHandshake::on_message(std::uint8_t type, std::span<const std::byte> body) {
    fresh_ = true;
    muted_ = false;
    first_of_flight_.reset();
    timeouts_ = 0;
    wait_ = first_wait_;
    DtlsFragment whole{type, next_message_, static_cast<std::uint32_t>(body.size()), 0, body};
    if (type == GNUTLS_HANDSHAKE_NEW_SESSION_TICKET) ticket_ = whole.written();
    if (type != GNUTLS_HANDSHAKE_FINISHED ||
        body.size() + DtlsFragment::header_size != finished_.size())
        return;
    // Both are made before either is sent.
    if (!ticket_.empty()) ++whole.sequence;
    std::ranges::copy(whole.written(), finished_.begin());
}

void DtlsHandshake::on_output(std::span<const std::byte> bytes) {
    while (const auto record = next_record(bytes)) {
        auto& next = record->epoch == 0 ? next_plain_ : next_protected_;
        next = std::max(next, record->sequence + 1);
        if (passes(*record)) out_.add(record->whole, mtu_);
    }
}

bool DtlsHandshake::passes(const DtlsRecord& record) {
    if (record.type == DtlsType::alert) return true;
    if (record.epoch == 0 && record.type == DtlsType::handshake) {
        wire::Reader reader(record.fragment);
        if (const auto fragment = DtlsFragment::read(reader)) {
            next_message_ = std::max<std::uint16_t>(
                next_message_, static_cast<std::uint16_t>(fragment->sequence + 1));
            // A client's last flight is sent twice by one step, for GnuTLS finds it due at once.
            const auto key = std::uint64_t{fragment->sequence} << 32 | fragment->offset;
            if (first_of_flight_ == key) muted_ = true;
            if (!first_of_flight_) first_of_flight_ = key;
        }
    }
    if (muted_ || (!fresh_ && !due_)) return false;
    if (fresh_) resend_at_ = now_ + wait_;
    return true;
}

bool DtlsHandshake::finish(int code) {
    if (code >= 0) {
        if (!alpn_optional_) verification_.check_alpn();
        if (gnutls_session_ext_master_secret_status(native_) == 0)
            verification_.refuse(Errc::handshake_failed, GNUTLS_A_HANDSHAKE_FAILURE,
                                 GNUTLS_E_INSUFFICIENT_SECURITY,
                                 "the peer has no extended master secret (RFC 7627)");
        complete_ = !verification_.failed();
        if (complete_) verification_.tickets().note_resumed();
        if (complete_) verification_.tickets().collect();
    } else if (gnutls_error_is_fatal(code) == 0) {
        return true;
    } else if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        error_ = error_of_alert(static_cast<std::uint8_t>(gnutls_alert_get(native_)),
                                verification_.server());
    } else {
        verification_.explain(code);
    }
    resend_at_ = never;
    if (verification_.failed()) send_alert(true, verification_.alert());
    return false;
}

}  // namespace post::crypto
