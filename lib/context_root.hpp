// Root: what a Context is inside. It owns everything, turns the crank, and is the only one that
// knows both sides of the edge: datagrams go from Io to the endpoint of their port, from there to
// an association, and back. A turn:
//
//   read the clock -> input -> timers -> events up -> calls of the application -> fill packets
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include <post/context.hpp>
#include <post/stream.hpp>

#include "lib/association/associations.hpp"
#include "lib/association/race_memory.hpp"
#include "lib/association/resolution.hpp"
#include "lib/carrier/carriers.hpp"
#include "lib/context_moves.hpp"
#include "lib/context_trace.hpp"
#include "lib/io/io.hpp"
#include "lib/io/log_folder.hpp"
#include "lib/policy/selection.hpp"
#include "mappings/quic/endpoint.hpp"
#include "mappings/sctp/dtls_endpoint.hpp"
#include "mappings/sctp/udp_endpoint.hpp"
#include "mappings/tcp/endpoint.hpp"
#include "mappings/tls/endpoint.hpp"
#include "mappings/udp/endpoint.hpp"
#include "mappings/wire/rate_limit.hpp"

namespace post::core {

// Whether messages are datagrams; such a stack is the only one of its policy.
inline bool of_datagrams(Stack stack) { return stack == Stack::udp || stack == Stack::udp_lite; }
inline bool of_datagrams(const Policy& policy) { return of_datagrams(policy.stacks.front()); }

class Root {
public:
    Root(ContextOptions&& options, Anchor& anchor);
    ~Root();

    // Commands.

    Carrier initiate(const Remote& remote, const InitiateOptions& options);
    Result<Listener> listen(const Local& local, const ListenOptions& options);
    Result<Sink> listen_sink(const Local& local, const ListenOptions& options);
    Operation<std::vector<Remote>> resolve(const Remote& remote);
    Operation<Plan> plan(const Remote& remote, const InitiateOptions& options);
    Result<std::vector<Interface>> interfaces();
    std::optional<Path> path(AssociationId id) const;
    std::optional<Transient> standby(AssociationId id) const;
    Operation<Path> migrate(AssociationId id, const Local& local);
    Reuse reuse(const Remote& remote, const InitiateOptions& options) const;
    // From any thread.
    void submit(Function<void()> work);
    void stop() noexcept;  // from signal handlers too

    // The Stream leaves its handle where there is no error.
    Result<int> descriptor(Stream& stream);

    // The crank.

    bool turn();
    void run();
    // Turns, and sleeps between, until it holds. False: a turn is under way, or the Context went.
    bool turn_until(Function<bool()> holds);
    bool shutdown(Duration linger);
    // Ends everything; every message has its fate afterwards. False while a turn is under way: that
    // will do it.
    bool end();

    // Views.

    int fd() const { return io_->fd(); }
    Instant deadline() const;
    Instant now() const { return turning_ ? now_ : io_->now(); }
    Carriers& carriers() { return carriers_; }
    const Preferences& preferences() const { return preferences_; }

private:
    // Runs that one association fills before the others have a turn.
    static constexpr int most_runs = 16;

