// Fuzz target for what arrives from the network before anybody is authenticated. The data are a
// list of steps: datagrams as they are, or true ones of a handshake with bytes changed, cut or said
// twice, to a server's Endpoint, to a client's connection, or to one of the server's. Whatever
// comes, nothing crashes, half-open connections are counted right, and answers are never larger
// than what they answer (RFC 9000, 6 and 8.1: no amplification).
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include <post/identity.hpp>

#include "mappings/quic/endpoint.hpp"
#include "tests/fuzz/choices.hpp"

namespace {

using namespace post;
using quic::Endpoint;
using test::Choices;

void require(bool condition) {
    if (!condition) std::abort();
}

// An outbox without anything in it.
struct Nothing final : Supply {
    Outgoing* next() override { return nullptr; }
    void packed(CarrierId, std::uint64_t) override {}
    void packed_alone(CarrierId, NicenessClass, Sequence) override {}
    void blocked(CarrierId) override {}
};

const Identity& identity() {
    static const Identity made = Identity::self_signed("localhost");
    return made;
}

quic::EndpointOptions endpoint_options() {
    quic::EndpointOptions options;
    options.random = [random = std::mt19937_64(1)](std::span<std::byte> bytes) mutable {
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() & 0xff);
    };
    options.most_half_open = 4;
    return options;
}

using Datagram = std::vector<std::byte>;

// A server, a client, and all that either of them sent.
class Meeting {
public:
    Meeting() {
        quic::ConnectOptions connect;
        connect.local = client_address_;
        connect.remote = server_address_;
        connect.security.trust = Trust::pinned(identity().pin());
        connect.security.server_name = "localhost";
        client_ = client_endpoint_.connect(now_, TransientId{1}, connect).value();
        accept_.security.identity = identity();
        transmit();
    }
    ~Meeting() {
        client_.reset();
        accepted_.clear();
        require(server_endpoint_.half_open() == 0);
        require(client_endpoint_.half_open() == 0);
    }
    Meeting(const Meeting&) = delete;
    Meeting& operator=(const Meeting&) = delete;

    void step(Choices& choices) {
        const std::size_t choice = choices.byte();
        const bool to_server = (choice & 1) == 0;
        switch (choice >> 1 & 3) {
            case 0: return deliver(to_server, choices.bytes(choices.word() % 1500));
            case 1: return deliver(to_server, changed(to_server, choices));
            case 2: {  // with an id that leads to a connection
                Datagram made = choices.bytes(choices.byte());
                const auto& sent = to_server ? from_client_ : from_server_;
                if (sent.empty()) return;
                const Datagram& real = sent[choices.byte() % sent.size()];
                for (std::size_t i = 1; i < std::min<std::size_t>(made.size(), 32); ++i)
                    if (i < real.size()) made[i] = real[i];
                made.resize(std::max<std::size_t>(made.size(), choices.word() % 1500));
                return deliver(to_server, made);
            }
            case 3: return wait(std::chrono::milliseconds(choices.word()));
        }
    }

private:
    // One that was really sent, spoilt.
    Datagram changed(bool to_server, Choices& choices) {
        const auto& sent = to_server ? from_client_ : from_server_;
        if (sent.empty()) return {};
        Datagram made = sent[choices.byte() % sent.size()];
        for (std::size_t left = choices.byte() % 4; left > 0 && !made.empty(); --left)
            made[choices.word() % made.size()] ^= static_cast<std::byte>(choices.byte());
        if (choices.byte() % 8 == 1) made.resize(choices.word() % (made.size() + 1));
        return made;
    }

    void deliver(bool to_server, const Datagram& datagram) {
        if (datagram.empty()) return;
        Datagrams run;
        run.local = to_server ? server_address_ : client_address_;
        run.remote = to_server ? client_address_ : server_address_;
        run.segment = datagram.size();
        run.bytes = datagram;
        Endpoint& endpoint = to_server ? server_endpoint_ : client_endpoint_;
        std::array<std::byte, 1280> answer;
        const auto routed = endpoint.route(now_, run, answer);
        if (const auto* to = std::get_if<Endpoint::ToConnection>(&routed)) {
            if (Mapping* mapping = find(to_server, to->transient)) mapping->handle_input(now_, run);
        } else if (const auto* client = std::get_if<Endpoint::NewClient>(&routed);
                   client && to_server) {
            accept(endpoint, run, client->proof);
        } else if (const auto* said = std::get_if<Endpoint::Answer>(&routed)) {
            require(said->size <= datagram.size());
        }
        transmit();
        require(server_endpoint_.half_open() <= 4);
    }

    void accept(Endpoint& endpoint, const Datagrams& first, const quic::AddressProof& proof) {
        const TransientId transient{next_transient_++};
        auto made = endpoint.accept(now_, transient, accept_, first, proof);
        if (!made) return;
        accepted_[transient] = std::move(*made);
        if (accepted_.size() > 16) accepted_.erase(accepted_.begin());
    }

    void wait(Duration time) {
        now_ += time;
        for (auto& [transient, mapping] : accepted_)
            if (mapping->deadline() <= now_) mapping->handle_timeout(now_);
        if (client_->deadline() <= now_) client_->handle_timeout(now_);
        transmit();
    }

    Mapping* find(bool to_server, TransientId transient) {
        if (!to_server) return client_.get();
        const auto at = accepted_.find(transient);
        return at == accepted_.end() ? nullptr : at->second.get();
    }

    void transmit() {
        drain(*client_, from_client_);
        for (auto& [transient, mapping] : accepted_) drain(*mapping, from_server_);
    }

    void drain(Mapping& mapping, std::vector<Datagram>& sent) {
        Nothing nothing;
        std::vector<Event> events;
        for (int runs = 0;; ++runs) {
            require(runs < 100);
            const Datagrams run = mapping.poll_transmit(now_, nothing, space_);
            if (run.empty()) break;
            for (auto rest = run; !rest.empty(); rest = rest.after(1))
                if (sent.size() < 64) sent.emplace_back(rest.front().begin(), rest.front().end());
        }
        mapping.poll_events(events);
    }

    const Address client_address_ = *Address::parse("192.0.2.1", 50000);
    const Address server_address_ = *Address::parse("192.0.2.2", 4433);
    Instant now_{std::chrono::seconds(1)};
    Endpoint server_endpoint_{endpoint_options()};
    Endpoint client_endpoint_{endpoint_options()};
    quic::AcceptOptions accept_;
    std::unique_ptr<Mapping> client_;
    std::map<TransientId, std::unique_ptr<Mapping>> accepted_;
    std::uint64_t next_transient_ = 1;
    std::vector<Datagram> from_client_;
    std::vector<Datagram> from_server_;
    std::vector<std::byte> space_ = std::vector<std::byte>(largest_run);
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Choices choices(std::as_bytes(std::span(data, size)));
    Meeting meeting;
    for (int steps = 0; steps < 64 && !choices.empty(); ++steps) meeting.step(choices);
    return 0;
}
