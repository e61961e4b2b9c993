// The TCP of a simulated host.
#include "tests/sim/tcp_stack.hpp"

#include <cerrno>

#include "tests/sim/digest.hpp"
#include "tests/sim/host.hpp"
#include "tests/sim/host_io.hpp"
#include "tests/sim/world.hpp"

namespace post::sim {

namespace {

std::error_code code(int error) { return {error, std::generic_category()}; }

}  // namespace

TcpStack::TcpStack(World& world, Host& host)
    : world_(world),
      host_(host),
      random_(world.seed(), (std::uint64_t{5} << 32) + host.index()),
      secret_(random_.next()) {}

Result<TcpStack::Key> TcpStack::connect(Owner owner, const Io::TcpOptions& options,
                                        const Address& remote, std::size_t receive_buffer) {
    Key key{options.local, remote};
    if (key.local.family == Address::Family::none || key.local.is_any()) {
        const std::uint16_t port = key.local.port;
        key.local = host_.source_for(remote);
        key.local.port = port;
    }
    if (key.local.family != remote.family || !host_.has(key.local))
        return Error(Errc::no_route, code(EADDRNOTAVAIL));
    if (key.local.port == 0) {
        const auto port = host_.free_port(Protocol::tcp, key.local);
        if (!port) return Error(Errc::address_in_use, code(EADDRINUSE));
        key.local.port = *port;
    }
    if (const auto old = slots_.find(key); old != slots_.end()) {
        if (!old->second.connection.expired(world_.now()))
            return Error(Errc::address_in_use, code(EADDRNOTAVAIL));
        slots_.erase(old);
    }
    Slot& slot = make(key, owner, options, receive_buffer);
    const auto cookie = cookies_.find(without_port(remote));
    if (options.fast_open && cookie != cookies_.end())
        slot.connection.connect_with(cookie->second);
    else
        slot.connection.connect(world_.now(), options.fast_open);
    act(key);
    return key;
}

TcpStack::Slot& TcpStack::make(const Key& key, Owner owner, const Io::TcpOptions& options,
                               std::size_t receive_buffer) {
    const TcpConnection::Options made{
        .local = key.local,
        .remote = key.remote,
        .isn = static_cast<std::uint32_t>(random_.next()),
        .mtu = std::max<std::size_t>(576, world_.mtu(host_, key.remote)),
        .receive_buffer = receive_buffer,
        .keep_alive = options.keep_alive,
        .user_timeout = options.user_timeout};
    return slots_.emplace(key, Slot{TcpConnection(made), owner, next_serial_++, {}}).first->second;
}

void TcpStack::act(const Key& key) {
    const auto at = slots_.find(key);
    if (at == slots_.end()) return;
    Slot& slot = at->second;
    for (Packet& packet : slot.connection.poll_packets()) world_.send(host_, std::move(packet));
    arm(key, slot);
    if (slot.listener && slot.connection.usable()) hand_over(key, slot);
    if (HostIo* io = slot.owner.io != 0 ? world_.find_io(slot.owner.io) : nullptr)
        io->tcp().handle_change(slot.owner.socket);
    else if (slot.connection.state() == TcpConnection::State::dead)
        slots_.erase(at);
}

// A handshake is finished: the program hears of it.
void TcpStack::hand_over(const Key& key, Slot& slot) {
    const Owner listener = *std::exchange(slot.listener, {});
    if (HostIo* io = listeners_.contains(listener) ? world_.find_io(listener.io) : nullptr)
        slot.owner = {listener.io, io->tcp().handle_taken(listener.socket, key)};
    else
        slot.connection.end(world_.now()), slot.connection.orphan(world_.now());
}

void TcpStack::release(const Key& key) {
    const auto at = slots_.find(key);
    if (at == slots_.end()) return;
    at->second.owner = {};
    at->second.connection.orphan(world_.now());
    act(key);
}

void TcpStack::arm(const Key& key, Slot& slot) {
    const Instant deadline = slot.connection.deadline();
    if (deadline >= slot.armed) return;
    slot.armed = deadline;
    world_.after(deadline - world_.now(),
                 [this, key, serial = slot.serial] { expire(key, serial); });
}

void TcpStack::expire(const Key& key, std::uint64_t serial) {
    const auto at = slots_.find(key);
    if (at == slots_.end() || at->second.serial != serial) return;
    // An earlier one than it needs by now does nothing, and the next one is planned.
    if (at->second.armed > world_.now()) return;
    at->second.armed = never;
    at->second.connection.handle_timeout(world_.now());
    act(key);
}

void TcpStack::arrive(const Packet& packet) {
    const Key key{packet.to, packet.from};
    if (packet.corrupted) return;
    if (packet.protocol == Protocol::icmp) return handle_icmp(key, packet);
    auto at = slots_.find(key);
    const bool fresh = packet.segment.syn && !packet.segment.acks;
    if (at != slots_.end() &&
        (at->second.connection.expired(world_.now()) ||
         (fresh && at->second.owner.io == 0 && at->second.connection.done()))) {
        slots_.erase(at);
        at = slots_.end();
    }
    if (at != slots_.end() && at->second.connection.state() != TcpConnection::State::dead) {
        at->second.connection.handle(world_.now(), packet);
        if (packet.segment.syn && packet.segment.acks && packet.segment.cookie != 0)
            cookies_[without_port(packet.from)] = packet.segment.cookie;
        return act(key);
    }
    const auto listener = host_.tcp_listener(key.local, key.remote);
    if (fresh && at == slots_.end() && listener) return handle_syn(key, *listener, packet);
    reset(packet);
}

void TcpStack::handle_syn(const Key& key, Owner listener, const Packet& packet) {
    HostIo* io = world_.find_io(listener.io);
    if (!io || io->tcp().full()) return;
    const auto& [options, receive_buffer] = listeners_.at(listener);
    Slot& slot = make(key, {}, options, receive_buffer);
    slot.listener = listener;
    const std::uint64_t cookie = options.fast_open ? cookie_for(key.remote) : 0;
    const bool known = cookie != 0 && packet.segment.cookie == cookie;
    const bool asks = packet.segment.asks_cookie || (packet.segment.cookie != 0 && !known);
    slot.connection.accept(world_.now(), packet, known, asks ? cookie : 0);
    act(key);
}

void TcpStack::handle_icmp(const Key& key, const Packet& packet) {
    const auto at = slots_.find(key);
    if (at == slots_.end()) return;
    TcpConnection& connection = at->second.connection;
    if (packet.trouble == EMSGSIZE)
        connection.handle_new_mtu(world_.now(), world_.mtu(host_, key.remote));
    else
        connection.handle_unreachable(world_.now(), packet.trouble);
    act(key);
}

// RFC 9293, 3.10.7.1: to a segment of a connection that does not exist.
void TcpStack::reset(const Packet& packet) {
    const Segment& segment = packet.segment;
    if (segment.rst || host_.silent) return;
    Packet answer;
    answer.from = packet.to;
    answer.to = packet.from;
    answer.protocol = Protocol::tcp;
    answer.segment.rst = true;
    answer.segment.acks = !segment.acks;
    if (segment.acks)
        answer.segment.seq = segment.ack;
    else
        answer.segment.ack = segment.seq + static_cast<std::uint32_t>(packet.bytes.size()) +
                             (segment.syn ? 1 : 0) + (segment.fin ? 1 : 0);
    world_.send(host_, std::move(answer));
}

// RFC 7413, 4.1.2: by the client's address, and by a secret.
std::uint64_t TcpStack::cookie_for(const Address& client) const {
    Digest digest;
    digest.add(secret_);
    digest.add(without_port(client));
    return digest.value() | 1;
}

}  // namespace post::sim
