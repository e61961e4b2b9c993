// TcpStack: the TCP of a simulated host, as its system has it: the connections of all programs and
// of those that have gone, the ports that take new ones, timers, resets, and the Fast Open cookies.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include <post/result.hpp>

#include "lib/io/io.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/tcp_connection.hpp"

namespace post::sim {

class Host;
class World;

class TcpStack {
public:
    // The two ends' addresses, ours first.
    struct Key {
        Address local;
        Address remote;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    // The program that has a socket.
    struct Owner {
        std::uint64_t io = 0;  // 0: it has gone
        SocketId socket{};
        friend auto operator<=>(const Owner&, const Owner&) = default;
    };

    TcpStack(World& world, Host& host);

    // From the address `from` (family none: as the host chooses, port 0 too), which must be free.
    Result<Key> connect(Owner owner, const Io::TcpOptions& options, const Address& remote,
                        std::size_t receive_buffer);
    // The host knows its address.
    void listen(Owner owner, const Io::TcpOptions& options, std::size_t receive_buffer) {
        listeners_[owner] = {options, receive_buffer};
    }
    void unlisten(Owner owner) { listeners_.erase(owner); }
    // Always there while somebody owns it.
    TcpConnection& connection(const Key& key) { return slots_.at(key).connection; }
    // Whatever was done to the connection: it sends what it has to say, and tells its owner.
    void act(const Key& key);
    // Nobody owns it any more.
    void release(const Key& key);
    // As if it had never been.
    void forget(const Key& key) { slots_.erase(key); }

    void arrive(const Packet& packet);

private:
    struct Slot {
        TcpConnection connection;
        Owner owner;
        std::uint64_t serial;           // no later connection of the same addresses has it
        std::optional<Owner> listener;  // that gets it when it is usable
        Instant armed = never;
    };
    struct Listener {
        Io::TcpOptions options;
        std::size_t receive_buffer;
    };

    Slot& make(const Key& key, Owner owner, const Io::TcpOptions& options,
               std::size_t receive_buffer);
    void handle_syn(const Key& key, Owner listener, const Packet& packet);
    void handle_icmp(const Key& key, const Packet& packet);
    void reset(const Packet& packet);
    void hand_over(const Key& key, Slot& slot);
    void arm(const Key& key, Slot& slot);
    void expire(const Key& key, std::uint64_t serial);
    std::uint64_t cookie_for(const Address& client) const;

    World& world_;
    Host& host_;
    Random random_;
    std::uint64_t secret_;
    std::uint64_t next_serial_ = 1;
    std::map<Key, Slot> slots_;
    std::map<Owner, Listener> listeners_;
    std::map<Address, std::uint64_t> cookies_;  // of servers, by their addresses without port
};

}  // namespace post::sim
