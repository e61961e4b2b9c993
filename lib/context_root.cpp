// The crank.
#include "lib/context_root.hpp"

#include <algorithm>
#include <exception>

#include "lib/io/policy_file.hpp"

namespace post::core {

namespace {

std::shared_ptr<Io> make_io(ContextOptions& options) {
    if (options.io) return options.io;
    EpollOptions epoll;
    epoll.gso = options.gso;
    epoll.gro = options.gro;
    epoll.ecn = options.ecn;
    epoll.name_servers = options.name_servers;
    epoll.name_domains = options.name_domains;
    epoll.name_timeout = options.name_timeout;
    epoll.trust_name_servers = options.trust_name_servers;
    epoll.public_names_only = options.public_names_only;
    epoll.spin = options.spin;
    return make_epoll_io(epoll);
}

crypto::PacketProtectionBackend backend_of(PacketProtection protection) {
    switch (protection) {
        case PacketProtection::gnutls: return crypto::PacketProtectionBackend::gnutls;
        case PacketProtection::ipsec_mb: return crypto::PacketProtectionBackend::ipsec_mb;
        case PacketProtection::automatic: break;
    }
    return crypto::PacketProtectionBackend::automatic;
}

// Another world has no files of ours.
Preferences preferences_of(const ContextOptions& options) {
    if (options.preferences) return *options.preferences;
    return options.io ? Preferences() : io::read_policy(io::policy_environment()).value();
}

}  // namespace

Root::Root(ContextOptions&& options, Anchor& anchor)
    : anchor_(anchor),
      io_(make_io(options)),
      preferences_(preferences_of(options)),
      store_(options.store ? std::move(options.store) : memory_store()),
      ticket_source_(std::move(options.ticket_keys)),
      ticket_keys_([this](std::span<std::byte> bytes) { io_->random(bytes); },
                   ticket_source_.get()),
      early_guard_(ticket_source_.get()),
      carriers_(anchor, associations_),
      protection_(backend_of(options.packet_protection)),
      space_(largest_run) {
    if (!options.qlog.empty()) {
        if (!quic::Endpoint::can_log())
            throw Failure(Error(Errc::unsupported, {}, Stage::call,
                                "ContextOptions::qlog needs ngtcp2 1.22.1 or newer"));
        logs_.emplace(std::move(options.qlog));
    }
    now_ = io_->now();
    if (!options.trace.empty()) {
        trace_.emplace(options.trace, options.trace_limit, now_);
        associations_.shared().trace.turn_on(true);
        associations_.shared().trace.set_now(now_);
    }
    crypto::packet_protection(protection_);  // throws where it cannot be had
    associations_.shared().charge.limit = options.receive_budget;
    carriers_.set_now(now_);
}

Root::~Root() {
    Submitted* left = submitted_.exchange(nullptr);
    while (left) delete std::exchange(left, left->next);
}

// Other threads.

void Root::submit(Function<void()> work) {
    auto* node = new Submitted{std::move(work), submitted_.load(std::memory_order_relaxed)};
    while (!submitted_.compare_exchange_weak(node->next, node, std::memory_order_release,
                                             std::memory_order_relaxed)) {}
    io_->wake();
}

void Root::stop() noexcept {
    stopped_.store(true);
    io_->wake();
}

void Root::take_submitted() {
    if (!submitted_.load(std::memory_order_relaxed)) return;  // the common case, and cheaper
    Submitted* stack = submitted_.exchange(nullptr, std::memory_order_acquire);
    Submitted* in_order = nullptr;
    while (stack) {
        Submitted* next = stack->next;
        stack->next = std::exchange(in_order, stack);
        stack = next;
    }
    while (in_order) {
        carriers_.call(std::move(in_order->work));
        delete std::exchange(in_order, in_order->next);
    }
}

// A turn.

bool Root::turn() {
    if (turning_) return false;  // from inside a callback: the turn that it is in goes on
    const AnchorRef alive(&anchor_);
    turning_ = true;
    now_ = io_->now();
    carriers_.set_now(now_);
    associations_.shared().trace.set_now(now_);
    take_input();
    watch_paths();
    associations_.wake(now_);
    take_submitted();
    close_listeners();
    serve_attaches();
    associations_.take_active(active_);
    for (AssociationId id : active_) {
        collect(id);
        associations_.use(id);
    }
    // Our state is settled before the application's exception goes on its way.
    std::exception_ptr thrown;
    try {
        carriers_.dispatch();
    } catch (...) {
        thrown = std::current_exception();
    }
    finish_turn();
    if (thrown) std::rethrow_exception(thrown);
    if (!alive->root) return false;  // a callback destroyed the Context, and we are gone with it
    return carriers_.calls_due() || associations_.any_active() || io_->more_input();
}

void Root::finish_turn() {
    close_listeners();
    associations_.take_active(active_);
    for (AssociationId id : active_) transmit(id);
    hold_doors();
    turning_ = false;
    write_logs();
    write_trace();
    if (ending_) end();
}

void Root::write_logs() {
    if (!logs_) return;
    for (const auto& port : ports_)
        for (const auto& log : port->endpoint->poll_logs()) logs_->append(log.file, log.bytes);
}

void Root::write_trace() {
    TraceLog& log = associations_.shared().trace;
    if (trace_ && !log.empty()) trace_->write(log);
}

void Root::take_input() {
    const auto all = io_->receive();
    // First: their first bytes may be here already.
    take_connections();
    note_writable();
    for (const Io::Received& received : all) {
        if (const auto to = connections_.find(received.socket); to != connections_.end()) {
            handle_input(to->second, received);
            continue;
        }
        if (const auto to = pumps_.find(received.socket); to != pumps_.end()) {
            handle_input(to->second, received);
            continue;
        }
        if (DatagramPort* const port = datagram_port(received.socket)) {
            route_udp(*port, received.datagrams);
            continue;
        }
        const auto at = std::find_if(ports_.begin(), ports_.end(), [&](const auto& port) {
            return port->socket == received.socket;
        });
        if (at != ports_.end()) route(**at, received.datagrams);
    }
    serve_sctp();
    take_troubles();
    take_resolved();
}

// RFC 9443: the first byte of a datagram tells whose it is. A run may hold both, since a client may
// race them from one port.
void Root::route(Port& port, const Datagrams& datagrams) {
    if (port.udp) return route_sctp_udp(port, datagrams);
    for (Datagrams rest = datagrams; !rest.empty();) {
        const bool dtls = sctp::DtlsEndpoint::is_dtls(rest.front()[0]);
        std::size_t count = 1;
        while (count < rest.count() &&
               sctp::DtlsEndpoint::is_dtls(rest.bytes[count * rest.segment]) == dtls)
            ++count;
        const Datagrams front = rest.first(count);
        rest = rest.after(count);
        dtls ? route_sctp(port, front) : route_quic(port, front);
    }
}

void Root::route_quic(Port& port, const Datagrams& datagrams) {
    std::array<std::byte, 1280> answer;
    for (Datagrams rest = datagrams; !rest.empty();) {
        const auto routed = port.endpoint->route(now_, rest, answer);
        const auto take = [&](std::size_t count) {
            Datagrams front = rest.first(count);
            rest = rest.after(count);
            return front;
        };
        if (const auto* to = std::get_if<quic::Endpoint::ToConnection>(&routed)) {
            const Datagrams front = take(to->datagrams);
            give(to->transient, front);
        } else if (const auto* client = std::get_if<quic::Endpoint::NewClient>(&routed)) {
            accept(port, take(client->datagrams), client->proof);
        } else if (const auto* word = std::get_if<quic::Endpoint::Answer>(&routed)) {
            const Datagrams front = take(word->datagrams);
            Datagrams back{front.local, front.remote, Ecn::not_ect, word->size,
                           std::span<const std::byte>(answer).first(word->size)};
            io_->send(port.socket, back);
        } else if (const auto* elsewhere = std::get_if<quic::Endpoint::Elsewhere>(&routed)) {
            io_->pass(port.socket, elsewhere->context_index, take(elsewhere->datagrams));
        } else {
            take(std::get<quic::Endpoint::Nothing>(routed).datagrams);
        }
    }
}

void Root::accept(Port& port, const Datagrams& first, const quic::AddressProof& proof) {
    if (!port.listener) return;
    Association& made = take_client(port);
    port.accept.transport.largest_payload = largest_payload(first.remote, port.quic);
    port.accept.transport.run_limit = io_->run_limit(port.socket);
    auto mapping = accept_quic(port, transient_of({made.id(), {}}), first, proof);
    if (!mapping) {
        std::array<std::byte, 1280> answer;
        const std::size_t size = port.endpoint->ask_again(now_, first, answer);
        if (size > 0)
            io_->send(port.socket, {first.local, first.remote, Ecn::not_ect, size,
                                    std::span<const std::byte>(answer).first(size)});
    }
    taken(made, std::move(mapping));
}

// What came for one of our connections.
void Root::give(TransientId transient, const Datagrams& datagrams) {
    const Route route = associations_.route(transient);
    if (Association* found = associations_.use(route.association))
        found->handle_input(now_, route.attempt, datagrams);
}

// The association of a client that the listener takes.
Association& Root::take_client(const ListenerKey& listener, const Bounds& bounds) {
    ticket_keys_.refresh(now_);
    early_guard_.refresh(now_);
    Association::Options options;
    options.role = Role::server;
    options.guard = &early_guard_;
    options.bounds = bounds;
    options.name = random_name();
    options.door = origin_of(listener);
    Association& made = associations_.create(options, {}, origin_of(listener));
    if (TraceLog& trace = associations_.shared().trace; trace.on())
        trace.add(made.id(), traced::AssociationOpened{{}, {.how = Reuse::How::accepted}});
    return made;
}

Association& Root::take_client(Port& port) {
    Association& made = take_client(*port.listener, port.bounds);
    Way way;
    way.port = &port;
    setups_[made.id()].ways.push_back(way);
    ++port.associations;
    return made;
}

void Root::taken(Association& made, Result<std::unique_ptr<Mapping>> mapping) {
    if (mapping) {
        made.attach(std::move(*mapping));
        return made.handle_timeout(now_);  // what came with it has come now
    }
    // What strangers send is nothing that the application has to hear of: packets that nobody can
    // open, and more first packets than there is room for.
    const bool stranger = mapping.error() == Errc::protocol_violation ||
                          mapping.error() == Errc::too_many;
    made.shut(stranger ? Error(Errc::carrier_closed) : mapping.error());
}

void Root::collect(AssociationId id) {
    Association* found = associations_.use(id);
    if (!found) return;
    hand_up(*found);
}

void Root::hand_up(Association& association) {
    happened_.clear();
    association.poll_events(happened_);
    for (Happened& event : happened_) {
        if (const auto* moved = std::get_if<happened::Moved>(&event)) settle_move(*moved);
        if (std::holds_alternative<happened::Active>(event)) begin_roaming(association);
        carriers_.handle(std::move(event));
    }
    serve_continuity(association);
}

void Root::transmit(AssociationId id) {
    Association* found = associations_.peek(id);
    if (!found) return;
    Setup& setup = setups_[id];
    if (auto options = associations_.poll_woken(id)) {
        setup.options = *std::move(options);
        const Policy& policy = setup.options.policy;
        if (policy.standby) found->keep_standby(policy.redundant_below);
    }
    serve_wants(*found, setup);
    found->prepare(now_);
    for (Way& way : setup.ways) transmit(*found, way);
    hand_up(*found);
    keep(*found, setup);
    drop_ways(*found, setup);
    remember(*found, setup);
    if (associations_.put_back(id)) return forget(id);
    if (found->state() == Association::State::dormant) park(id);
}

void Root::transmit(Association& association, Way& way) {
    if (way.linked) return transmit_links(association, way);
    for (int runs = 0;; ++runs) {
        const SocketId socket = way.socket();
        // The last words of one that ends wait for nobody.
        const bool ends = association.state() >= Association::State::closing ||
                          association.leaving(way.attempt);
        if (!io_->writable(socket) && !ends) {
            if (!std::exchange(way.waits, true))
                blocked_[socket].push_back({association.id(), way.attempt});
            return;
        }
        if (runs == most_runs) break;
        std::span<std::byte> space = space_;
        if (way.connection) space = space.first(std::min(space.size(), io_->stream_run(socket)));
        const Datagrams run = association.poll_transmit(now_, way.attempt, space);
        if (run.empty()) return;
        if (way.port) way.out = port_of(way, run.local);
        io_->send(way.socket(), run);
    }
    associations_.use(association.id());
}

void Root::forget(AssociationId id) {
    const auto at = setups_.find(id);
    if (at == setups_.end()) return;
    Setup& setup = at->second;
    finish_move(nullptr, setup, Error(Errc::connection_lost));
    cancel_lookups(setup);
    while (!setup.ways.empty()) drop_way(id, setup, setup.ways.size() - 1);
    setups_.erase(at);
}

// Running.

Instant Root::deadline() const {
    if (carriers_.calls_due() || associations_.any_active() || io_->more_input() ||
        submitted_.load(std::memory_order_relaxed))
        return Instant::min();
    const Instant ticks = sctp_ ? sctp_->deadline() : never;
    return std::min({associations_.deadline(), io_->deadline(), carriers_.deadline(), ticks,
                     moves_due_, attaches_due_});
}

// Associations that nobody needs any more are closed at once. True when there was one.
bool Root::settle_idle() {
    bool any = false;
    for (AssociationId id : associations_.all()) {
        if (associations_.parked(id)) continue;
        const Association* found = associations_.find(id);
        if (found->carriers() > 0 || found->state() == Association::State::gone) continue;
        if (found->state() == Association::State::closing) continue;
        associations_.use(id)->shut_if_idle();
        any = true;
    }
    return any;
}

void Root::run() {
    while (!stopped_.exchange(false)) {
        const AnchorRef alive(&anchor_);
        const bool more = turn();
        if (!alive->root) return;  // the Context went in a callback
        if (more || submitted_.load(std::memory_order_relaxed)) continue;
        if (stopped_.load()) continue;
        if (!carriers_.busy() && pumps_.empty()) {
            if (!settle_idle()) return;
            continue;
        }
        io_->wait(deadline());
    }
}

bool Root::turn_until(Function<bool()> holds) {
    if (turning_) return false;
    const AnchorRef alive(&anchor_);
    while (!holds()) {
        const bool more = turn();
        if (!alive->root) return holds();
        if (!more && !holds()) io_->wait(deadline());
    }
    return true;
}

bool Root::shutdown(Duration linger) {
    const Instant until = now() + linger;
    const auto unfinished = [&] {
        const Shared& shared = associations_.shared();
        return shared.outstanding > 0 || shared.draining > 0;
    };
    const AnchorRef alive(&anchor_);
    while (unfinished() && now() < until) {
        const bool more = turn();
        if (!alive->root) return false;
        if (!more && unfinished()) io_->wait(std::min(deadline(), until));
    }
    const bool whole = !unfinished();
    carriers_.end(Error(Errc::carrier_closed));
    for (int rounds = 0; rounds < 100 && alive->root; ++rounds)
        if (!turn() && !carriers_.calls_due()) break;
    return whole;
}

bool Root::end() {
    ending_ = true;
    if (turning_) return false;
    const AnchorRef alive(&anchor_);
    carriers_.end(Error(Errc::context_closed));
    turning_ = true;  // no callback may start a turn any more
    // Callbacks may cause calls; those end with context_closed, so this ends soon.
    for (int rounds = 0; rounds < 1000; ++rounds) {
        close_listeners();
        associations_.take_active(active_);
        for (AssociationId id : active_) transmit(id);
        if (!carriers_.calls_due()) break;
        try {
            carriers_.dispatch();
        } catch (...) {
            continue;  // nobody is left to catch it: a destructor is under way
        }
    }
    write_logs();
    write_trace();
    pumps_.clear();
    anchor_.carriers = nullptr;
    anchor_.root = nullptr;
    delete this;
    return true;
}

}  // namespace post::core
