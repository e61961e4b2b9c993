// Plain datagrams of the root: flows with a socket of their own, those of a listening port, and
// Sinks of multicast groups.
#include <algorithm>

#include "lib/context_paths.hpp"
#include "lib/context_root.hpp"

namespace post::core {

namespace {

Error of_call(Errc code, const char* text) { return Error(code, {}, Stage::call, Bytes(text)); }

}  // namespace

udp::FlowOptions Root::flow(Stack stack, const Address& local, const Address& remote,
                            SocketId socket, const UdpOptions& options, std::size_t mtu) {
    udp::FlowOptions flow;
    flow.stack = stack;
    flow.local = local;
    flow.remote = remote;
    flow.datagrams = options.datagrams;
    flow.unfragmented = payload_limit(remote, mtu);
    flow.run_limit = io_->run_limit(socket);
    return flow;
}

// A socket of its own, connected: so the system tells it, and nobody else, what ICMP says.
Result<Root::Started> Root::connect_udp(const Association& association, const Setup& setup,
                                        const Connect& wanted) {
    const InitiateOptions& options = setup.options;
    const auto& [attempt, stack, remote, path] = wanted;
    if (remote.is_multicast() && !options.one_way)
        return of_call(Errc::unsupported,
                       "a group answers nobody: send to it by initiate_source, and receive by "
                       "listen_sink");
    const auto from = source(options.local, path, remote);
    if (!from) return from.error();
    Io::UdpOptions udp;
    udp.datagrams = Io::DatagramSocket{stack == Stack::udp_lite, remote, false, options.udp};
    udp.outlet = outlet(options.local, path);
    const auto socket = first_free(options.local, [&](std::uint16_t number) {
        udp.local = *from;
        udp.local.port = number;
        return io_->open_udp(udp);
    });
    if (!socket) return socket.error();
    udp::FlowOptions flow = this->flow(stack, io_->local_address(*socket), remote, *socket,
                                       options.udp, path.mtu);
    flow.limits = limits(options.bounds);
    Way way;
    way.attempt = attempt;
    way.connection = *socket;
    way.remote = remote;
    associations_.use(association.id());  // it is established already
    return Started{way, std::make_unique<udp::Flow>(
                            nullptr, transient_of({association.id(), attempt}), flow, now_)};
}

Result<std::unique_ptr<Root::DatagramPort>> Root::open_datagram_port(const Address& local,
                                                                     const Io::Outlet& outlet,
                                                                     Io::Share share, Stack stack,
                                                                     const UdpOptions& options) {
    if (local.is_multicast())
        return of_call(Errc::invalid_argument, "a group is listened to by listen_sink");
    Io::UdpOptions udp;
    udp.local = local;
    udp.share = share;
    udp.datagrams = Io::DatagramSocket{stack == Stack::udp_lite, {}, false, options};
    udp.outlet = outlet;
    const auto socket = io_->open_udp(udp);
    if (!socket) return socket.error();
    auto port = std::make_unique<DatagramPort>();
    port->socket = *socket;
    port->local = io_->local_address(*socket);
    port->stack = stack;
    port->options = options;
    port->endpoint = std::make_unique<udp::Endpoint>(options.flows);
    return port;
}

Root::DatagramPort* Root::datagram_port(SocketId socket) {
    const auto at = std::find_if(datagram_ports_.begin(), datagram_ports_.end(),
                                 [&](const auto& port) { return port->socket == socket; });
    return at == datagram_ports_.end() ? nullptr : at->get();
}

void Root::route_udp(DatagramPort& port, const Datagrams& datagrams) {
    const auto routed = port.endpoint->route(datagrams, port.listener.has_value());
    if (const auto* to = std::get_if<udp::Endpoint::ToFlow>(&routed)) {
        return give(to->transient, datagrams);
    }
    const auto* fresh = std::get_if<udp::Endpoint::NewFlow>(&routed);
    if (!fresh) return;
    if (fresh->evicted)
        if (Association* oldest = associations_.use(route_of(*fresh->evicted).association))
            oldest->shut(Error(Errc::carrier_closed));
    Association& made = take_client(*port.listener, port.bounds);
    Way way;
    way.datagrams = &port;
    setups_[made.id()].ways.push_back(way);
    ++port.associations;
    udp::FlowOptions flow = this->flow(port.stack, datagrams.local, datagrams.remote, port.socket,
                                       port.options);
    flow.role = Role::server;
    flow.limits = limits(port.bounds);
    made.attach(port.endpoint->accept(now_, transient_of({made.id(), {}}), flow));
    made.handle_input(now_, {}, datagrams);
}

void Root::leave(DatagramPort& port) {
    --port.associations;
    close_if_idle(port);
}

void Root::close_if_idle(DatagramPort& port) {
    if (port.listener || port.associations > 0) return;
    io_->close(port.socket);
    std::erase_if(datagram_ports_, [&](const auto& one) { return one.get() == &port; });
}

// A Sink is a Carrier whose own direction ended before it began.
Result<Sink> Root::listen_sink(const Local& local, const ListenOptions& options) {
    if (const auto fine = check_listen(local, options); !fine) return fine.error();
    if (!of_datagrams(options.policy))
        return of_call(Errc::unsupported,
                       "groups are served by datagrams alone: Policy::stacks must be udp or "
                       "udp_lite");
    if (!local.interfaces.empty() || local.last_port != 0)
        return of_call(Errc::invalid_argument,
                       "of a Sink, UdpOptions::interface names the interface, and Local::port one "
                       "port alone");
    Address group = local.address;
    if (local.port != 0) group.port = local.port;
    if (!group.is_multicast() || group.port == 0)
        return of_call(Errc::invalid_argument,
                       "a Sink needs a multicast group and its port: Local::address, Local::port");
    const auto other = [&](const Address& source) { return source.family != group.family; };
    if (std::any_of(options.udp.sources.begin(), options.udp.sources.end(), other))
        return of_call(Errc::invalid_argument, "a source is of another family than its group");
    const Stack stack = options.policy.stacks.front();
    Io::UdpOptions udp;
    udp.local = group;
    udp.datagrams = Io::DatagramSocket{stack == Stack::udp_lite, {}, true, options.udp};
    const auto socket = io_->open_udp(udp);
    if (!socket) return socket.error();
    Association::Options made;
    made.remote = Remote(group);
    made.bounds = options.bounds;
    made.name = random_name();
    made.datagrams = true;
    Association& association = associations_.create(made, {}, 0);
    Way way;
    way.connection = *socket;
    setups_[association.id()].ways.push_back(way);
    connections_[*socket] = {{association.id(), {}}, {}};
    udp::FlowOptions flow = this->flow(stack, group, group, *socket, options.udp);
    flow.limits = limits(options.bounds);
    association.attach(
        std::make_unique<udp::Flow>(nullptr, transient_of({association.id(), {}}), flow, now_));
    Carrier carrier = carriers_.open(association, {}, {});
    carrier.finish();
    return Sink(std::move(carrier));
}

}  // namespace post::core