    // A UDP port and what its connections share.
    struct Port {
        SocketId socket;
        Address local;
        std::shared_ptr<quic::Endpoint> endpoint;  // of several ports of one connection
        std::optional<ListenerKey> listener;       // takes new clients for it
        quic::AcceptOptions accept;
        bool http3 = false;  // clients that speak HTTP/3 too
        HttpOptions http{};
        // SCTP over DTLS beside QUIC (RFC 9443), made when somebody wants it.
        std::unique_ptr<sctp::DtlsEndpoint> dtls;
        std::optional<sctp::AcceptOptions> accept_sctp;  // clients are taken
        // SCTP right over UDP, and then nothing else.
        std::unique_ptr<sctp::UdpEndpoint> udp;
        Bounds bounds;
        QuicOptions quic;
        SctpOptions sctp;
        std::size_t associations = 0;
        bool kept = false;            // a client port, for the next association too
        std::uint32_t interface = 0;  // that it is bound to; 0: none
        std::uint8_t dscp = 0;        // of what leaves
    };
    // A TCP port, and what its connections are taken with.
    struct TcpPort {
        SocketId socket;
        Address local;
        ListenerKey listener;
        bool secured = true;  // by TLS
        tls::AcceptOptions accept;
        Bounds bounds;
    };
    // A port of plain datagrams, and what its flows are taken with.
    struct DatagramPort {
        SocketId socket;
        Address local;
        Stack stack = Stack::udp;
        std::unique_ptr<udp::Endpoint> endpoint;
        std::optional<ListenerKey> listener;
        Bounds bounds;
        UdpOptions options;
        std::size_t associations = 0;
    };
    // What a TCP connection belongs to. `link`: it is one of several of that route.
    struct Connection {
        Route route;
        std::optional<LinkId> link{};
    };
    // What an attempt, and the connection that it becomes, goes through: a UDP port, a TCP
    // connection or a flow of its own, a flow of a port, or a TCP connection for each Carrier.
    struct Way {
        AttemptId attempt{};
        Port* port = nullptr;
        DatagramPort* datagrams = nullptr;
        std::optional<SocketId> connection;
        std::vector<Port*> further{};  // that it moved to, or is about to
        Port* out = nullptr;           // of these, which its last run left by
        bool linked = false;
        std::unordered_map<LinkId, SocketId> links{};
        Address remote{};     // of a client's
        LocalPath path{};     // the same
        std::string trust{};  // of what it is kept under (AssociationKey)
        // Of DTLS 1.2: what it would resume.
        std::optional<ResumptionTicket> ticket{};
        Bytes parameters{};  // of the ticket, for early data
        SocketId socket() const {
            if (out) return out->socket;
            return connection ? *connection : port ? port->socket : datagrams->socket;
        }
        bool waits = false;  // stands in blocked_
        bool moved = false;  // it began as another association's
    };
    struct Started {
        Way way;
        std::unique_ptr<Mapping> mapping;
    };
    // What the root keeps of an association.
    struct Setup {
        InitiateOptions options;
        std::vector<LookupId> lookups;
        bool races = false;            // and what comes of it is to be remembered
        std::uint64_t interfaces = 0;  // as which interfaces_version_ it knows them
        std::vector<Way> ways;
        Moves moves{};
    };
    // A Stream, and a socket whose other end somebody has as a file descriptor.
    struct Pump {
        static constexpr std::size_t most_read = 256 * 1024;
        Stream stream{};
        int writing = 0;        // writes that wait for room
        bool reading = false;   // a read of the Stream waits
        bool read_all = false;  // the Stream has ended
        bool ended = false;     // nothing more comes from the descriptor
        bool gone = false;      // nor does anybody read there
    };
    // Work from other threads: a stack that grows by compare-and-swap and is taken whole.
    struct Submitted {
        Function<void()> work;
        Submitted* next = nullptr;
    };

    // What resolve() and plan() still look up.
    struct Resolving {
        explicit Resolving(Remote asked) : remote(std::move(asked)) {}
        Remote remote;
        Resolution resolution{};
        std::optional<InitiateOptions> plan{};  // it is for a plan, with these
    };
    struct Asker {
        std::uint64_t number = 0;  // of the Resolving
        QueryId query{};
    };
    static constexpr std::size_t most_resolving = 64;
    // context_resolve.cpp
    std::uint64_t begin_resolving(const Remote& remote);
    void answer(std::uint64_t number);
    Result<Plan> make_plan(const Resolving& resolving);
    void look_up(std::uint64_t number);
    bool take_answer(const Io::Resolved& resolved);  // false: it is somebody else's

