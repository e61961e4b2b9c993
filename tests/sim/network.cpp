// The packets' half of a World: who owns which address, which link leads where, and what comes
// back when there is none.
#include <algorithm>
#include <cassert>
#include <cerrno>

#include "tests/sim/host_io.hpp"
#include "tests/sim/world.hpp"

namespace post::sim {

namespace {

Address parse(std::string_view ip) {
    const auto address = Address::parse(ip);
    if (!address) throw std::invalid_argument("not an address: " + std::string(ip));
    return *address;
}

}  // namespace

Host& World::host(std::string_view ip) {
    if (Host* known = owner(parse(ip))) return *known;
    const std::size_t index = hosts_.size();
    const Random dice(seed_, (std::uint64_t{2} << 32) + index);
    hosts_.push_back(std::make_unique<Host>(*this, index, Direction(Timeline::start, dice)));
    return hosts_.back()->add_address(ip);
}

Address World::claim(std::string_view ip, Host& host) {
    const Address address = without_port(parse(ip));
    const auto [place, fresh] = owners_.emplace(address, &host);
    if (!fresh && place->second != &host)
        throw std::invalid_argument(std::string(ip) + " belongs to another host");
    return address;
}

Host* World::owner(const Address& ip) const {
    const auto found = owners_.find(without_port(ip));
    return found == owners_.end() ? nullptr : found->second;
}

Link& World::link(Host& a, Host& b, const LinkOptions& both) { return link(a, b, both, both); }

Link& World::link(Host& a, Host& b, const LinkOptions& there, const LinkOptions& back) {
    assert(&a != &b && "a host reaches itself through Host::loopback");
    const auto reverse = host_links_.find({b.index(), a.index()});
    if (reverse != host_links_.end()) {
        reverse->second->there.options = back;
        reverse->second->back.options = there;
        return *reverse->second;
    }
    Link*& known = host_links_[{a.index(), b.index()}];
    if (!known) return *(known = &make_link(there, back));
    known->there.options = there;
    known->back.options = back;
    return *known;
}

Link& World::link(std::string_view a, std::string_view b, const LinkOptions& both) {
    const Address from = without_port(parse(a));
    const Address to = without_port(parse(b));
    if (const auto reverse = address_links_.find({to, from}); reverse != address_links_.end()) {
        reverse->second->set(both);
        return *reverse->second;
    }
    Link*& known = address_links_[{from, to}];
    if (!known) return *(known = &make_link(both, both));
    known->set(both);
    return *known;
}

Link& World::make_link(const LinkOptions& there, const LinkOptions& back) {
    const std::uint64_t part = (std::uint64_t{3} << 32) + 2 * links_.size();
    links_.push_back(
        std::make_unique<Link>(Link{.there = Direction(Timeline::start, Random(seed_, part)),
                                    .back = Direction(Timeline::start, Random(seed_, part + 1))}));
    links_.back()->there.options = there;
    links_.back()->back.options = back;
    return *links_.back();
}

World::Route World::route(const Host& from, const Address& source, const Address& to) const {
    Route route{.host = owner(to)};
    if (!route.host) return route;
    const auto search = [&](const auto& links, const auto& a, const auto& b) {
        if (const auto there = links.find({a, b}); there != links.end()) {
            route.direction = &there->second->there;
            route.reverse = &there->second->back;
        } else if (const auto back = links.find({b, a}); back != links.end()) {
            route.direction = &back->second->back;
            route.reverse = &back->second->there;
        }
        return route.direction != nullptr;
    };
    if (!search(address_links_, without_port(source), without_port(to)))
        search(host_links_, from.index(), route.host->index());
    return route;
}

bool World::has_link(const Host& from, const Address& source, const Address& to) const {
    return route(from, source, to).direction != nullptr;
}

std::size_t World::mtu(const Host& from, const Address& to) const {
    if (from.has(to)) return from.loopback.options.mtu;
    const Route way = route(from, from.source_for(to), to);
    return way.direction ? way.direction->options.mtu : 0;
}

void World::send(Host& from, Packet packet) {
    packet.sent = now();
    note("sent", packet);
    Host* to = &from;
    Direction* direction = &from.loopback;
    if (!from.has(packet.to)) {
        // The NAT renames the source; the way is found by the inner one, or by the new address.
        const Address inner = packet.from;
        packet.from = from.outward(inner);
        const Route way = route(from, inner, packet.to);
        to = way.host;
        direction = way.direction;
    }
    Verdict verdict = Verdict::unreachable;
    arrivals_.clear();
    if (to && direction) verdict = direction->offer(packet, arrivals_);

    if (recorder_) recorder_->add(packet, verdict);
    for (const auto& observer : observers_) observer(packet, verdict);

    if (verdict == Verdict::unreachable) unreachable(from, packet, EHOSTUNREACH, {});
    if (verdict == Verdict::too_big && direction->options.tell_mtu)
        unreachable(from, packet, EMSGSIZE, direction->options.delay);
    for (auto& [at, arrival] : arrivals_) {
        timeline_.at(at, [this, to, moved = std::make_unique<Packet>(std::move(arrival))] {
            arrive(*to, std::move(*moved));
        });
    }
}

// A router says that this packet goes no further. It stands next to the sender, or behind the
// link's delay; what it says is never lost.
void World::unreachable(Host& from, const Packet& packet, int error, Duration delay) {
    if (packet.protocol == Protocol::icmp) return;  // RFC 1122, 3.2.2: never about an error
    Packet answer{.sent = now(),
                  .from = packet.to,
                  .to = packet.from,
                  .protocol = Protocol::icmp,
                  .trouble = error,
                  .about = packet.protocol};
    timeline_.at(now() + delay + limits_.router_delay,
                 [this, &from, answer = std::make_unique<Packet>(std::move(answer))] {
                     arrive(from, std::move(*answer));
                 });
}

void World::arrive(Host& host, Packet packet) {
    note("arrived", packet);
    if (!host.has(packet.from)) {
        packet.to = host.inward(packet.to);
        if (packet.to.family == Address::Family::none) return;
    }
    host.arrive(std::move(packet));
}

void World::note(const char* what, const Packet& packet) {
    digest_.add(static_cast<std::uint64_t>(static_cast<unsigned char>(*what)));
    digest_.add(static_cast<std::uint64_t>(elapsed().count()));
    digest_.add(packet.from);
    digest_.add(packet.to);
    digest_.add(static_cast<std::uint64_t>(packet.ecn) << 8 |
                static_cast<std::uint64_t>(packet.protocol));
    digest_.add(static_cast<std::uint64_t>(packet.trouble));
    if (packet.protocol == Protocol::tcp) {
        const Segment& segment = packet.segment;
        digest_.add(std::uint64_t{segment.seq} << 32 | segment.ack);
        digest_.add(std::uint64_t{segment.window} << 4 |
                    static_cast<std::uint64_t>(8 * segment.acks + 4 * segment.syn +
                                               2 * segment.fin + segment.rst));
    }
    digest_.add(packet.bytes.span());
}

void World::resolve(HostIo& io, const Io::Lookup& lookup) {
    for (auto& answer : names_.answers(lookup)) {
        timeline_.at(now() + answer.after,
                     [this, id = io.id(),
                      resolved = std::make_unique<Io::Resolved>(std::move(answer.resolved))] {
                         if (HostIo* there = find_io(id))
                             there->handle_resolved(std::move(*resolved));
                     });
    }
}

}  // namespace post::sim
