// Tickets in and out.
#include "mappings/crypto/session_tickets.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "mappings/crypto/handles.hpp"
#include "mappings/wire/reader.hpp"

namespace post::crypto {

namespace {

constexpr std::size_t digest_size = 32;
// RFC 8446, 4.6.1: nobody keeps a ticket for longer than 7 days.
constexpr std::uint32_t longest_lifetime = 7 * 24 * 3600;

// Sessions are in a form that is of one version of GnuTLS.
std::array<std::byte, digest_size> seal(std::span<const std::byte> session) {
    std::array<std::byte, digest_size> digest{};
    const std::string version = std::string("post session 1, ") + gnutls_check_version(nullptr);
    gnutls_hash_hd_t hash = nullptr;
    must(gnutls_hash_init(&hash, GNUTLS_DIG_SHA256), "hash");
    gnutls_hash(hash, version.data(), version.size());
    gnutls_hash(hash, session.data(), session.size());
    gnutls_hash_deinit(hash, digest.data());
    return digest;
}

Bytes in_envelope(std::span<const std::byte> session) {
    const auto digest = seal(session);
    std::vector<std::byte> all(digest.begin(), digest.end());
    all.insert(all.end(), session.begin(), session.end());
    return Bytes(std::move(all));
}

// Empty, where it is not as it was made.
std::span<const std::byte> out_of_envelope(const Bytes& session) {
    if (session.size() <= digest_size) return {};
    const auto inside = session.span().subspan(digest_size);
    const auto digest = seal(inside);
    if (std::memcmp(digest.data(), session.data(), digest_size) != 0) return {};
    return inside;
}

// RFC 8446, 4.2.11   pre_shared_key { identities length (16), { length (16), ticket, age (32) }...
// RFC 5077, 3.2      session_ticket { ticket }
struct Hello {
    std::optional<TicketKeys::Name> name;
    bool srtp = false;
    bool early = false;
};

int read_extension(void* context, unsigned extension, const unsigned char* data, unsigned size) {
    constexpr unsigned use_srtp = 14;
    constexpr unsigned session_ticket = 35;
    constexpr unsigned pre_shared_key = 41;
    constexpr unsigned early_data = 42;
    auto& hello = *static_cast<Hello*>(context);
    if (extension == use_srtp) hello.srtp = true;
    if (extension == early_data) hello.early = true;
    if (extension != session_ticket && extension != pre_shared_key) return 0;
    wire::Reader reader(std::as_bytes(std::span(data, size)));
    if (extension == pre_shared_key && (!reader.u16() || !reader.u16())) return 0;
    if (const auto bytes = reader.bytes(TicketKeys::Name{}.size()))
        std::copy(bytes->begin(), bytes->end(), hello.name.emplace().begin());
    return 0;
}

// TLS 1.3:  NewSessionTicket { lifetime (32), age (32), nonce (8..), ticket (16..), extensions }
// TLS 1.2:  NewSessionTicket { lifetime (32), ticket (16..) }
std::span<const std::byte> ticket_in(std::span<const std::byte> body, bool tls_1_3) {
    wire::Reader reader(body);
    if (!reader.u32()) return {};
    if (tls_1_3) {
        if (!reader.u32()) return {};
        const auto nonce = reader.u8();
        if (!nonce || !reader.bytes(*nonce)) return {};
    }
    const auto size = reader.u16();
    if (!size) return {};
    return reader.bytes(*size).value_or(std::span<const std::byte>{});
}

// RFC 8446, 4.2.10: in a ticket of TLS 1.3, how many bytes of early data come with it; 0: none.
std::uint32_t early_data_in(std::span<const std::byte> body) {
    constexpr std::uint16_t early_data = 42;
    wire::Reader reader(body);
    if (!reader.u32() || !reader.u32()) return 0;
    const auto nonce = reader.u8();
    if (!nonce || !reader.bytes(*nonce)) return 0;
    const auto ticket = reader.u16();
    if (!ticket || !reader.bytes(*ticket) || !reader.u16()) return 0;
    for (;;) {
        const auto type = reader.u16();
        const auto size = type ? reader.u16() : std::nullopt;
        const auto content = size ? reader.bytes(*size) : std::nullopt;
        if (!content) return 0;
        if (*type == early_data) return wire::Reader(*content).u32().value_or(0);
    }
}

bool is_tls_1_3(gnutls_session_int* native) {
    return gnutls_protocol_get_version(native) == GNUTLS_TLS1_3;
}

}  // namespace

void SessionTickets::begin_client(gnutls_session_int* native, const Bytes& session) {
    native_ = native;
    begun_ = true;
    const auto inside = out_of_envelope(session);
    // What GnuTLS does not like is as good as nothing.
    offered_ = !inside.empty() &&
               gnutls_session_set_data(native_, inside.data(), inside.size()) >= 0;
}

void SessionTickets::begin_server(gnutls_session_int* native, const ServerTickets& tickets,
                                  bool datagrams) {
    native_ = native;
    datagrams_ = datagrams;
    server_ = true;
    tickets_ = tickets;
    begun_ = tickets_.keys != nullptr;
    if (begun_)
        gnutls_db_set_cache_expiration(native_, static_cast<int>(TicketKeys::lifetime.count()));
    if (begun_ && tickets_.early)
        gnutls_anti_replay_enable(native_, tickets_.keys->anti_replay(*tickets_.early));
}

int SessionTickets::on_message(unsigned type, unsigned after, bool incoming,
                               std::span<const std::byte> body) noexcept try {
    if (!begun_) return 0;
    const bool before = after == 0;
    if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO && server_ && incoming && before)
        read_client_hello(body);
    if (type != GNUTLS_HANDSHAKE_NEW_SESSION_TICKET) return 0;
    if (server_ && !incoming && before && key_) {
        const auto ticket = ticket_in(body, is_tls_1_3(native_));
        TicketKeys::Name name;
        if (ticket.size() >= name.size()) {
            std::copy_n(ticket.begin(), name.size(), name.begin());
            tickets_.keys->learn(name, *key_);
        }
    }
    if (server_ || !incoming) return 0;
    const bool fits = is_tls_1_3(native_) || body.size() <= largest_in_datagram;
    if (before) early_data_ = is_tls_1_3(native_) ? early_data_in(body) : 0;
    if (before)
        lifetime_ = std::chrono::seconds(
            fits ? std::min(wire::Reader(body).u32().value_or(0), longest_lifetime) : 0);
    else if (is_tls_1_3(native_))
        collect();
    return 0;
} catch (const std::bad_alloc&) {
    return GNUTLS_E_MEMORY_ERROR;
} catch (...) {
    return GNUTLS_E_INTERNAL_ERROR;
}