    void take_input();
    void route(Port& port, const Datagrams& datagrams);
    void route_quic(Port& port, const Datagrams& datagrams);
    void route_sctp(Port& port, const Datagrams& datagrams);
    void serve_sctp();
    void accept(Port& port, const Datagrams& first, const quic::AddressProof& proof);
    void accept_sctp(Port& port, const Datagrams& first, const crypto::DtlsPrestate& proof);
    Association& take_client(const ListenerKey& listener, const Bounds& bounds);
    Association& take_client(Port& port);
    void taken(Association& made, Result<std::unique_ptr<Mapping>> mapping);
    void write_logs();
    void write_trace();
    void take_troubles();
    void take_resolved();
    void take_submitted();
    void collect(AssociationId id);
    void hand_up(Association& association);
    void transmit(AssociationId id);
    void transmit(Association& association, Way& way);
    void give(TransientId transient, const Datagrams& datagrams);
    void serve_wants(Association& association, Setup& setup);
    void cancel_lookups(Setup& setup);
    void connect(Association& association, Setup& setup, const Connect& wanted);
    Result<Started> connect_port(const Association& association, const Setup& setup,
                                 const Connect& wanted);
    void drop_ways(const Association& association, Setup& setup);
    void drop_way(AssociationId id, Setup& setup, std::size_t at);
    Way* way(const Route& route);
    // The peer does not speak Post.
    static bool is_plain(const InitiateOptions& options) {
        return !options.alpn.empty() || options.without_alpn;
    }
    static bool speaks_http(const Remote& remote, const InitiateOptions& options) {
        return remote.scheme() == Scheme::https && !is_plain(options);
    }
    Selection select(const Remote& remote, const InitiateOptions& options) const;
    static Result<void> check_initiate(const InitiateOptions& options);
    Result<Race::Options> race_options(const Remote& remote, const InitiateOptions& options);
    void remember(const Association& association, Setup& setup);
    // context_store.cpp
    AssociationKey association_key(const Remote& remote, const InitiateOptions& options,
                                   std::string trust, const std::string& network) const;
    static const std::string& network(const Association& association, const Way& way);
    void recall(const Remote& remote, const InitiateOptions& options, const std::string& network);
    void steer(const Remote& remote, const InitiateOptions& options, Race::Options& race);
    void write_history(const Association& association, const InitiateOptions& options);
    void write_history(const Association& association, const InitiateOptions& options,
                       const std::string& network, const std::string* path_name);
    void keep(Association& association, Setup& setup);
    void resume(const Association& association, const Setup& setup, Stack stack, Way& way,
                crypto::ClientSecurity& security);
    Duration kept_rtt(const Association& association, const Setup& setup, const Way& way) const;
    Bytes address_token(const Association& association, const Setup& setup, const Way& way);
    static crypto::ServerTickets tickets(crypto::TicketKeys& keys, EarlyGuard& guard,
                                         const Local& local, const ListenOptions& options,
                                         Stack stack);
    quic::ConnectOptions quic_way(const Association& association, const Setup& setup, Way& way,
                                  Stack stack);
    Result<std::unique_ptr<Mapping>> connect_quic(const Association& association,
                                                  const Setup& setup, Way& way,
                                                  TransientId transient);
    // context_http3.cpp
    Result<std::unique_ptr<Mapping>> connect_http3(const Association& association,
                                                   const Setup& setup, Way& way,
                                                   TransientId transient);
    void listen_http3(Port& port, const std::vector<Stack>& stacks, const HttpOptions& http);
    Result<std::unique_ptr<Mapping>> accept_quic(Port& port, TransientId transient,
                                                 const Datagrams& first,
                                                 const quic::AddressProof& proof);
    Result<std::unique_ptr<Mapping>> connect_sctp(const Association& association,
                                                  const Setup& setup, Way& way,
                                                  TransientId transient);
    sctp::ConnectOptions sctp_way(const Association& association, const Setup& setup,
                                  const Way& way);
    static crypto::ClientSecurity security(const Association& association,
                                           const InitiateOptions& options, const Address& remote,
                                           Resolution::Transport transport);
    crypto::ServerSecurity security(const Local& local, const ListenOptions& options, Stack stack);
    // What every stack's way to connect begins with.
    template <class Connect>
    Connect way_to(const Address& remote, const Address& local, const Association& association,
                   const InitiateOptions& options,
                   Resolution::Transport transport = Resolution::Transport::udp) const {
        Connect connect;
        connect.local = local;
        connect.remote = remote;
        connect.security = security(association, options, remote, transport);
        if (!options.alpn.empty()) connect.alpn = {options.alpn};
        return connect;
    }
    // context_dormancy.cpp
    void park(AssociationId id);
    // context_continuity.cpp
    void serve_continuity(Association& association);
    void attach(Association& fresh, const Attach& attach);
    void serve_attaches();
    void attach_now(Association& fresh, const Attach& attach);
    void join(Association& chosen, AssociationId owner);
    AttemptId hand_over(AssociationId from, AssociationId to);
    // context_paths.cpp
    static Result<void> check(const Local& local);
    void find_interfaces();
    void drop_lost_ports();
    void add_paths(Race::Options& race, const InitiateOptions& options);
    void renew_paths(Association& association, Setup& setup);
    Result<std::vector<std::uint32_t>> listen_on(const Local& local, const Policy& policy);
    static Result<Address> source(const Local& local, const LocalPath& path, const Address& remote);
    static Io::Outlet outlet(const Local& local, const LocalPath& path);
    void note_path(Association& association, AttemptId attempt, const LocalPath& path,
                   SocketId socket);
    std::size_t payload_limit(const Address& remote, std::size_t mtu);
    // context_moves.cpp
    void watch_paths();
    void roam(AssociationId id, Setup& setup);
    std::vector<Address> own_addresses() const;
    Error begin_move(Association& association, Setup& setup);
    Result<Port*> roaming_port(const Association& association, Way& way, const Local& local,
                               const LocalPath& path);
    Result<SocketId> open_roaming(const Local& local, const LocalPath& path);
    Port* port_of(Way& way, const Address& local);
    // Of those whose endpoint is that of `way`.
    template <class Fits> Port* path_port(const Way& way, Fits fits) const {
        for (const auto& port : ports_)
            if (port->endpoint == way.port->endpoint && fits(*port)) return port.get();
        return nullptr;
    }
    Error try_next(Association& association, Setup& setup);
    void finish_move(const Association* association, Setup& setup, Error error);
    void settle_move(const happened::Moved& moved);
    void begin_roaming(const Association& association);
    Error open_preferred(std::vector<Port*>& opened, const QuicOptions& options);
    void offer_preferred(Port& port);
    // context_listen.cpp
    struct Opened;
    // Of a listener: its addresses are opened on each of the interfaces; 0: on all.
    struct Doors {
        Address address;
        std::vector<std::uint32_t> interfaces;
    };
    template <class Open>
    static Error open_each(const Doors& doors, std::uint16_t& number, Open open);
    Error open_ports(Opened& opened, std::uint16_t& number, const Doors& doors, const Local& local,
                     const ListenOptions& options);
    void close_ports(Opened& opened);
    static Result<void> check_listen(const Local& local, const ListenOptions& options);

