// Fuzz target for foreign byte streams: what comes on their connections, over TCP alone or in TLS
// whose peer is honest until its handshake is done, with news of the connections in any order, and
// between them what an association does with its mapping. Whatever comes, nothing crashes, no
// window is passed by a byte, and a Carrier that has ended says nothing more.
#include <cerrno>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "mappings/tcp/endpoint.hpp"
#include "tests/fake/queue_supply.hpp"
#include "tests/fuzz/choices.hpp"

namespace {

using namespace post;
using test::Choices;

void require(bool condition) {
    if (!condition) std::abort();
}

const Identity& identity() {
    static const Identity made = Identity::self_signed("localhost");
    return made;
}

Limits limits() {
    Limits limits;
    limits.carrier_window = 4096;
    limits.budget = 10'000;
    limits.carriers = limits.most_carriers = 4;
    return limits;
}

const std::vector<std::string> alpn{"fuzz/1"};

class Victim {
public:
    Victim(bool client, bool secured) : client_(client) {
        if (client) {
            tcp::ConnectOptions options;
            options.remote = *Address::parse("192.0.2.2", 80);
            options.transport.limits = limits();
            if (secured) {
                options.security.emplace();
                options.security->trust = Trust::pinned(identity().pin());
                options.security->server_name = "localhost";
                options.alpn = alpn;
            }
            mapping_ = endpoint_.connect(now_, options);
        } else {
            tcp::TransportOptions options;
            options.limits = limits();
            const auto address = *Address::parse("192.0.2.2", 80);
            mapping_ = secured
                           ? endpoint_.accept(now_, options, address, address, session()).value()
                           : endpoint_.accept(now_, options, address, address);
        }
        if (!secured) return;
        crypto::ServerSecurity server;
        server.identity = identity();
        crypto::ClientSecurity other;
        other.trust = Trust::pinned(identity().pin());
        other.server_name = "localhost";
        const auto& protection = crypto::gnutls_protection();
        if (client)
            peer_.emplace(store_, server, alpn, protection);
        else
            peer_.emplace(store_, other, alpn, protection), peer_->start();
    }

