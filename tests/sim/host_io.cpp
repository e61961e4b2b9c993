// The Io contract over a simulated host: runs are cut into single datagrams for the links, and
// what arrives is put together again as GRO does.
#include "tests/sim/host_io.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <ctime>

#include "tests/sim/world.hpp"

namespace post::sim {

namespace {

// A turn stays short: at most so many runs a socket, as the real edge has it. The kernel's GRO
// joins at most 64 datagrams (UDP_GRO_CNT_MAX).
constexpr std::size_t runs_a_turn = 8;
constexpr std::size_t datagrams_a_run = 64;

}  // namespace

HostIo::HostIo(World& world, Host& host, std::uint64_t index, const IoOptions& options)
    : world_(world),
      host_(host),
      id_(world.enter(*this)),
      options_(options),
      random_(world.seed(), (std::uint64_t{1} << 32) + (host.index() << 16) + index),
      tcp_(*this, world, host, options.receive_buffer) {}

HostIo::~HostIo() {
    for (const auto& [id, socket] : sockets_) host_.unbind(*this, id);
    world_.leave(*this);
}

Instant HostIo::now() { return world_.now(); }

// As all others in the program see it.
std::chrono::sys_seconds HostIo::wall_time() {
    return std::chrono::sys_seconds(std::chrono::seconds(std::time(nullptr)));
}

Result<SocketId> HostIo::open_udp(const UdpOptions& options) {
    const SocketId id{next_socket_};
    if (options.datagrams && options.datagrams->lite)
        return Error(Errc::unsupported, std::make_error_code(std::errc::protocol_not_supported));
    auto local = host_.bind(*this, id, Protocol::udp, options.local, options.share,
                            options.outlet.interface);
    if (!local) return local.error();
    ++next_socket_;
    Socket& made = sockets_[id];
    made.local = *local;
    made.datagrams = options.datagrams;
    made.dscp = options.outlet.dscp;
    if (made.datagrams && made.local.is_any() &&
        made.datagrams->remote.family != Address::Family::none) {
        made.local = host_.source_for(made.datagrams->remote);
        made.local.port = local->port;
    }
    return id;
}

Address HostIo::local_address(SocketId socket) const {
    if (TcpSockets::has(socket)) return tcp_.local_address(socket);
    const auto found = sockets_.find(socket);
    return found == sockets_.end() ? Address{} : found->second.local;
}

void HostIo::close(SocketId socket) {
    if (TcpSockets::has(socket)) return tcp_.close(socket);
    if (sockets_.erase(socket) != 0) host_.unbind(*this, socket);
}

bool HostIo::send(SocketId socket, const Datagrams& datagrams) {
    if (TcpSockets::has(socket)) return tcp_.send(socket, datagrams.bytes);
    const auto found = sockets_.find(socket);
    assert(found != sockets_.end() && "send on a socket that is not open");
    assert(datagrams.bytes.size() <= largest_run || datagrams.count() == 1);
    if (found == sockets_.end() || datagrams.empty()) return true;
    const Address& to = datagrams.remote;

    Address from = datagrams.local;
    if (from.family == Address::Family::none || from.is_any()) from = found->second.local;
    if (from.is_any()) from = host_.source_for(to);
    if (from.family != to.family || !host_.has(from) || !host_.carries(from)) {
        handle_trouble(socket, to, ENETUNREACH);
        return true;
    }
    from.port = found->second.local.port;
    const Ecn ecn = options_.ecn ? datagrams.ecn : Ecn::not_ect;
    DatagramOptions header = datagrams.options;
    if (!header.dscp && found->second.dscp != 0) header.dscp = found->second.dscp;
    for (Datagrams rest = datagrams; !rest.empty(); rest = rest.after(1))
        world_.send(
            host_,
            {.from = from, .to = to, .ecn = ecn, .bytes = Bytes(rest.front()), .options = header});
    return true;
}

void HostIo::pass(SocketId socket, std::uint16_t index, const Datagrams& datagrams) {
    const auto found = sockets_.find(socket);
    if (found == sockets_.end()) return;
    for (Datagrams rest = datagrams; !rest.empty(); rest = rest.after(1))
        host_.pass(found->second.local, index,
                   {.from = datagrams.remote,
                    .to = datagrams.local,
                    .ecn = datagrams.ecn,
                    .bytes = Bytes(rest.front())});
}

std::size_t HostIo::payload_limit(const Address& remote) {
    const std::size_t headers = remote.family == Address::Family::v6 ? 48 : 28;
    const std::size_t mtu = world_.mtu(host_, remote);
    return mtu <= headers ? 0 : std::min(mtu - headers, largest_run);
}

std::span<const Io::Received> HostIo::receive() {
    received_.clear();
    more_input_ = false;
    for (auto& [id, socket] : sockets_) {
        for (std::size_t runs = 0; !socket.queue.empty(); ++runs) {
            if (runs == runs_a_turn) {
                more_input_ = true;
                break;
            }
            // Buffers move when the outer vector grows; the bytes inside them do not.
            if (buffers_.size() == received_.size()) buffers_.emplace_back();
            auto& buffer = buffers_[received_.size()];
            received_.push_back(take_run(id, socket, buffer));
        }
    }
    tcp_.receive(received_);
    return received_;
}

std::vector<Io::Trouble> HostIo::poll_troubles() {
    tcp_.poll_troubles(troubles_);
    return std::exchange(troubles_, {});
}

Io::Received HostIo::take_run(SocketId id, Socket& socket, std::vector<std::byte>& buffer) {
    buffer.clear();
    const Packet first = socket.queue.front();
    const std::size_t segment = first.bytes.size();
    if (segment == 0) socket.queue.pop_front();
    const std::size_t limit = segment == 0 ? 0 : options_.gro ? datagrams_a_run : 1;
    for (std::size_t count = 0; count < limit && !socket.queue.empty(); ++count) {
        const Packet& packet = socket.queue.front();
        const std::size_t size = packet.bytes.size();
        if (packet.from != first.from || packet.to != first.to || packet.ecn != first.ecn ||
            packet.options != first.options || size == 0 || size > segment ||
            buffer.size() + size > largest_run)
            break;
        buffer.insert(buffer.end(), packet.bytes.begin(), packet.bytes.end());
        socket.queued -= size;
        socket.queue.pop_front();
        if (size < segment) break;  // a shorter one is the last of its run
    }
    const Ecn ecn = options_.ecn ? first.ecn : Ecn::not_ect;
    Datagrams run{.local = first.to,
                  .remote = first.from,
                  .ecn = ecn,
                  .segment = segment,
                  .bytes = buffer,
                  .blank = segment == 0};
    if (socket.datagrams) {
        run.options.hop_limit = first.options.hop_limit;
        run.options.dscp = first.options.dscp.value_or(0);
        run.options.ecn = ecn;
        run.options.ip_options = first.options.ip_options;
        run.options.hop_options = first.options.hop_options;
    }
    return {id, run};
}

void HostIo::handle_packet(SocketId socket, Packet packet) {
    const auto found = sockets_.find(socket);
    if (found == sockets_.end()) return;
    // A datagram without a byte is something to applications alone, as at the real edge.
    const auto& datagrams = found->second.datagrams;
    if (!datagrams && packet.bytes.empty()) return;
    const bool connected = datagrams && datagrams->remote.family != Address::Family::none;
    if (connected && packet.from != datagrams->remote) return;
    if (found->second.queued + packet.bytes.size() > options_.receive_buffer) {
        ++overflowed_;
        return;
    }
    found->second.queued += packet.bytes.size();
    found->second.queue.push_back(std::move(packet));
}

void HostIo::handle_trouble(SocketId socket, const Address& remote, int error) {
    if (sockets_.count(socket) == 0) return;
    troubles_.push_back({socket, remote, std::error_code(error, std::generic_category())});
}

void HostIo::lookup(const Lookup& lookup) {
    lookups_.insert(lookup.id);
    world_.resolve(*this, lookup);
}

void HostIo::cancel(LookupId lookup) {
    lookups_.erase(lookup);
    std::erase_if(resolved_, [&](const Resolved& resolved) { return resolved.id == lookup; });
}

bool HostIo::trusts_names() const { return world_.names().trusted(); }

void HostIo::handle_resolved(Resolved resolved) {
    if (lookups_.count(resolved.id) == 0) return;
    if (resolved.complete) lookups_.erase(resolved.id);
    resolved_.push_back(std::move(resolved));
}

void HostIo::wait(Instant until) {
    world_.wait(*this, std::min(until, deadline()));
    clear_wake();
}

bool HostIo::ready() const {
    if (watches_ && changes_ != host_.interface_changes()) return true;
    return woken_.load(std::memory_order_acquire) || !troubles_.empty() || !resolved_.empty() ||
           tcp_.ready() || std::any_of(sockets_.begin(), sockets_.end(), [](const auto& entry) {
               return !entry.second.queue.empty();
           });
}

}  // namespace post::sim