    void listen_sctp(Port& port, const Local& local, const ListenOptions& options);
    sctp::DtlsEndpoint& dtls_endpoint(Port& port);
    // context_tls.cpp
    tls::Endpoint& tls_endpoint();
    std::size_t segment(const Address& remote, std::size_t mtu = 0);
    void hold_doors();
    void take_connections();
    Result<Started> connect_tls(const Association& association, const Setup& setup,
                                const Connect& wanted);
    void handle_input(const Connection& connection, const Io::Received& received);
    Result<TcpPort> open_tcp_port(const Address& local, const Io::Outlet& outlet, bool shared,
                                  const TlsOptions& options);
    // context_udp.cpp
    Result<Started> connect_udp(const Association& association, const Setup& setup,
                                const Connect& wanted);
    Result<std::unique_ptr<DatagramPort>> open_datagram_port(const Address& local,
                                                             const Io::Outlet& outlet,
                                                             Io::Share share, Stack stack,
                                                             const UdpOptions& options);
    udp::FlowOptions flow(Stack stack, const Address& local, const Address& remote, SocketId socket,
                          const UdpOptions& options, std::size_t mtu = 0);
    DatagramPort* datagram_port(SocketId socket);
    void route_udp(DatagramPort& port, const Datagrams& datagrams);
    void close_if_idle(DatagramPort& port);
    void leave(DatagramPort& port);
    // context_tcp.cpp
    // Whether each Carrier is to be a connection of its own.
    static bool is_bytes(Stack stack, const InitiateOptions& options);
    static bool opens_eagerly(const Race::Options& race, const InitiateOptions& options);
    tcp::Endpoint& tcp_endpoint();
    tcp::TransportOptions tcp_transport(const Bounds& bounds, const Address& remote,
                                        std::size_t mtu = 0);
    static Io::TcpOptions tcp_options(const Address& local, const TlsOptions& options);
    Result<SocketId> connect_from(const InitiateOptions& options, const LocalPath& path,
                                  const Address& remote);
    Result<Started> connect_bytes(const Association& association, const Setup& setup,
                                  const Connect& wanted);
    void accept_bytes(const TcpPort& port, const Io::Taken& taken);
    void transmit_links(Association& association, Way& way);
    bool serve_links(Association& association, Way& way);
    void serve(Association& association, Way& way, const LinkWant& want);
    void connect_link(Association& association, Way& way, LinkId link);
    void adopt_link(Association& association, Way& way);
    void drop_links(Way& way);
    // context_descriptor.cpp
    void read_on(SocketId socket);
    void handle_input(Pump& pump, const Io::Received& received);
    void give_up(SocketId socket);
    void handle_hangup(SocketId socket);
    void settle(Pump& pump, SocketId socket);
    void note_writable();
    void forget(AssociationId id);
    void close_listeners();
    void retire_clients(const ListenerKey& key);
    // What the associations that a listener took are known by.
    static Associations::Origin origin_of(const ListenerKey& key) {
        return std::uint64_t{key.generation} << 32 | key.slot;
    }
    void close_port_if_idle(Port& port);
    bool settle_idle();
    void finish_turn();