    // Bytes for a connection, as far as the edge would take them.
    void hear(LinkId link, std::span<const std::byte> bytes) {
        while (!bytes.empty() && most(link) > 0) {
            const auto now = bytes.first(std::min(most(link), bytes.size()));
            bytes = bytes.subspan(now.size());
            Datagrams run;
            run.link = link;
            run.bytes = now;
            run.segment = now.size();
            mapping_->handle_input(now_, run);
            drain();
        }
    }
    // The honest peer's next words, on the first connection.
    void hear_peer(Choices& choices) {
        if (!peer_) return;
        std::vector<std::byte> out(64 * 1024);
        out.resize(peer_->take_output(out));
        if (peer_->can_seal() && peer_->progress() == crypto::TlsStream::Progress::complete) {
            const auto size = choices.word() % 8000;
            std::vector<std::byte> space(size + crypto::tls_overhead, std::byte{'x'});
            space.resize(peer_->seal(space, size));
            out.insert(out.end(), space.begin(), space.end());
            if (choices.byte() % 16 == 0) peer_->close();
        }
        hear(LinkId{0}, out);
    }
    void tell(LinkId link, Choices& choices) {
        const auto reset = std::error_code(ECONNRESET, std::system_category());
        LinkNews news{link, link::Writable{}};
        switch (choices.byte() % 8) {
            case 0: news.what = link::Begun{*Address::parse("192.0.2.1", 50000)}; break;
            case 1: news.what = link::Failed{Error(Errc::unreachable)}; break;
            case 2: news.what = link::Full{}; break;
            case 3: news.what = link::Ended{}; break;
            case 4: news.what = link::Broken{reset}; break;
            case 5:
                news.what = link::Unacknowledged{choices.number(), Duration(choices.word())};
                break;
            default: break;
        }
        mapping_->handle_link(now_, news);
        drain();
    }
    // What an association does with its mapping.
    void act(Choices& choices) {
        CarrierId carrier{choices.byte() % 8};
        const auto what = choices.byte() % 9;
        // Even ids are the client's to give, odd ones the server's; and none is given twice.
        if (what < 2) carrier = CarrierId{carrier.value() / 2 * 2 + (client_ ? 0 : 1)};
        if (what < 2 && !opened_.insert(carrier).second) return;
        switch (what) {
            case 0: supply_.push(Open{carrier, {}, CarrierKind::messages}); break;
            case 1: supply_.push(Open{carrier, {}, CarrierKind::one_way}); break;
            case 2: {
                const std::string text(choices.word() % 6000, 'x');
                const Sequence sequence{next_[carrier]++};
                supply_.push(Piece{carrier, {}, sequence, 0, text.size(), Bytes(text), {}});
                break;
            }
            case 3: supply_.push(Finish{carrier}); break;
            case 4: mapping_->reset(carrier, Error(Errc::cancelled)); break;
            case 5: mapping_->stop(carrier, Error(Errc::too_slow)); break;
            case 6: grant(carrier, choices.word()); break;
            case 7: {
                const auto bytes = choices.word();
                budget_ += bytes;
                mapping_->extend_budget(bytes);
                break;
            }
            case 8:
                // A client's Carrier that is given away was never opened, and is not afterwards.
                if (ended_.contains(carrier) || (client_ && opened_.contains(carrier))) break;
                if (mapping_->release(carrier)) opened_.insert(carrier);
                break;
        }
        drain();
    }
    void speak() {
        std::vector<std::byte> space(largest_run);
        for (int runs = 0;; ++runs) {
            require(runs < 1000);
            links();
            const Datagrams run = mapping_->poll_transmit(now_, supply_, space);
            drain();
            if (run.empty() && !run.end) break;
            if (peer_ && run.link == LinkId{0}) {
                crypto::TlsStream::Sink sink = [](std::span<const std::byte>) { return true; };
                peer_->handle_input(run.bytes, room_, sink);
            }
        }
        links();
        drain();
    }
    void pass(Duration time) {
        now_ += time;
        if (mapping_->deadline() <= now_) mapping_->handle_timeout(now_);
        drain();
    }
    void close() { mapping_->close(Error(Errc::cancelled)); }

private:
    std::unique_ptr<crypto::TlsStream> session() {
        crypto::ServerSecurity security;
        security.identity = identity();
        return std::make_unique<crypto::TlsStream>(store_, security, alpn, endpoint_.protection());
    }
    std::size_t most(LinkId link) const {
        const auto at = most_.find(link);
        return at == most_.end() ? ~std::size_t{0} : at->second;
    }
    void grant(CarrierId carrier, std::uint64_t bytes) {
        windows_[carrier] += bytes;
        mapping_->extend_window(carrier, bytes);
    }
    void links() {
        while (const auto want = mapping_->poll_link())
            if (const auto* take = std::get_if<link::Take>(&want->what))
                most_[want->link] = take->most;
    }
    void drain() {
        links();
        std::vector<Event> events;
        mapping_->poll_events(events);
        test::spread_runs(events);
        for (const auto& event : events) {
            require(!lost_);
            lost_ = std::holds_alternative<event::Lost>(event);
            if (const auto* one = std::get_if<event::Unblocked>(&event); one && one->carrier)
                supply_.unblock(*one->carrier);
            if (const auto* ended = std::get_if<event::Ended>(&event)) {
                require(ended_.insert(ended->carrier).second);
            }
            if (const auto* opened = std::get_if<event::Opened>(&event))
                opened_.insert(opened->open.carrier);
            if (const auto* finished = std::get_if<event::Finished>(&event))
                require(!ended_.contains(finished->carrier));
            const auto* piece = std::get_if<event::Arrived>(&event);
            if (!piece) continue;
            const CarrierId carrier = piece->piece.carrier;
            require(!ended_.contains(carrier));
            arrived_[carrier] += piece->piece.bytes.size();
            all_ += piece->piece.bytes.size();
            require(arrived_[carrier] <= limits().carrier_window + windows_[carrier]);
            require(all_ <= limits().budget + budget_);
        }
    }

    const bool client_;
    bool lost_ = false;
    Instant now_{std::chrono::seconds(1)};
    tcp::Endpoint endpoint_{{}};
    crypto::CredentialStore store_;
    std::unique_ptr<Mapping> mapping_;
    std::optional<crypto::TlsStream> peer_;
    std::vector<std::byte> room_ = std::vector<std::byte>(crypto::largest_tls_fragment);
    test::QueueSupply supply_;
    std::map<LinkId, std::size_t> most_;
    std::set<CarrierId> opened_;
    std::set<CarrierId> ended_;
    std::map<CarrierId, std::uint64_t> next_;
    std::map<CarrierId, std::uint64_t> windows_;  // that was granted
    std::map<CarrierId, std::uint64_t> arrived_;
    std::uint64_t all_ = 0;
    std::uint64_t budget_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Choices choices(std::as_bytes(std::span(data, size)));
    const auto how = choices.byte();
    Victim victim((how & 1) != 0, (how & 2) != 0);
    for (int steps = 0; steps < 64 && !choices.empty(); ++steps) {
        const auto what = choices.byte();
        const LinkId link{static_cast<std::uint32_t>(what / 32 % 4)};
        switch (what % 8) {
            case 0:
            case 1: victim.act(choices); break;
            case 2: victim.tell(link, choices); break;
            case 3: victim.pass(std::chrono::milliseconds(choices.word())); break;
            case 4: victim.speak(); break;
            case 5: victim.hear(link, choices.bytes(choices.word() % 20'000)); break;
            case 6:
                if (choices.byte() == 0) victim.close();
                break;
            default: victim.hear_peer(choices); break;
        }
    }
    victim.speak();
    return 0;
}
