// The clock and the link between two mappings.
#include "tests/contract/pair.hpp"

#include <algorithm>

namespace post::test {

CarrierId End::open(CarrierKind kind, std::optional<CarrierId> parent) {
    CarrierId carrier{next_carrier_};
    next_carrier_ += 2;
    supply.push(Open{carrier, parent, kind});
    return carrier;
}

void End::send(CarrierId carrier, Bytes content, NicenessClass niceness) {
    auto size = std::max<std::size_t>(content.size(), 1);
    send_cut(carrier, content, size, niceness);
}

void End::send_cut(CarrierId carrier, const Bytes& content, std::size_t chunk,
                   NicenessClass niceness) {
    Piece piece;
    piece.carrier = carrier;
    piece.niceness = niceness;
    piece.sequence = Sequence{sequences_[{carrier, niceness}]++};
    piece.total = content.size();
    do {
        piece.bytes = content.slice(static_cast<std::size_t>(piece.offset), chunk);
        supply.push(piece);
        piece.offset += piece.bytes.size();
    } while (piece.offset < piece.total);
}

void End::send_alone(CarrierId carrier, Bytes content, const Properties& properties) {
    Piece piece;
    piece.carrier = carrier;
    piece.sequence = Sequence{sequences_[{carrier, NicenessClass{}}]++};
    piece.total = content.size();
    piece.bytes = std::move(content);
    piece.marks.ordered = piece.marks.reliable = false;
    if (!properties.empty()) piece.extras = Extras{.properties = properties};
    supply.push(std::move(piece));
}

std::vector<std::string> End::messages_alone(CarrierId carrier) const {
    std::vector<std::string> texts;
    for (const auto& one : all<event::ArrivedAlone>())
        if (one.piece.carrier == carrier) texts.push_back(one.piece.bytes.string());
    return texts;
}

std::vector<std::string> End::messages(CarrierId carrier) const {
    // Only what is whole is put together: tests ask again and again while megabytes arrive.
    using Key = std::pair<NicenessClass, Sequence>;
    std::map<Key, std::string> ended;
    for (const auto& event : events) {
        auto* arrived = std::get_if<event::Arrived>(&event);
        if (arrived == nullptr || arrived->piece.carrier != carrier) continue;
        const auto& piece = arrived->piece;
        if (piece.last()) ended.emplace(Key{piece.niceness, piece.sequence}, "");
    }
    std::vector<std::string> whole;
    if (ended.empty()) return whole;
    for (const auto& event : events) {
        auto* arrived = std::get_if<event::Arrived>(&event);
        if (arrived == nullptr || arrived->piece.carrier != carrier) continue;
        const auto& piece = arrived->piece;
        const auto text = ended.find({piece.niceness, piece.sequence});
        if (text == ended.end()) continue;
        text->second += piece.bytes.view();
        if (piece.last()) whole.push_back(text->second);
    }
    return whole;
}

std::uint64_t End::bytes_arrived(CarrierId carrier) const {
    std::uint64_t bytes = 0;
    for (const auto& event : events)
        if (auto* arrived = std::get_if<event::Arrived>(&event))
            if (arrived->piece.carrier == carrier) bytes += arrived->piece.bytes.size();
    return bytes;
}

std::uint64_t End::acked(CarrierId carrier) const {
    std::uint64_t pieces = 0;
    for (const auto& one : all<event::Acked>(carrier)) pieces += one.pieces;
    return pieces;
}

void End::drain() {
    if (!mapping) return;
    std::vector<Event> fresh;
    mapping->poll_events(fresh);
    spread_runs(fresh);
    for (auto& event : fresh) {
        if (auto* unblocked = std::get_if<event::Unblocked>(&event)) {
            if (unblocked->carrier) supply.unblock(*unblocked->carrier);
        } else if (auto* arrived = std::get_if<event::Arrived>(&event); arrived && take) {
            mapping->extend_window(arrived->piece.carrier, arrived->piece.bytes.size());
            mapping->extend_budget(arrived->piece.bytes.size());
        }
        // Only lent, perhaps.
        if (auto* alone = std::get_if<event::ArrivedAlone>(&event))
            alone->piece.bytes = alone->piece.bytes.held();
        events.push_back(std::move(event));
    }
}

Address Pair::address(bool of_server) {
    return *Address::parse(of_server ? "192.0.2.2" : "192.0.2.1", of_server ? 4433 : 50000);
}

void Pair::launch(bool to_server, const Datagrams& run) {
    auto chance = [&](double share) {
        return share > 0 && std::uniform_real_distribution<>(0, 1)(random_) < share;
    };
    for (auto rest = run; !rest.empty(); rest = rest.after(1)) {
        ++datagrams_;
        auto front = rest.front();
        Flight flight{
            now_ + options_.link.delay, 0, to_server, {front.begin(), front.end()}, run.ecn};
        sent(flight);
        if (on_launch && !on_launch(to_server, flight.at)) continue;
        if (on_size && !on_size(front.size())) continue;
        if (cut_ || chance(options_.link.loss)) continue;
        for (int copies = chance(options_.link.duplicate) ? 2 : 1; copies > 0; --copies) {
            auto late = options_.link.jitter.count();
            if (late > 0)
                flight.at += Duration(
                    std::uniform_int_distribution<std::int64_t>(0, late)(random_));
            flight.number = datagrams_ * 2 + static_cast<unsigned>(copies & 1);
            flights_.insert({{flight.at, flight.number}, flight});
        }
    }
}

void Pair::transmit(End& from, bool to_server) {
    if (!from.mapping) return;
    static std::vector<std::byte> space(largest_run);
    for (;;) {
        serve_links(to_server);
        auto run = from.mapping->poll_transmit(now_, from.supply, space);
        from.drain();
        if (run.empty() && !run.end) break;
        launch(to_server, run);
    }
    serve_links(to_server);
}

// One moment: what is due is delivered, timers run, and both ends send. False at the end.
bool Pair::step(Instant end) {
    transmit(client, true);
    transmit(server, false);
    auto next = flights_.empty() ? never : flights_.begin()->first.first;
    for (auto* one : {&client, &server})
        if (one->mapping) next = std::min(next, one->mapping->deadline());
    next = std::min(next, shared_deadline());
    if (next > end) return false;
    now_ = std::max(now_, next);
    moved();

    while (!flights_.empty() && flights_.begin()->first.first <= now_) {
        auto flight = std::move(flights_.begin()->second);
        flights_.erase(flights_.begin());
        if (cut_) continue;
        Datagrams datagram;
        datagram.local = address(flight.to_server);
        datagram.remote = address(!flight.to_server);
        datagram.ecn = flight.ecn;
        datagram.segment = flight.bytes.size();
        datagram.bytes = flight.bytes;
        deliver(flight.to_server, datagram);
        (flight.to_server ? server : client).drain();
    }
    serve_shared();
    for (auto* one : {&client, &server}) {
        if (!one->mapping || one->mapping->deadline() > now_) continue;
        one->mapping->handle_timeout(now_);
        one->drain();
        transmit(*one, one == &client);
        // A deadline that stays in the past would make the loop above it spin.
        if (one->mapping->deadline() <= now_ && ++stuck_ > 1000) return false;
    }
    return true;
}

}  // namespace post::test
