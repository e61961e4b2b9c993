// Root: what a Context is inside. It owns everything, turns the crank, and is the only one that
// knows both sides of the edge: datagrams go from Io to the endpoint of their port, from there to
// an association, and back. A turn:
//
//   read the clock -> input -> timers -> events up -> calls of the application -> fill packets
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include <post/context.hpp>

#include "lib/association/associations.hpp"
#include "lib/carrier/carriers.hpp"
#include "lib/io/io.hpp"
#include "lib/io/log_folder.hpp"
#include "mappings/quic/endpoint.hpp"
#include "mappings/sctp/dtls_endpoint.hpp"
#include "mappings/sctp/udp_endpoint.hpp"
#include "mappings/tls/endpoint.hpp"

namespace post::core {

class Root {
public:
    Root(ContextOptions&& options, Anchor& anchor);
    ~Root();

    // Commands.

    Carrier initiate(const Remote& remote, const InitiateOptions& options);
    Result<Listener> listen(const Local& local, const ListenOptions& options);
    // From any thread.
    void submit(Function<void()> work);
    void stop() noexcept;  // from signal handlers too

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

private:
    // A UDP port and what its connections share.
    struct Port {
        SocketId socket;
        Address local;
        std::unique_ptr<quic::Endpoint> endpoint;
        std::optional<ListenerKey> listener;  // takes new clients for it
        quic::AcceptOptions accept;
        // SCTP over DTLS beside QUIC (RFC 9443), made when somebody wants it.
        std::unique_ptr<sctp::DtlsEndpoint> dtls;
        std::optional<sctp::AcceptOptions> accept_sctp;  // clients are taken
        // SCTP right over UDP, and then nothing else.
        std::unique_ptr<sctp::UdpEndpoint> udp;
        Bounds bounds;
        QuicOptions quic;
        SctpOptions sctp;
        std::size_t associations = 0;
        bool kept = false;  // a client port, for the next association too
    };
    // A TCP port, and what its connections are taken with.
    struct TcpPort {
        SocketId socket;
        Address local;
        ListenerKey listener;
        tls::AcceptOptions accept;
        Bounds bounds;
    };
    // What the root keeps of an association. It has a port, or a TCP connection of its own.
    struct Setup {
        Port* port = nullptr;
        std::optional<SocketId> connection;
        bool waits = false;  // stands in blocked_
        InitiateOptions options;
        std::optional<LookupId> lookup;
        std::optional<Address> attempt;
    };
    // Work from other threads: a stack that grows by compare-and-swap and is taken whole.
    struct Submitted {
        Function<void()> work;
        Submitted* next = nullptr;
    };

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
    void take_troubles();
    void take_resolved();
    void take_submitted();
    void collect(AssociationId id);
    void transmit(AssociationId id);
    void serve_wants(Association& association, Setup& setup);
    void connect(Association& association, Setup& setup, const Address& candidate);
    Result<std::unique_ptr<Mapping>> connect_quic(Port& port, const Association& association,
                                                  const Setup& setup, const Address& remote);
    Result<std::unique_ptr<Mapping>> connect_sctp(Port& port, const Association& association,
                                                  const Setup& setup, const Address& remote);
    static crypto::ClientSecurity security(const Association& association,
                                           const InitiateOptions& options);
    static crypto::ServerSecurity security(const Local& local, const ListenOptions& options);
    // What every stack's way to connect begins with.
    template <class Connect>
    Connect way_to(const Address& remote, const Address& local, const Association& association,
                   const InitiateOptions& options) const {
        Connect connect;
        connect.local = local;
        connect.remote = remote;
        connect.security = security(association, options);
        if (!options.alpn.empty()) connect.alpn = {options.alpn};
        return connect;
    }
    // context_listen.cpp
    struct Opened;
    template <class Open> Error open_each(const Local& local, std::uint16_t& number, Open open);
    Error open_ports(Opened& opened, std::uint16_t& number, const Local& local,
                     const ListenOptions& options);
    void close_ports(Opened& opened);
    static Result<void> check_listen(const Local& local, const ListenOptions& options);

    void listen_sctp(Port& port, const ListenOptions& options);
    sctp::DtlsEndpoint& dtls_endpoint(Port& port);
    // context_tls.cpp
    tls::Endpoint& tls_endpoint();
    std::size_t segment(const Address& remote);
    void take_connections();
    void connect_tls(Association& association, Setup& setup, const Address& remote);
    Result<TcpPort> open_tcp_port(const Address& local, bool shared, const TlsOptions& options);
    void drop_connection(Setup& setup);
    static std::optional<SocketId> socket_of(const Setup& setup);
    void note_writable();
    void forget(AssociationId id);
    void close_listeners();
    void close_port_if_idle(Port& port);
    bool settle_idle();
    void finish_turn();

    Result<std::unique_ptr<Mapping>> connect_sctp_udp(Port& port, const Association& association,
                                                      const Setup& setup, const Address& remote,
                                                      std::uint16_t sctp_port);
    void listen_sctp_udp(Port& port, std::uint16_t sctp_port, const ListenOptions& options);
    sctp::UdpEndpoint& udp_endpoint(Port& port);
    void route_sctp_udp(Port& port, const Datagrams& datagrams);
    sctp::Engine& engine();
    sctp::EndpointOptions sctp_endpoint();
    Result<Port*> open_port(const Address& local, const QuicOptions* listen, Io::Share share = {});
    Result<Port*> client_port(const Local& local, const Address& remote, Stack stack);
    static Limits limits(const Bounds& bounds);
    quic::TransportOptions transport(const Bounds& bounds, const QuicOptions& quic) const;
    sctp::TransportOptions sctp_transport(const Bounds& bounds, const SctpOptions& sctp) const;
    std::size_t largest_sctp(const Address& remote, const SctpOptions& sctp);
    std::size_t largest_payload(const Address& remote, const QuicOptions& quic);
    std::array<std::uint8_t, 16> random_name();

    Anchor& anchor_;
    std::shared_ptr<Io> io_;
    std::optional<io::LogFolder> logs_;  // none: nothing is logged
    std::unique_ptr<sctp::Engine>
        sctp_;  // made when somebody wants it; the ports' endpoints use it
    std::unique_ptr<tls::Endpoint> tls_;  // made when somebody wants it
    std::vector<TcpPort> tcp_ports_;
    std::unordered_map<SocketId, AssociationId> connections_;  // of TCP
    std::vector<std::unique_ptr<Port>> ports_;
    Associations associations_;
    Carriers carriers_;
    const crypto::PacketProtectionBackend protection_;
    std::unordered_map<AssociationId, Setup> setups_;
    std::unordered_map<LookupId, AssociationId> lookups_;
    std::unordered_multimap<Address, AssociationId> attempts_;
    std::vector<AssociationId> active_;
    std::vector<TransientId> touched_;
    std::unordered_map<SocketId, std::vector<AssociationId>> blocked_;  // by their socket
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
