// The interfaces of a simulated host: names for its addresses. Links know addresses alone.
#include <algorithm>
#include <stdexcept>

#include "tests/sim/host.hpp"

namespace post::sim {

namespace {

Interface make_lo() {
    Interface made{"lo", InterfaceType::loopback, 1, 65536};
    made.sources = {{*Address::parse("127.0.0.1"), 8}, {*Address::parse("::1"), 128}};
    return made;
}

}  // namespace

Host& Host::add_interface(const std::string& name, const std::vector<std::string>& ips,
                          InterfaceType type) {
    nics_.push_back({name, type});
    for (const std::string& ip : ips) {
        add_address(ip);
        nics_.back().addresses.push_back(addresses_.back());
    }
    ++interface_changes_;
    return *this;
}

void Host::set_gateway(const std::string& interface, std::string_view ip) {
    nic(interface).gateways = {*Address::parse(ip)};
    ++interface_changes_;
}

void Host::set_up(const std::string& interface, bool up) {
    nic(interface).up = up;
    ++interface_changes_;
}

void Host::plug(const std::string& interface, bool in) {
    nic(interface).plugged = in;
    set_up(interface, in);
}

bool Host::carries(const Address& ip) const {
    const std::uint32_t index = index_of(ip);
    return index < 2 || nics_[index - 2].plugged;
}

Host::Nic& Host::nic(const std::string& name) {
    const auto found = std::find_if(nics_.begin(), nics_.end(),
                                    [&](const Nic& each) { return each.name == name; });
    if (found == nics_.end()) throw std::invalid_argument("no interface is called " + name);
    return *found;
}

std::uint32_t Host::index_of(const Address& ip) const {
    if (ip.is_loopback()) return 1;
    for (std::size_t i = 1; i < nics_.size(); ++i)
        for (const Address& each : nics_[i].addresses)
            if (each == without_port(ip)) return static_cast<std::uint32_t>(i + 2);
    return has(ip) ? 2 : 0;
}

std::vector<Interface> Host::interfaces() const {
    std::vector<Interface> all;
    for (std::size_t i = 0; i < nics_.size(); ++i) {
        const Nic& each = nics_[i];
        if (!each.up) continue;
        Interface made{each.name, each.type, static_cast<std::uint32_t>(i + 2), 1500};
        for (const Address& address : addresses_)
            if (index_of(address) == made.index)
                made.sources.push_back(
                    {address,
                     static_cast<std::uint8_t>(address.family == Address::Family::v6 ? 64 : 24)});
        for (const Address& any : {Address::any_v4(), Address::any_v6()}) {
            Interface::Route route{.to = any, .metric = static_cast<std::uint32_t>(i)};
            for (const Address& gateway : each.gateways)
                if (gateway.family == any.family) route.gateway = gateway;
            made.routes.push_back(route);
        }
        all.push_back(std::move(made));
    }
    all.push_back(make_lo());
    return all;
}

}  // namespace post::sim