// A HelloRetryRequest brings a second one, when the key is chosen already.
void SessionTickets::read_client_hello(std::span<const std::byte> message) {
    if (std::exchange(hello_, true)) return;
    Hello hello;
    const gnutls_datum_t data{
        reinterpret_cast<unsigned char*>(const_cast<std::byte*>(message.data())),
        static_cast<unsigned>(message.size())};
    gnutls_ext_raw_parse(
        &hello, read_extension, &data,
        datagrams_ ? GNUTLS_EXT_RAW_FLAG_DTLS_CLIENT_HELLO : GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);
    early_ = hello.early;
    if (hello.srtp) return;  // DtlsOptions::srtp says why
    name_ = hello.name;
    if (hello.name) key_ = tickets_.keys->named(tickets_.scope, *hello.name);
    if (!key_) key_ = tickets_.keys->current(tickets_.scope);
    if (!key_) return;
    const gnutls_datum_t key{key_->bytes.data(), static_cast<unsigned>(key_->bytes.size())};
    must(gnutls_session_ticket_enable_server(native_, &key), "session tickets");
}

void SessionTickets::send() {
    if (!server_ || !key_ || tickets_.count == 0 || !is_tls_1_3(native_)) return;
    // A session that cannot have them goes on without.
    gnutls_session_ticket_send(native_, tickets_.count, 0);
}

void SessionTickets::collect() {
    if (server_ || !begun_ || count_ >= most_taken || lifetime_.count() == 0) return;
    Datum session;
    if (gnutls_session_get_data2(native_, &session) < 0) return;
    if (session.size == 0 || session.size + digest_size > largest) return;
    ++count_;
    taken_.push_back({in_envelope(bytes_of(session)), lifetime_, early_data_});
}

void SessionTickets::note_resumed() {
    resumed_ = gnutls_session_is_resumed(native_) != 0;
    // Another server of the fleet gave it.
    if (server_ && resumed_ && key_ && name_) tickets_.keys->learn(*name_, *key_);
}

std::vector<SessionTicket> SessionTickets::take() { return std::exchange(taken_, {}); }

}  // namespace post::crypto
