// Host: a machine of the simulated network: its addresses, the sockets bound to them, and the NAT
// in front of it. It makes the Io objects through which Contexts see the network; a host may have
// any number of them, one for each Context.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <post/address.hpp>
#include <post/interface.hpp>
#include <post/result.hpp>

#include "lib/io/io.hpp"
#include "tests/sim/link.hpp"
#include "tests/sim/tcp_stack.hpp"

namespace post::sim {

class HostIo;
class World;

// What one Io has of the things that differ between systems.
struct IoOptions {
    bool gro = true;  // equal datagrams of one source come as one run
    bool ecn = true;  // marks are sent and seen
    std::size_t run_limit = 45;
    std::size_t receive_buffer = 4u << 20;  // bytes a socket; beyond it datagrams are dropped
};

class Host {
public:
    Host(World& world, std::size_t index, Direction loopback);
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    // The Io must be destroyed before the World.
    std::unique_ptr<Io> make_io(const IoOptions& options = {});

    // Further addresses of the same machine; an address belongs to one host only.
    Host& add_address(std::string_view ip);
    const std::vector<Address>& addresses() const { return addresses_; }
    // What has no other interface is on eth0, number 2; lo is number 1. Each leads everywhere, by
    // way of its gateway where it has one. Io::interfaces has them in the order of their making.
    Host& add_interface(const std::string& name, const std::vector<std::string>& ips,
                        InterfaceType type = InterfaceType::wired);
    // None: it has none. Whoever watches hears of it, as of set_up(); packets are not held back.
    void set_gateway(const std::string& interface, std::string_view ip);
    void set_up(const std::string& interface, bool up);
    // As set_up(); and while it is down its addresses are nobody's: what leaves from them is
    // refused, and what comes for them is lost.
    void plug(const std::string& interface, bool in);
    // Whether the address is there, or anybody's.
    bool carries(const Address& ip) const;
    std::vector<Interface> interfaces() const;
    std::uint64_t interface_changes() const { return interface_changes_; }
    bool has(const Address& ip) const;  // loopback addresses included; ports do not count

    // A firewall that says nothing: no ICMP and no reset for ports where nobody listens.
    bool silent = false;
    // The way from this host to itself: 10 us, and an MTU of 65536, unless changed.
    Direction loopback;

    std::size_t index() const { return index_; }

    // For HostIo: binds a socket's address, choosing the port where it is 0.
    Result<Address> bind(const HostIo& io, SocketId socket, Protocol protocol, Address local,
                         Io::Share share, std::uint32_t interface = 0);
    void unbind(const HostIo& io, SocketId socket);
    // To the one that shares the port as number `index`.
    void pass(const Address& local, std::uint16_t index, Packet packet);
    // A dynamic port that nobody has; nothing when there is none.
    std::optional<std::uint16_t> free_port(Protocol protocol, Address local);
    TcpStack& tcp() { return tcp_; }
    // Whose port takes a connection.
    std::optional<TcpStack::Owner> tcp_listener(const Address& to, const Address& from) const;
    // The address that a datagram to `to` leaves from; family none when there is none.
    Address source_for(const Address& to) const;

    // For the network. A packet came for an address of this host: to the socket, or back as ICMP.
    void arrive(Packet packet);
    // The NAT: what an inner source looks like outside; where a packet for an outer address goes,
    // or family none: nowhere.
    Address outward(const Address& inner);
    Address inward(const Address& outer) const;
    // Forgets all mappings; from now on sources are `ip` (family none: their own) and a new port.
    void rebind(const Address& ip);

private:
    struct Bound {
        std::uint64_t io;
        SocketId socket;
        Protocol protocol;
        Address local;
        Io::Share share;
        std::uint32_t interface = 0;  // that it is bound to; 0: none
    };
    struct Nic {
        std::string name;
        InterfaceType type = InterfaceType::wired;
        std::vector<Address> addresses{};
        std::vector<Address> gateways{};
        bool up = true;
        bool plugged = true;
    };
    Nic& nic(const std::string& name);
    // Of the interface that has the address; 0: none has.
    std::uint32_t index_of(const Address& ip) const;
    const Bound* listener(Protocol protocol, const Address& to, const Address& from) const;
    bool taken(Protocol protocol, const Address& local, Io::Share share,
               std::uint32_t interface) const;

    World& world_;
    std::size_t index_;
    std::vector<Address> addresses_;
    std::vector<Nic> nics_{{"eth0"}};
    std::uint64_t interface_changes_ = 0;
    std::vector<Bound> bound_;
    std::uint16_t next_port_ = 49152;  // RFC 6335, 6: dynamic ports begin here
    std::uint64_t ios_made_ = 0;
    TcpStack tcp_;

    bool translated_ = false;
    Address public_ip_;
    std::uint16_t next_public_port_ = 40000;
    std::map<Address, Address> outer_of_;
    std::map<Address, Address> inner_of_;
};

// The same address without its port.
inline Address without_port(Address address) {
    address.port = 0;
    return address;
}

}  // namespace post::sim
