// Strangers with SCTP in UDP: an INIT, a cookie, an association.
#include "mappings/sctp/udp_endpoint.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "mappings/sctp/connection.hpp"
#include "mappings/sctp/native.hpp"
#include "mappings/sctp/packet.hpp"

namespace post::sctp {

namespace {

constexpr int backlog = 64;

std::uint32_t first_word(std::span<const std::byte> packet) { return get32(packet, 4); }

}  // namespace

UdpEndpoint::UdpEndpoint(Engine& engine, EndpointOptions options)
    : Endpoint(engine), options_(std::move(options)) {
    std::array<std::uint8_t, 2> start;
    options_.random(std::as_writable_bytes(std::span(secret_)));
    options_.random(std::as_writable_bytes(std::span(start)));
    next_port_ = static_cast<std::uint16_t>(start[0] << 8 | start[1]);
}

UdpEndpoint::~UdpEndpoint() { close(); }

void UdpEndpoint::listen(std::uint16_t port, const TransportOptions& transport) {
    const std::uint16_t internal = Engine::open_port();
    listening_ = Listening{};
    listening_->port = port;
    listening_->internal = internal;
    listening_->transport = transport;
    listening_->native = Socket::listening(
        engine(), nullptr, socket_options(transport, listening_->internal, 0), backlog);
}

void UdpEndpoint::close() {
    if (!listening_) return;
    if (listening_->native) Socket::close(engine(), listening_->native);
    Engine::close_port(listening_->internal);
    listening_.reset();
}

SocketOptions UdpEndpoint::socket_options(const TransportOptions& transport, std::uint16_t local,
                                          std::uint16_t remote) {
    SocketOptions options;
    options.local_port = local;
    options.remote_port = remote;
    options.out_streams = transport.streams;
    options.in_streams = in_streams(transport.limits);
    options.adaptation = transport.post ? post_adaptation : 0;
    options.packet = transport.largest_payload & ~std::size_t{3};
    return options;
}

// For usrsctp: who does not know the secret cannot choose an address so that two are one. Each SCTP
// port of a peer is an address of its own, since a line has one association.
std::uint64_t UdpEndpoint::number_of(const Address& remote, std::uint16_t port) const {
    const std::uint64_t hash = crypto::keyed_hash(secret_,
                                                  remote.string() + ' ' + std::to_string(port));
    const std::uint64_t number = hash >> (64 - Engine::number_bits);
    return number | std::uint64_t{1} << (Engine::number_bits - 1);  // never one of the small ones
}

UdpEndpoint::Routed UdpEndpoint::route(Instant now, const Datagrams& run,
                                       std::span<std::byte> answer) {
    const auto front = run.front();
    if (front.size() < common_header + chunk_header) return Nothing{};
    const auto found = routes_.find({run.remote, get16(front, 0), get16(front, 2)});
    if (found == routes_.end()) return route_stranger(now, run, answer);
    std::size_t count = 1;
    while (count < run.count() && std::equal(front.begin(), front.begin() + 4,
                                             run.after(count).front().begin()))  // the ports
        ++count;
    return ToConnection{found->second.transient, count};
}

UdpEndpoint::Routed UdpEndpoint::route_stranger(Instant now, const Datagrams& run,
                                                std::span<std::byte> answer) {
    const auto front = run.front();
    if (!listening_ || get16(front, 2) != listening_->port) return Nothing{};
    const auto chunk = chunk_at(front, common_header);
    if (!chunk || !checksum_fits(front)) return Nothing{};
    const bool greets = chunk->type == ChunkType::init && first_word(front) == 0;
    const bool returns = chunk->type == ChunkType::cookie_echo;
    // RFC 9260, 8.4, would have most others answered: that serves attackers better than peers.
    if (!greets && !returns) return Nothing{};
    if (returns && (!admits(run.remote) || !answers_.take(now))) return Nothing{};

    const auto packet = room(front.size());
    std::copy(front.begin(), front.end(), packet.begin());
    put16(packet, 2, listening_->internal);
    limit_streams(packet, first_streams(listening_->transport));
    const std::uint64_t number = number_of(run.remote, get16(front, 0));
    if (greets) {
        engine().input(engine().id_of(number), packet, run.ecn);
        return answer_stranger(now, run.remote, front.size(), answer);
    }
    if (engine().find(number)) return Nothing{};  // its association is there, and is another
    Line& line = engine().open_line(number, TransientId{});
    engine().input(line.id, packet, run.ecn);
    accepted_ = Socket::accept(engine(), listening_->native);
    if (!accepted_) {
        engine().close_line(line);
        return Nothing{};
    }
    accepted_line_ = &line;
    accepted_port_ = get16(front, 0);
    return NewClient{};
}

// The INIT ACK, if the address has sent a third of it: whoever is not there sends nothing more, and
// draws no more than three times what was sent in its name. A short INIT is answered when it
// comes again.
UdpEndpoint::Routed UdpEndpoint::answer_stranger(Instant now, const Address& remote,
                                                 std::size_t sent, std::span<std::byte> answer) {
    PacketQueue& strays = engine().strays();
    std::size_t size = 0;
    auto& credit = credits_[std::hash<Address>{}(remote) % credits_.size()];
    constexpr std::size_t most_credit = 4000;
    credit = static_cast<std::uint16_t>(std::min(credit + 3 * sent, most_credit));
    for (; !strays.empty(); strays.pop()) {
        const auto packet = strays.front();
        if (size > 0 || packet.size() > answer.size() || packet.size() > credit) continue;
        if (!answers_.take(now)) continue;
        credit = static_cast<std::uint16_t>(credit - packet.size());
        put16(packet, 0, listening_->port);
        limit_streams(packet, first_streams(listening_->transport));
        write_checksum(packet);
        std::copy(packet.begin(), packet.end(), answer.begin());
        size = packet.size();
    }
    if (size == 0) return Nothing{};
    return Answer{size};
}

bool UdpEndpoint::admits(const Address& remote) const {
    if (routes_.size() >= most_associations || half_open() >= options_.most_half_open) return false;
    const auto same = std::count_if(routes_.begin(), routes_.end(), [&](const auto& route) {
        Address other = route.first.remote;
        other.port = remote.port;
        return other == remote;
    });
    return static_cast<std::size_t>(same) < most_from_one;
}

Result<std::unique_ptr<Mapping>> UdpEndpoint::connect(Instant now, TransientId transient,
                                                      const ConnectOptions& options) {
    if (routes_.size() >= most_associations)
        return Error(Errc::too_many, {}, Stage::connect, "1024 associations of this UDP port");
    Key key{options.remote, options.transport.remote_port, 0};
    do key.ours = static_cast<std::uint16_t>(Engine::first_client_port | next_port_++);
    while (routes_.count(key) > 0);
    Line& line = engine().open_line(transient);
    routes_[key] = {transient, &line};
    keys_[&line] = key;
    ConnectionOptions made{Role::client, options.local, options.remote, options.transport, {}};
    made.socket = socket_options(options.transport, key.ours, key.theirs);
    made.wire_port = key.ours;
    return std::unique_ptr<Mapping>(std::make_unique<Connection>(
        *this, line, made, now, std::unique_ptr<crypto::DtlsSession>()));
}

Result<std::unique_ptr<Mapping>> UdpEndpoint::accept(Instant now, TransientId transient,
                                                     const Datagrams& first,
                                                     const PathSizes& sizes) {
    Line& line = *std::exchange(accepted_line_, nullptr);
    line.transient = transient;
    const Key key{first.remote, accepted_port_, listening_->port};
    routes_[key] = {transient, &line};
    keys_[&line] = key;
    ConnectionOptions made{Role::server, first.local, first.remote, listening_->transport, {}};
    made.transport.largest_payload = sizes.largest_payload;
    made.transport.largest_probe = sizes.largest_probe;
    made.socket = socket_options(made.transport, listening_->internal, accepted_port_);
    made.wire_port = listening_->port;
    auto socket = std::make_unique<Socket>(engine(), line, made.socket,
                                           std::exchange(accepted_, nullptr));
    return std::unique_ptr<Mapping>(
        std::make_unique<Connection>(*this, line, made, now, std::move(socket)));
}

void UdpEndpoint::forget(Line& line, const Address&) {
    const auto key = keys_.find(&line);
    if (key != keys_.end()) {
        routes_.erase(key->second);
        keys_.erase(key);
    }
    engine().close_line(line);
}

}  // namespace post::sctp
