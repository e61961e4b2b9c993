// The endpoint: routing, and what is answered without a connection.
#include "mappings/quic/endpoint.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "mappings/quic/connection.hpp"

namespace post::quic {

namespace {

// Marks the TransientIds that lead to a closed connection's last word instead of a connection.
constexpr std::uint64_t closed_bit = std::uint64_t{1} << 63;
// RFC 9000, 14.1: what carries a client's first packet is at least this long.
constexpr std::size_t least_initial = 1200;

bool is_long(std::span<const std::byte> datagram) {
    return (std::to_integer<unsigned>(datagram[0]) & 0x80) != 0;
}

// RFC 8999, 5.1   long header { 1, (7), version (32), dcid length (8), dcid (..), ... }
// RFC 9000, 17.3  short header { 0, (7), dcid (80 bits when it is ours), ... }
std::span<const std::byte> destination_of(std::span<const std::byte> datagram) {
    if (datagram.empty()) return {};
    if (!is_long(datagram))
        return datagram.size() <= our_id_size ? std::span<const std::byte>{}
                                              : datagram.subspan(1, our_id_size);
    if (datagram.size() < 7) return {};
    auto length = std::to_integer<std::size_t>(datagram[5]);
    if (length > ConnectionId{}.bytes.size() || datagram.size() < 6 + length) return {};
    return datagram.subspan(6, length);
}

// How many datagrams at the front of the run have the form and the destination of the first.
std::size_t count_alike(const Datagrams& run, std::span<const std::byte> destination) {
    auto front = run.front();
    auto place = static_cast<std::size_t>(destination.data() - front.data());
    std::size_t n = 1;
    for (auto count = run.count(); n < count; ++n) {
        auto next = run.after(n).front();
        if (next.size() < place + destination.size() || is_long(next) != is_long(front)) break;
        if (is_long(front) && next[5] != front[5]) break;
        if (std::memcmp(next.data() + place, destination.data(), destination.size()) != 0) break;
    }
    return n;
}

Routes::Key table_key(EndpointOptions& options) {
    Routes::Key key{};
    options.random(std::as_writable_bytes(std::span(key)));
    return key;
}

}  // namespace

Endpoint::Endpoint(EndpointOptions options)
    : options_(std::move(options)),
      credentials_(options_.cipher),
      protection_(crypto::packet_protection(options_.protection)),
      routes_(table_key(options_)) {
    options_.random(reset_secret_);
}

Endpoint::Routed Endpoint::route(Instant now, const Datagrams& run, std::span<std::byte> answer) {
    auto destination = destination_of(run.front());
    // We give out no empty ids, and RFC 9000, 7.2 wants 8 bytes of a client.
    if (destination.empty()) return Nothing{};
    auto datagrams = count_alike(run, destination);
    ConnectionId id(destination.data(), destination.size());
    if (auto transient = routes_.find(id)) {
        if ((transient->value() & closed_bit) == 0) return ToConnection{*transient, datagrams};
        if (auto routed = route_closed(now, id, run, answer, datagrams)) return *routed;
    }
    auto index = context_index_of(destination);
    bool elsewhere = index && *index != options_.context_index && !is_long(run.front());
    if (elsewhere) return Elsewhere{*index, datagrams};
    return route_unknown(now, run.first(datagrams), answer);
}

Endpoint::Routed Endpoint::route_unknown(Instant now, const Datagrams& run,
                                         std::span<std::byte> answer) {
    auto front = run.front();
    // A short header of a connection that we do not know: nothing is said (a stateless reset is
    // for those that we may have forgotten, and needs a secret that outlives the process).
    if (!is_long(front) || front.size() < least_initial) return Nothing{run.count()};
    ngtcp2_version_cid version{};
    const auto* data = reinterpret_cast<const std::uint8_t*>(front.data());
    int code = ngtcp2_pkt_decode_version_cid(&version, data, front.size(), our_id_size);
    if (code == NGTCP2_ERR_VERSION_NEGOTIATION) return negotiate_version(now, run, answer);
    if (code != 0) return Nothing{run.count()};
    ngtcp2_pkt_hd header;
    if (ngtcp2_accept(&header, data, front.size()) != 0) return Nothing{run.count()};
    if (half_open_ >= options_.most_half_open) return Nothing{run.count()};
    return NewClient{run.count()};
}

// RFC 9000, 6.1. The answer is shorter than the question and the rate is limited, so that nobody
// gains by asking in somebody else's name.
Endpoint::Routed Endpoint::negotiate_version(Instant now, const Datagrams& run,
                                             std::span<std::byte> answer) {
    auto front = run.front();
    ngtcp2_version_cid ids{};
    ngtcp2_pkt_decode_version_cid(&ids, reinterpret_cast<const std::uint8_t*>(front.data()),
                                  front.size(), our_id_size);
    if (ids.version == 0 || !negotiations_.take(now)) return Nothing{run.count()};
    std::uint8_t noise[2];
    options_.random(std::as_writable_bytes(std::span(noise)));
    // One reserved version among them keeps clients from depending on the list (RFC 9000, 15).
    std::uint32_t reserved = 0x0a0a0a0aU | static_cast<std::uint32_t>(noise[1] & 0xf0U) << 8;
    std::uint32_t versions[] = {reserved, NGTCP2_PROTO_VER_V1, NGTCP2_PROTO_VER_V2};
    auto size = ngtcp2_pkt_write_version_negotiation(
        reinterpret_cast<std::uint8_t*>(answer.data()), std::min(answer.size(), front.size()),
        noise[0], ids.scid, ids.scidlen, ids.dcid, ids.dcidlen, versions, std::size(versions));
    if (size <= 0) return Nothing{run.count()};
    return Answer{static_cast<std::size_t>(size), 1};
}

std::optional<Endpoint::Routed> Endpoint::route_closed(Instant now, const ConnectionId& id,
                                                       const Datagrams& run,
                                                       std::span<std::byte> answer,
                                                       std::size_t datagrams) {
    forget_closed(now);
    auto transient = routes_.find(id);
    if (!transient) return std::nullopt;
    auto& closed = closed_[(transient->value() & ~closed_bit) - first_closed_];
    closed.received += static_cast<std::uint32_t>(std::min<std::size_t>(datagrams, 64));
    const auto& packet = closed.word.packet;
    // To ever fewer of them, and never more than was sent to us.
    if (!std::has_single_bit(closed.received) || packet.size() > run.front().size() ||
        packet.size() > answer.size() || packet.empty())
        return Nothing{datagrams};
    std::copy(packet.begin(), packet.end(), answer.begin());
    return Answer{packet.size(), datagrams};
}

void Endpoint::remember(LastWord word) {
    if (closed_.size() == most_closed) forget_closed(never);
    auto place = TransientId{closed_bit | (first_closed_ + closed_.size())};
    for (const auto& id : word.ids) routes_.add(id, place);
    closed_.push_back({std::move(word)});
}

// Drops those whose time is over; `never` drops the oldest whatever its time.
void Endpoint::forget_closed(Instant now) {
    while (!closed_.empty() && (now == never || closed_.front().word.until <= now)) {
        for (const auto& id : closed_.front().word.ids) routes_.remove(id);
        closed_.pop_front();
        ++first_closed_;
        if (now == never) return;
    }
}

ConnectionId Endpoint::issue_id(TransientId transient) {
    for (;;) {
        std::array<std::byte, our_id_size> bytes;
        options_.random(bytes);
        bytes[0] = static_cast<std::byte>(options_.context_index >> 8);
        bytes[1] = static_cast<std::byte>(options_.context_index & 0xff);
        ConnectionId id(bytes.data(), bytes.size());
        if (routes_.add(id, transient)) return id;
    }
}

void Endpoint::reset_token(const ConnectionId& id, std::span<std::uint8_t, 16> token) const {
    ngtcp2_cid native;
    ngtcp2_cid_init(&native, id.data(), id.size);
    const auto* secret = reinterpret_cast<const std::uint8_t*>(reset_secret_.data());
    if (ngtcp2_crypto_generate_stateless_reset_token(token.data(), secret, reset_secret_.size(),
                                                     &native) != 0)
        throw Failure(Error(Errc::unsupported, {}, Stage::call, "stateless reset token: HKDF"));
}

Result<std::unique_ptr<Mapping>> Endpoint::connect(Instant now, TransientId transient,
                                                   const ConnectOptions& options) {
    if (options.alpn.empty() || options.remote.family == Address::Family::none)
        return Error(Errc::invalid_argument, {}, Stage::call, "no ALPN token, or no address");
    auto connection = std::make_unique<Connection>(*this, transient, Role::client,
                                                   options.transport, now);
    if (auto started = connection->connect(options); !started) return started.error();
    return std::unique_ptr<Mapping>(std::move(connection));
}

Result<std::unique_ptr<Mapping>> Endpoint::accept(Instant now, TransientId transient,
                                                  const AcceptOptions& options,
                                                  const Datagrams& first) {
    if (options.alpn.empty() || !options.security.identity)
        return Error(Errc::invalid_argument, {}, Stage::call, "no ALPN token, or no identity");
    if (half_open_ >= options_.most_half_open) return Errc::too_many;
    auto connection = std::make_unique<Connection>(*this, transient, Role::server,
                                                   options.transport, now);
    if (auto started = connection->accept(options, first); !started) return started.error();
    connection->handle_input(now, first);
    return std::unique_ptr<Mapping>(std::move(connection));
}

}  // namespace post::quic
