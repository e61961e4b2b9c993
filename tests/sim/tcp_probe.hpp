// TcpProbe: TCP sockets without a protocol on a simulated host, which keep whatever reaches them.
// For the tests of the simulator, and as a stranger on the network in others.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/host.hpp"
#include "tests/sim/host_io.hpp"
#include "tests/sim/world.hpp"

namespace post::sim {

class TcpProbe {
public:
    // What came to one connection.
    struct Got {
        std::string bytes;
        Duration first{};  // since the start of the World
        Duration last{};
        bool ended = false;
        Duration ended_at{};
        std::error_code trouble;
        Duration trouble_at{};
        unsigned writable = 0;  // how often it turned so
        Duration writable_at{};
    };

    TcpProbe(World& world, Host& host, const IoOptions& options = {})
        : world_(world), host_(host), io_(host.make_io(options)) {
        world_.add({[this] { turn(); }, [this] { return io_->deadline(); }, io_.get()});
    }
    TcpProbe(const TcpProbe&) = delete;
    TcpProbe& operator=(const TcpProbe&) = delete;

    // On every address of the host's first family. Where others reach it.
    Address listen(std::uint16_t port, Io::TcpOptions options = {}) {
        Address address = host_.addresses()[0];
        address.port = port;
        options.local = *Address::parse(address.family == Address::Family::v4 ? "0.0.0.0" : "::",
                                        port);
        listener = io_->listen_tcp(options).value();
        return address;
    }
    SocketId connect(const Address& to, const Io::TcpOptions& options = {}) {
        return io_->connect_tcp(options, to).value();
    }
    bool send(SocketId socket, std::string_view bytes) {
        Datagrams run;
        run.segment = bytes.size();
        run.bytes = std::as_bytes(std::span(bytes));
        return io_->send(socket, run);
    }
    // Sends `bytes` as there is room, turn by turn, and the end behind them.
    void pour(SocketId socket, std::string bytes) {
        pouring_[socket] = std::move(bytes);
        pour(socket);
    }

    Io& io() { return *io_; }

    SocketId listener{};
    std::vector<Io::Taken> taken;
    std::map<SocketId, Got> got;

private:
    void turn() {
        for (const Io::Received& received : io_->receive()) {
            Got& here = got[received.socket];
            const auto bytes = received.datagrams.bytes;
            if (here.bytes.empty()) here.first = world_.elapsed();
            if (!bytes.empty()) here.last = world_.elapsed();
            here.bytes.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            if (received.end) here.ended = true, here.ended_at = world_.elapsed();
        }
        for (const Io::Taken& one : io_->poll_taken()) taken.push_back(one);
        for (const Io::Trouble& one : io_->poll_troubles()) {
            got[one.socket].trouble = one.code;
            got[one.socket].trouble_at = world_.elapsed();
        }
        for (const SocketId id : io_->poll_writable()) {
            ++got[id].writable;
            got[id].writable_at = world_.elapsed();
            pour(id);
        }
        if (io_->more_input()) world_.turn_again();
    }

    void pour(SocketId id) {
        const auto at = pouring_.find(id);
        if (at == pouring_.end()) return;
        constexpr std::size_t run = 64 * 1024;
        while (!at->second.empty() && io_->writable(id)) {
            send(id, std::string_view(at->second).substr(0, run));
            at->second.erase(0, run);
        }
        if (!at->second.empty()) return;
        io_->end_sending(id);
        pouring_.erase(at);
    }

    World& world_;
    Host& host_;
    std::unique_ptr<Io> io_;
    std::map<SocketId, std::string> pouring_;
};

}  // namespace post::sim
