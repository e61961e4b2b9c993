// The endpoint: routing, ids, and how connections begin.
#include "mappings/quic/endpoint.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include <ngtcp2/ngtcp2.h>

#include "mappings/quic/connection.hpp"
#include "mappings/quic/convert.hpp"

namespace post::quic {

namespace {

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

// RFC 9000, 10.3  stateless reset { fixed and unpredictable bits (38..), token (128) }
std::optional<ConnectionId> reset_token_in(std::span<const std::byte> datagram) {
    constexpr std::size_t size = NGTCP2_STATELESS_RESET_TOKENLEN;
    if (datagram.size() < 5 + size) return std::nullopt;
    return ConnectionId(datagram.last(size).data(), size);
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

// One that lasts as long as this endpoint, if none was given that outlives it.
Bytes reset_key(EndpointOptions& options) {
    if (!options.reset_key.empty()) return options.reset_key;
    std::array<std::byte, 32> random;
    options.random(random);
    return Bytes(std::span<const std::byte>(random));
}

}  // namespace

Endpoint::Endpoint(EndpointOptions options)
    : options_(std::move(options)),
      protection_(options_.substitute ? *options_.substitute
                                      : crypto::packet_protection(options_.protection)),
      routes_(table_key(options_)),
      reset_tokens_(table_key(options_)),
      reset_hash_(reset_key(options_).span()) {}

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
    if (is_long(run.front())) return route_unknown(now, run.first(datagrams), answer);
    // RFC 9000, 10.3.1: only the end of a stateless reset says whose it is.
    if (auto token = reset_token_in(run.front()))
        if (auto transient = reset_tokens_.find(*token)) return ToConnection{*transient, 1};
    auto index = context_index_of(destination);
    if (index && *index != options_.context_index) {
        if (*index >= options_.contexts) return Nothing{datagrams};
        return Elsewhere{*index, datagrams};
    }
    return reset(now, run.first(datagrams), id, answer);
}

Endpoint::Routed Endpoint::route_unknown(Instant now, const Datagrams& run,
                                         std::span<std::byte> answer) {
    auto front = run.front();
    if (options_.versions.empty() || front.size() < least_initial) return Nothing{run.count()};
    ngtcp2_version_cid version{};
    const auto* data = reinterpret_cast<const std::uint8_t*>(front.data());
    int code = ngtcp2_pkt_decode_version_cid(&version, data, front.size(), our_id_size);
    if (code == NGTCP2_ERR_VERSION_NEGOTIATION || (code == 0 && !speaks(version.version)))
        return negotiate_version(now, run, answer);
    if (code != 0) return Nothing{run.count()};
    ngtcp2_pkt_hd header;
    if (ngtcp2_accept(&header, data, front.size()) != 0) return Nothing{run.count()};
    if (half_open_ >= options_.most_half_open) return Nothing{run.count()};
    Initial initial{header.version, to_id(header.dcid), to_id(header.scid)};
    auto proof = tokens_.verify(now, run.remote, initial.version, initial.destination,
                                std::span(header.token, header.tokenlen), options_.random);
    using Kind = AddressProof::Kind;
    if (proof.kind == Kind::refused) return refuse_token(now, run, initial, answer);
    if (proof.kind == Kind::none && half_open_ >= options_.validate_from)
        return retry(now, run, initial, answer);
    return NewClient{run.count(), proof};
}

bool Endpoint::speaks(std::uint32_t version) const {
    return std::any_of(options_.versions.begin(), options_.versions.end(), [&](QuicVersion ours) {
        return static_cast<std::uint32_t>(ours) == version;
    });
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
        auto id = random_id();
        if (routes_.add(id, transient)) return id;
    }
}

ConnectionId Endpoint::random_id() {
    std::array<std::byte, our_id_size> bytes;
    options_.random(bytes);
    bytes[0] = static_cast<std::byte>(options_.context_index >> 8);
    bytes[1] = static_cast<std::byte>(options_.context_index & 0xff);
    return {bytes.data(), bytes.size()};
}

void Endpoint::reset_token(const ConnectionId& id, std::span<std::uint8_t, 16> token) const {
    const auto digest = reset_hash_(std::span(id.bytes).first(id.size));
    std::memcpy(token.data(), digest.data(), token.size());
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
                                                  const Datagrams& first,
                                                  const AddressProof& proof) {
    begun_amid_ = false;
    if (options.alpn.empty() || !options.security.identity)
        return Error(Errc::invalid_argument, {}, Stage::call, "no ALPN token, or no identity");
    if (half_open_ >= options_.most_half_open) return Errc::too_many;
    auto connection = std::make_unique<Connection>(*this, transient, Role::server,
                                                   options.transport, now);
    if (auto started = connection->accept(options, first, proof); !started) return started.error();
    connection->handle_input(now, first);
    begun_amid_ = connection->begun_amid() && connection->heard_peer();
    if (begun_amid_) return Errc::protocol_violation;
    // Nothing in it could be opened: it only looked like a client's first packet (ATTACKS A2).
    if (!connection->heard_peer()) return Errc::protocol_violation;
    return std::unique_ptr<Mapping>(std::move(connection));
}

bool Endpoint::can_log() { return NGTCP2_VERSION_NUM >= 0x011601; }

void Endpoint::log(const std::string& file, std::span<const std::byte> bytes) {
    if (logs_.empty() || logs_.back().file != file) logs_.push_back({file, {}});
    auto& all = logs_.back().bytes;
    all.insert(all.end(), bytes.begin(), bytes.end());
}

}  // namespace post::quic