    Result<std::unique_ptr<Mapping>> connect_sctp_udp(const Association& association,
                                                      const Setup& setup, const Way& way,
                                                      TransientId transient,
                                                      std::uint16_t sctp_port);
    void listen_sctp_udp(Port& port, std::uint16_t sctp_port, const ListenOptions& options);
    sctp::UdpEndpoint& udp_endpoint(Port& port);
    void route_sctp_udp(Port& port, const Datagrams& datagrams);
    sctp::Engine& engine();
    sctp::EndpointOptions sctp_endpoint();
    Result<Port*> open_port(const Address& local, const QuicOptions* listen, Io::Share share = {},
                            const Io::Outlet& outlet = {});
    Result<Port*> client_port(const Local& local, const LocalPath& path, const Address& remote,
                              Stack stack);
    static Limits limits(const Bounds& bounds);
    quic::TransportOptions transport(const Bounds& bounds, const QuicOptions& quic) const;
    sctp::TransportOptions sctp_transport(const Bounds& bounds, const SctpOptions& sctp) const;
    std::size_t largest_sctp(const Address& remote, const SctpOptions& sctp, std::size_t mtu = 0);
    std::size_t largest_sctp_probe(const Address& remote, const SctpOptions& sctp,
                                   std::size_t mtu = 0);
    std::size_t largest_payload(const Address& remote, const QuicOptions& quic,
                                std::size_t mtu = 0);
    std::array<std::uint8_t, 16> random_name();

    Anchor& anchor_;
    std::shared_ptr<Io> io_;
    Preferences preferences_;  // the system's
    std::shared_ptr<AssociationStore> store_;
    std::shared_ptr<TicketKeySource> ticket_source_;
    crypto::TicketKeys ticket_keys_;     // sessions of the mappings use them
    EarlyGuard early_guard_;             // the same
    std::optional<io::LogFolder> logs_;  // none: nothing is logged
    std::optional<Trace> trace_;         // none: nothing is traced
    std::unique_ptr<sctp::Engine>
        sctp_;  // made when somebody wants it; the ports' endpoints use it
    std::unique_ptr<tls::Endpoint> tls_;  // made when somebody wants it
    std::vector<TcpPort> tcp_ports_;
    bool doors_held_ = false;  // those with TLS: too many handshakes are on their way
    std::vector<std::unique_ptr<DatagramPort>> datagram_ports_;
    std::unique_ptr<tcp::Endpoint> tcp_;                    // the same
    std::unordered_map<SocketId, Connection> connections_;  // of TCP, and flows of their own
    std::unordered_map<SocketId, Pump> pumps_;
    std::vector<std::unique_ptr<Port>> ports_;
    Associations associations_;
    RaceMemory memory_;
    // Connections that name an association, a second, and early; and those that wait for a turn.
    wire::RateLimit attach_rate_{1024, 1024}, early_rate_{512, 512};
    static constexpr std::size_t most_attaches_ = 4096;
    std::deque<std::pair<AssociationId, Attach>> attaches_;
    Instant attaches_due_ = never;
    std::vector<Interface> interfaces_;     // the best first
    Error interfaces_error_;                // why they are not known
    std::uint64_t interfaces_version_ = 0;  // 0: they were not asked for
    std::uint64_t paths_version_ = 0;       // as which associations know them
    bool look_wanted_ = false;              // they may have changed
    wire::RateLimit looks_{8, 20};
    Instant moves_due_ = never;
    std::uint64_t last_move_ = 0;
    WallTime moved_{};  // when a network was last left: what won before is not believed any more
    Carriers carriers_;
    const crypto::PacketProtectionBackend protection_;
    std::unordered_map<AssociationId, Setup> setups_;
    struct Asked {
        AssociationId association;
        QueryId query;
    };
    std::unordered_map<LookupId, Asked> lookups_;
    std::set<std::pair<Address, Route>> attempts_;  // over UDP, perhaps very many to one address
    std::unordered_map<std::uint64_t, Resolving> resolving_;
    std::unordered_map<LookupId, Asker> questions_;
    std::uint64_t last_resolving_ = 0;
    std::vector<AssociationId> active_;
    std::vector<TransientId> touched_;
    std::unordered_map<SocketId, std::vector<Route>> blocked_;  // by their socket
    std::vector<Happened> happened_;
    std::vector<std::byte> space_;
    std::atomic<Submitted*> submitted_{nullptr};
    std::atomic<bool> stopped_{false};
    std::uint64_t next_lookup_ = 1;
    Instant now_{};
    bool turning_ = false;
    bool ending_ = false;
};

}  // namespace post::core
