// Listeners: which ports they open, what those take clients with, and when they close.
#include <algorithm>

#include "lib/context_paths.hpp"
#include "lib/context_root.hpp"
#include "lib/policy/selection.hpp"

namespace post::core {

namespace {

// A number that UDP has free, and TCP has not, is no number for both; the next may be.
constexpr int most_numbers = 16;

bool same(const ListenerKey& one, const ListenerKey& other) {
    return one.slot == other.slot && one.generation == other.generation;
}

}  // namespace

// What listen() opens; what it does not use it closes.
struct Root::Opened {
    std::vector<Port*> shared;  // QUIC and DTLS
    std::vector<Port*> sctp;    // right over UDP
    std::vector<TcpPort> tcp;
    std::vector<std::unique_ptr<DatagramPort>> datagrams;
};

// Opens one for each address, all with one number, which is chosen with the first when it is 0.
// What a machine has no family for is left out.
template <class Open> Error Root::open_each(const Doors& doors, std::uint16_t& number, Open open) {
    std::vector<Address> wanted{doors.address};
    if (doors.address.family == Address::Family::none)
        wanted = {Address::any_v4(), Address::any_v6()};
    Error error;
    bool any = false;
    for (const std::uint32_t interface : doors.interfaces) {
        for (Address address : wanted) {
            address.port = number;
            const Result<Address> opened = open(address, interface);
            if (opened) {
                any = true;
                number = opened->port;
            } else if (!any || opened.error() == Errc::address_in_use) {
                error = opened.error();
            }
        }
    }
    return any && error != Errc::address_in_use ? Error() : error;
}

Error Root::open_ports(Opened& opened, std::uint16_t& number, const Doors& doors,
                       const Local& local, const ListenOptions& options) {
    const auto& stacks = options.policy.stacks;
    const auto outlet = [&](std::uint32_t interface) {
        return Io::Outlet{.interface = interface, .strict = true, .dscp = local.dscp};
    };
    if (of_datagrams(options.policy))
        return open_each(
            doors, number, [&](const Address& at, std::uint32_t interface) -> Result<Address> {
                auto port = open_datagram_port(at, outlet(interface), {local.shared, local.of},
                                               stacks.front(), options.udp);
                if (!port) return port.error();
                opened.datagrams.push_back(std::move(*port));
                return opened.datagrams.back()->local;
            });
    const auto named = [&](Stack stack) {
        return std::find(stacks.begin(), stacks.end(), stack) != stacks.end();
    };
    if (named(Stack::quic) || named(Stack::http3) || named(Stack::sctp_dtls)) {
        const bool connections = named(Stack::quic) || named(Stack::http3);
        const QuicOptions* quic = connections ? &options.quic : nullptr;
        Error error = open_each(
            doors, number, [&](const Address& at, std::uint32_t interface) -> Result<Address> {
                auto port = open_port(at, quic, {local.shared, local.of}, outlet(interface));
                if (!port) return port.error();
                opened.shared.push_back(*port);
                return (*port)->local;
            });
        if (!error && quic) error = open_preferred(opened.shared, *quic);
        if (error) return error;
    }
    if (named(Stack::tls) || named(Stack::tcp)) {
        Error error = open_each(
            doors, number, [&](const Address& at, std::uint32_t interface) -> Result<Address> {
                auto port = open_tcp_port(at, outlet(interface), local.of > 1, options.tls);
                if (!port) return port.error();
                port->secured = named(Stack::tls);
                opened.tcp.push_back(std::move(*port));
                return opened.tcp.back().local;
            });
        if (error) return error;
    }
    if (!named(Stack::sctp_udp)) return {};
    std::uint16_t udp_port = options.sctp.udp_port;
    return open_each(doors, udp_port,
                     [&](const Address& at, std::uint32_t interface) -> Result<Address> {
                         auto port = open_port(at, nullptr, {}, outlet(interface));
                         if (!port) return port.error();
                         opened.sctp.push_back(*port);
                         return (*port)->local;
                     });
}

void Root::close_ports(Opened& opened) {
    for (auto* ports : {&opened.shared, &opened.sctp})
        for (Port* port : *ports) close_port_if_idle(*port);
    for (const TcpPort& port : opened.tcp) io_->close(port.socket);
    for (const auto& port : opened.datagrams) io_->close(port->socket);
    opened = {};
}

Result<Listener> Root::listen(const Local& local, const ListenOptions& asked) {
    if (const auto fine = check_listen(local, asked); !fine) return fine.error();
    const Selection selection = core::select(asked.policy, preferences_);
    if (selection.error) return selection.error;
    ListenOptions options = asked;
    options.policy.stacks.clear();
    for (const auto& each : selection.chosen) options.policy.stacks.push_back(each.stack);
    auto on = listen_on(local, options.policy);
    if (!on) return on.error();
    const Doors doors{local.address, *std::move(on)};
    const std::uint16_t wanted = local.port != 0 ? local.port : local.address.port;
    Opened opened;
    // Of a range the first number that is free of both; of none, any.
    const auto listening = first_free(local, [&](std::uint16_t number) -> Result<std::uint16_t> {
        for (int tries = 1;; ++tries) {
            std::uint16_t chosen = number != 0 ? number : wanted;
            Error error = open_ports(opened, chosen, doors, local, options);
            if (!error) return chosen;
            const bool again = wanted == 0 && error == Errc::address_in_use && tries < most_numbers;
            close_ports(opened);
            if (!again) return error;
        }
    });
    if (!listening) return listening.error();
    std::vector<Address> addresses;
    const auto add = [&](const Address& address) {
        if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
            addresses.push_back(address);
    };
    for (Port* port : opened.shared) add(port->local);
    for (const TcpPort& port : opened.tcp) add(port.local);
    for (const auto& port : opened.datagrams) add(port->local);
    for (Port* port : opened.sctp) {
        listen_sctp_udp(*port, wanted != 0 ? *listening : port->local.port, options);
        add(port->local);
    }
    const ListenerKey key = carriers_.listen(std::move(addresses));
    const auto& stacks = options.policy.stacks;
    const bool dtls = std::find(stacks.begin(), stacks.end(), Stack::sctp_dtls) != stacks.end();
    for (auto* ports : {&opened.shared, &opened.sctp}) {
        for (Port* port : *ports) {
            port->listener = key;
            port->bounds = options.bounds;
            port->accept.security = security(local, options, Stack::quic);
            for (const std::string& alpn : options.alpn) port->accept.alpn.push_back(alpn);
            listen_http3(*port, stacks, options.http);
            port->quic = options.quic;
            port->accept.transport = transport(options.bounds, options.quic);
            offer_preferred(*port);
            if (dtls && !port->udp) listen_sctp(*port, local, options);
        }
    }
    for (TcpPort& port : opened.tcp) {
        port.listener = key;
        port.bounds = options.bounds;
        port.accept.security = security(local, options, Stack::tls);
        // Which protocol a client's early data is of would be known too late.
        if (!options.alpn.empty() || options.without_alpn)
            port.accept.security.tickets.early = nullptr;
        port.accept.transport.limits = limits(options.bounds);
        for (const std::string& alpn : options.alpn) port.accept.alpn.push_back(alpn);
        if (options.without_alpn) port.accept.alpn.emplace_back();
        tcp_ports_.push_back(std::move(port));
    }
    for (auto& port : opened.datagrams) {
        port->listener = key;
        port->bounds = options.bounds;
        datagram_ports_.push_back(std::move(port));
    }
    return carriers_.handle(key);
}

void Root::close_listeners() {
    for (ListenerKey key : carriers_.poll_closed()) {
        retire_clients(key);
        // By index: closing a port takes it out of the list.
        for (std::size_t i = ports_.size(); i-- > 0;) {
            Port& port = *ports_[i];
            if (!port.listener || !same(*port.listener, key)) continue;
            port.listener.reset();
            close_port_if_idle(port);
        }
        for (std::size_t i = datagram_ports_.size(); i-- > 0;) {
            DatagramPort& port = *datagram_ports_[i];
            if (!port.listener || !same(*port.listener, key)) continue;
            port.listener.reset();
            close_if_idle(port);
        }
        std::erase_if(tcp_ports_, [&](const TcpPort& port) {
            if (!same(port.listener, key)) return false;
            io_->close(port.socket);
            return true;
        });
    }
}

// Those that it took go on, and nobody takes what they would open.
void Root::retire_clients(const ListenerKey& key) {
    for (const AssociationId id : associations_.all())
        if (associations_.origin(id) == origin_of(key)) associations_.use(id)->retire();
}

void Root::close_port_if_idle(Port& port) {
    if (!port.listener && port.udp) port.udp->close();
    if (port.listener || port.associations > 0 || port.kept) return;
    io_->close(port.socket);
    std::erase_if(ports_, [&](const auto& one) { return one.get() == &port; });
}

}  // namespace post::core
