// How a host binds sockets, finds the one that a packet is for, and how its NAT renames sources.
#include "tests/sim/host.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "tests/sim/digest.hpp"
#include "tests/sim/host_io.hpp"
#include "tests/sim/world.hpp"

namespace post::sim {

Host::Host(World& world, std::size_t index, Direction to_itself)
    : loopback(std::move(to_itself)), world_(world), index_(index), tcp_(world, *this) {
    loopback.options = {.delay = std::chrono::microseconds(10), .mtu = 65536};
}

std::unique_ptr<Io> Host::make_io(const IoOptions& options) {
    return std::make_unique<HostIo>(world_, *this, ios_made_++, options);
}

Host& Host::add_address(std::string_view ip) {
    addresses_.push_back(world_.claim(ip, *this));
    return *this;
}

bool Host::has(const Address& ip) const {
    return ip.is_loopback() || std::any_of(addresses_.begin(), addresses_.end(),
                                           [&](auto& own) { return own == without_port(ip); });
}

Result<Address> Host::bind(const HostIo& io, SocketId socket, Protocol protocol, Address local,
                           Io::Share share, std::uint32_t interface) {
    if (local.family == Address::Family::none ||
        (!local.is_any() && (!has(local) || !carries(local))))
        return Error(std::error_code(EADDRNOTAVAIL, std::generic_category()));
    if (interface > nics_.size() + 1)
        return Error(Errc::no_route, std::make_error_code(std::errc::no_such_device));
    const Error in_use(Errc::address_in_use, std::error_code(EADDRINUSE, std::generic_category()));
    if (local.port == 0) {
        const auto port = free_port(protocol, local);
        if (!port) return in_use;
        local.port = *port;
    } else if (taken(protocol, local, share, interface)) {
        return in_use;
    }
    bound_.push_back({io.id(), socket, protocol, local, share, interface});
    return local;
}

// Every dynamic port once, in turn: a port that was just closed is not the next one again.
std::optional<std::uint16_t> Host::free_port(Protocol protocol, Address local) {
    constexpr int dynamic_ports = 65536 - 49152;
    for (int left = dynamic_ports; left > 0; --left) {
        local.port = next_port_;
        next_port_ = next_port_ == 65535 ? 49152 : static_cast<std::uint16_t>(next_port_ + 1);
        if (!taken(protocol, local, {}, 0)) return local.port;
    }
    return {};
}

bool Host::taken(Protocol protocol, const Address& local, Io::Share share,
                 std::uint32_t interface) const {
    return std::any_of(bound_.begin(), bound_.end(), [&](const Bound& other) {
        return other.protocol == protocol && other.local.port == local.port &&
               other.local.family == local.family &&
               (other.local.is_any() || local.is_any() || other.local == local) &&
               (interface == 0 || other.interface == 0 || interface == other.interface) &&
               !(share.of > 1 && other.share.of > 1 && share.index != other.share.index);
    });
}

std::optional<TcpStack::Owner> Host::tcp_listener(const Address& to, const Address& from) const {
    const Bound* bound = listener(Protocol::tcp, to, from);
    if (!bound) return {};
    return TcpStack::Owner{bound->io, bound->socket};
}

void Host::pass(const Address& local, std::uint16_t index, Packet packet) {
    const auto bound = std::find_if(bound_.begin(), bound_.end(), [&](const Bound& one) {
        return one.protocol == Protocol::udp && one.local == local && one.share.of > 1 &&
               one.share.index == index;
    });
    HostIo* io = bound != bound_.end() ? world_.find_io(bound->io) : nullptr;
    if (io) io->handle_packet(bound->socket, std::move(packet));
}

void Host::unbind(const HostIo& io, SocketId socket) {
    std::erase_if(
        bound_, [&](const Bound& bound) { return bound.io == io.id() && bound.socket == socket; });
}

Address Host::source_for(const Address& to) const {
    if (has(to)) return without_port(to);
    const Address* fallback = nullptr;
    for (const Address& own : addresses_) {
        if (own.family != to.family || !carries(own)) continue;
        if (world_.has_link(*this, own, to)) return own;
        if (!fallback) fallback = &own;
    }
    return fallback ? *fallback : Address{};
}

void Host::arrive(Packet packet) {
    if (!carries(packet.to)) return;
    const bool tcp = packet.protocol == Protocol::tcp ||
                     (packet.protocol == Protocol::icmp && packet.about == Protocol::tcp);
    if (tcp) return tcp_.arrive(packet);
    const Bound* bound = listener(Protocol::udp, packet.to, packet.from);
    HostIo* io = bound ? world_.find_io(bound->io) : nullptr;
    if (io) {
        const SocketId socket = bound->socket;
        if (packet.protocol == Protocol::icmp)
            io->handle_trouble(socket, packet.from, packet.trouble);
        else
            io->handle_packet(socket, std::move(packet));
        return;
    }
    if (packet.protocol == Protocol::udp && !silent)
        world_.send(*this, {.from = packet.to,
                            .to = packet.from,
                            .protocol = Protocol::icmp,
                            .trouble = ECONNREFUSED});
}

// As Linux: the most specific address wins; sockets that share a port share it by flow.
const Host::Bound* Host::listener(Protocol protocol, const Address& to, const Address& from) const {
    std::vector<const Bound*> exact;
    std::vector<const Bound*> any;
    for (const Bound& bound : bound_) {
        if (bound.protocol != protocol) continue;
        if (bound.interface != 0 && bound.interface != index_of(to)) continue;
        if (bound.local == to) exact.push_back(&bound);
        if (bound.local.is_any() && bound.local.port == to.port && bound.local.family == to.family)
            any.push_back(&bound);
    }
    const auto& best = exact.empty() ? any : exact;
    if (best.size() <= 1) return best.empty() ? nullptr : best.front();
    Digest flow;
    flow.add(to);
    flow.add(from);
    return best[flow.value() % best.size()];
}

Address Host::outward(const Address& inner) {
    if (!translated_) return inner;
    if (auto known = outer_of_.find(inner); known != outer_of_.end()) return known->second;
    Address outer = public_ip_.family == inner.family ? public_ip_ : inner;
    outer.port = next_public_port_++;
    assert(next_public_port_ != 0);
    outer_of_[inner] = outer;
    inner_of_[outer] = inner;
    return outer;
}

Address Host::inward(const Address& outer) const {
    if (!translated_) return outer;
    const auto known = inner_of_.find(outer);
    return known == inner_of_.end() ? Address{} : known->second;
}

void Host::rebind(const Address& ip) {
    translated_ = true;
    public_ip_ = ip;
    outer_of_.clear();
    inner_of_.clear();
}

}  // namespace post::sim
