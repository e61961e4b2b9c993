// Probe: a socket without a protocol on a simulated host, which keeps whatever reaches it. For the
// tests of the simulator, and as a stranger on the network in others.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <post/address.hpp>

#include "tests/sim/host.hpp"
#include "tests/sim/host_io.hpp"
#include "tests/sim/world.hpp"

namespace post::sim {

class Probe {
public:
    struct Got {
        Duration at{};  // since the start of the World
        Address from;
        Address to;
        Ecn ecn = Ecn::not_ect;
        std::string bytes;
    };

    Probe(World& world, Host& host, std::string_view local, std::uint16_t port = 0,
          const IoOptions& options = {})
        : world_(world), io_(host.make_io(options)) {
        const auto address = Address::parse(local, port);
        socket_ = io_->open_udp({.local = address.value()}).value();
        world_.add({[this] { turn(); }, [] { return never; }, io_.get()});
    }
    // On every address of the host's first family.
    Probe(World& world, Host& host, std::uint16_t port = 0, const IoOptions& options = {})
        : Probe(world, host,
                host.addresses()[0].family == Address::Family::v4 ? "0.0.0.0" : "::", port,
                options) {}
    Probe(const Probe&) = delete;
    Probe& operator=(const Probe&) = delete;

    void send(const Address& to, std::string_view bytes, Ecn ecn = Ecn::not_ect) {
        send_run(to, bytes, bytes.size(), ecn);
    }
    void send_run(const Address& to, std::string_view bytes, std::size_t segment,
                  Ecn ecn = Ecn::not_ect) {
        Datagrams run;
        run.remote = to;
        run.ecn = ecn;
        run.segment = segment;
        run.bytes = std::as_bytes(std::span(bytes));
        io_->send(socket_, run);
    }
    // Sends everything back to where it comes from, with the mark that it came with.
    void echo() { echo_ = true; }

    Io& io() { return *io_; }
    SocketId socket() const { return socket_; }
    // Where others reach it: the host's first address and the port.
    Address address() const {
        Address result = io_->local_address(socket_);
        if (!result.is_any()) return result;
        const std::uint16_t port = result.port;
        result = static_cast<HostIo&>(*io_).host().addresses()[0];
        result.port = port;
        return result;
    }

    std::vector<Got> got;
    std::vector<Io::Trouble> troubles;
    std::vector<std::size_t> runs;  // how many datagrams each run had
    std::vector<Io::Resolved> resolved;

private:
    void turn() {
        for (const Io::Received& received : io_->receive()) {
            runs.push_back(received.datagrams.count());
            for (Datagrams rest = received.datagrams; !rest.empty(); rest = rest.after(1)) {
                const auto bytes = rest.front();
                got.push_back(
                    {world_.elapsed(), rest.remote, rest.local, rest.ecn,
                     std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())});
                if (echo_) send(rest.remote, got.back().bytes, rest.ecn);
            }
        }
        for (auto& trouble : io_->poll_troubles()) troubles.push_back(trouble);
        for (auto& answer : io_->poll_resolved()) resolved.push_back(std::move(answer));
    }

    World& world_;
    std::unique_ptr<Io> io_;
    SocketId socket_;
    bool echo_ = false;
};

}  // namespace post::sim
