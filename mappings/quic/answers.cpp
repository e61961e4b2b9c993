// What the endpoint says without a connection. Whoever asks may do so in somebody else's name, so
// every answer is shorter than its question, and all but Retry, which holds no more than the
// question itself brings, have a rate (ATTACKS A18, A19).

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "mappings/quic/convert.hpp"
#include "mappings/quic/endpoint.hpp"

namespace post::quic {

namespace {

// RFC 9000, 10.3: a packet of 43 bytes or more is answered with 42, which looks like a short packet
// and is too short to be answered in its turn: two endpoints that have forgotten everything do not
// keep each other busy.
constexpr std::size_t least_question = 43;
constexpr std::size_t reset_size = 42;

std::uint8_t* bytes_of(std::span<std::byte> space) {
    return reinterpret_cast<std::uint8_t*>(space.data());
}

}  // namespace

// RFC 9000, 6.1.
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
    std::array<std::uint32_t, 3> versions{reserved};
    std::size_t count = 1;
    for (auto version : options_.versions)
        if (count < versions.size()) versions[count++] = static_cast<std::uint32_t>(version);
    auto size = ngtcp2_pkt_write_version_negotiation(
        reinterpret_cast<std::uint8_t*>(answer.data()), std::min(answer.size(), front.size()),
        noise[0], ids.scid, ids.scidlen, ids.dcid, ids.dcidlen, versions.data(), count);
    if (size <= 0) return Nothing{run.count()};
    return Answer{static_cast<std::size_t>(size), 1};
}

// RFC 9000, 8.1.2. Nothing is kept: what the client must not forge is sealed into the token.
Endpoint::Routed Endpoint::retry(Instant now, const Datagrams& run, const Initial& initial,
                                 std::span<std::byte> answer) {
    auto chosen = random_id();
    AddressTokens::RetryIds ids{initial.version, initial.destination, chosen};
    auto token = tokens_.make_retry(now, run.remote, ids, options_.random);
    auto source = to_native(chosen);
    auto original = to_native(initial.destination);
    auto client = to_native(initial.source);
    if (token.size == 0 || chosen == initial.destination) return Nothing{run.count()};
    auto size = ngtcp2_crypto_write_retry(
        bytes_of(answer), std::min(answer.size(), run.front().size()), initial.version, &client,
        &source, &original, token.bytes.data(), token.size);
    if (size <= 0) return Nothing{run.count()};
    return Answer{static_cast<std::size_t>(size), run.count()};
}

std::size_t Endpoint::ask_again(Instant now, const Datagrams& first, std::span<std::byte> answer) {
    if (!std::exchange(begun_amid_, false)) return 0;
    ngtcp2_pkt_hd header;
    const auto front = first.front();
    const auto* data = reinterpret_cast<const std::uint8_t*>(front.data());
    if (ngtcp2_accept(&header, data, front.size()) != 0) return 0;
    const Initial initial{header.version, to_id(header.dcid), to_id(header.scid)};
    const auto routed = retry(now, first, initial, answer);
    const auto* said = std::get_if<Answer>(&routed);
    return said ? said->size : 0;
}

// RFC 9000, 8.1.3: a client takes one Retry only, so there is nothing else to be done for it.
Endpoint::Routed Endpoint::refuse_token(Instant now, const Datagrams& run, const Initial& initial,
                                        std::span<std::byte> answer) {
    if (!refusals_.take(now)) return Nothing{run.count()};
    auto client = to_native(initial.source);
    auto destination = to_native(initial.destination);
    auto size = ngtcp2_crypto_write_connection_close(
        bytes_of(answer), std::min(answer.size(), run.front().size()), initial.version, &client,
        &destination, NGTCP2_INVALID_TOKEN, nullptr, 0);
    if (size <= 0) return Nothing{run.count()};
    return Answer{static_cast<std::size_t>(size), run.count()};
}

// RFC 9000, 10.3. A packet for an id of ours that leads nowhere: of a connection that we have
// forgotten, perhaps with a former life of this process.
Endpoint::Routed Endpoint::reset(Instant now, const Datagrams& run, const ConnectionId& id,
                                 std::span<std::byte> answer) {
    if (run.front().size() < least_question || answer.size() < reset_size || !resets_.take(now))
        return Nothing{run.count()};
    std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN> token;
    reset_token(id, token);
    auto packet = answer.first(reset_size);
    options_.random(packet.first(reset_size - token.size()));
    // The two bits that a short header begins with.
    packet[0] = (packet[0] & std::byte{0x3f}) | std::byte{0x40};
    std::memcpy(packet.last(token.size()).data(), token.data(), token.size());
    return Answer{reset_size, run.count()};
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

}  // namespace post::quic
