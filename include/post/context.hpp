// Context: the library's whole state, and what drives it. One thread owns a Context and everything
// that hangs on it; only stop() and submit() may be called from other threads and, stop() alone,
// from signal handlers. Several Contexts in one process share nothing.
//
// It is driven by run(), or by anybody's loop: wait until fd() is readable or deadline() has come,
// then call turn().
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <post/association_store.hpp>
#include <post/carrier.hpp>
#include <post/http.hpp>
#include <post/interface.hpp>
#include <post/listener.hpp>
#include <post/local.hpp>
#include <post/plan.hpp>
#include <post/policy.hpp>
#include <post/quic.hpp>
#include <post/remote.hpp>
#include <post/sctp.hpp>
#include <post/tls.hpp>
#include <post/udp.hpp>

namespace post {

class Io;

struct ContextOptions {
    // Received and untaken bytes of all Associations together, at most.
    std::uint64_t receive_budget = 256 * 1024 * 1024;
    // Name servers as "address", "address:port" ("[address]:port" for IPv6), or, for a link-local
    // one, "address%interface"; empty: those of the system (/etc/resolv.conf; /etc/hosts is read in
    // any case).
    std::vector<std::string> name_servers{};
    // Where names are looked for that are not found as they are; empty: the system's search list.
    std::vector<std::string> name_domains{};
    // For the whole of one lookup.
    Duration name_timeout = std::chrono::seconds(5);
    // The name servers validate (DNSSEC) and nobody stands between them and us, so that what they
    // say of certificates (TLSA) counts. Servers on this machine, and those that resolv.conf calls
    // trust-ad, are trusted anyway.
    bool trust_name_servers = false;
    // Refuses addresses of private networks, of this machine and of its links where a name server
    // says them: for programs that connect to names which strangers give them, so that none of
    // these leads into the network at home (DNS rebinding). Addresses that are written out, and
    // those of the hosts file, are not touched.
    bool public_names_only = false;
    // How long run() looks for input before it sleeps. Round trips over fast paths become several
    // times shorter, at the price of a processor that is busy for so long whenever there is nothing
    // to do; 20 to 50 us is a good choice for a server with a core of its own. Zero: it sleeps at
    // once. Who turns the Context from a loop of their own spins there.
    Duration spin{};
    // The system's preferences, below those of every policy. None: those of the system's file
    // (post/policy.hpp, Preferences), where there is one. Preferences{}: no file is read.
    std::optional<Preferences> preferences{};
    PacketProtection packet_protection = PacketProtection::automatic;
    // False masks what the system has, for tests: segmentation offload on sending and receiving,
    // and congestion marks.
    bool gso = true;
    bool gro = true;
    bool ecn = true;
    // A folder for qlog files, one a QUIC connection and end, named by the first destination id and
    // the role: 5f3c..._client.sqlog (draft-ietf-quic-qlog-main-schema, JSON text sequences). They
    // say who talks to whom and when, and hold no content. Empty: none. What cannot be written is
    // left out. Throws Failure (unsupported) where the QUIC library has no safe writer.
    std::string qlog{};
    // A folder for the trace of this Context: one file, post-PID-NUMBER.sqlog, of names asked and
    // answered, races, connections, Carriers, messages and errors, with times, ids and sizes, and
    // nothing of what is in messages (the README has the list; draft-ietf-quic-qlog-main-schema,
    // JSON text sequences of RFC 7464). A connection that writes qlog is named there, too. What a
    // turn has to say is written at its end. Empty: none, and nothing is spent on it. Throws
    // Failure (file) where the file cannot be made; a disk that is full later ends the trace alone.
    std::string trace{};
    // Bytes of that file at most; its last record says that it was cut. At least 4096.
    std::uint64_t trace_limit = 64 * 1024 * 1024;
    // What outlives connections: tickets, tokens, who won which race. None: in memory, and gone
    // with the Context; file_store("...") keeps it for the next process.
    std::shared_ptr<AssociationStore> store{};
    // Of a server: the keys that its tickets are sealed with. None: its own, renewed each hour.
    // Contexts that share a port (Local::shared), and servers behind one name, take each other's
    // tickets only when they have the same.
    std::shared_ptr<TicketKeySource> ticket_keys{};
    // Another world to live in, such as a simulated network; none: the real one.
    std::shared_ptr<Io> io{};
};

// How a Carrier is initiated (draft 2.4, RFC 9622, 7.1). Carriers share an Association when all but
// priority, one_way, label, protocol and channel are the same, and the Remote too, with all of its
// addresses, ports and others; on udp and udp_lite each has its own. Carrier::reuse says what came
// of it, and why.
struct InitiateOptions {
    Policy policy{};
    // Whom to believe. The default is the system's authorities, and the name is always checked.
    Trust trust{};
    Local local{};
    // The application's own protocol (ALPN, RFC 7301: 1 to 255 bytes), when the peer does not speak
    // Post: its bytes go out as they are, and what arrives is one message each time (raw framing).
    // Empty: Post. On tls each Carrier is then a connection of its own, and a fork is another one.
    // On tcp, where it is always so, there is no ALPN: leave it empty.
    std::string alpn{};
    // The peer need not agree on `alpn`, and where that is empty none is offered. For peers that
    // know no ALPN, on tls alone: `policy` has to say so.
    bool without_alpn = false;
    Bounds bounds{};
    // Carriers of different words share no Association: each word has its own (RFC 9622, 8.1.10).
    // not done: local ports, address tokens of QUIC and what races have taught are not kept apart.
    std::string isolation{};
    Priority priority = 0;
    bool one_way = false;  // a Source
    QuicOptions quic{};
    SctpOptions sctp{};
    TlsOptions tls{};
    UdpOptions udp{};
    std::string label{};  // these three as in Carrier::ForkOptions
    std::string protocol{};
    ChannelOptions channel{};
};

// How peers are taken (draft 2.1.1, RFC 9622, 7.2).
struct ListenOptions {
    Policy policy{};
    // Accepted beside Post: the applications' own protocols, with raw framing. On tls the handshake
    // decides, on one port, whether a connection has all Carriers of a Post peer or is one Carrier.
    std::vector<std::string> alpn{};
    // On tls clients that offer no ALPN are taken as well, as byte streams.
    bool without_alpn = false;
    enum class ClientCertificate : std::uint8_t { none, optional, required };
    ClientCertificate client_certificate = ClientCertificate::none;
    // Whom a client's certificate must come from, when it shows one. Its name is not checked:
    // Association::peer_identity() has the certificate.
    Trust client_trust{};
    // How many tickets each new connection gets to be resumed with, on the stacks with TLS 1.3: one
    // for each leaf of the client's next race, and more. 0 to 16; 0: clients cannot resume. A
    // ticket is good for an hour.
    unsigned tickets = 3;
    // Takes what clients that resume send with their first flight (0-RTT, RFC 8446, 2.3), on quic,
    // http3 and tls: their idempotent messages come half a round trip after they were sent, marked
    // InMessage::early. The price: who records such a flight can play it again (RFC 8446, 8). A
    // Context takes each flight, and each message of a race, once, for as long as a ticket may be
    // good, which is two hours at most; its memory of them ends at 65536 names, and what comes
    // beyond is taken behind the handshake. Contexts with the same ContextOptions::ticket_keys
    // need TicketKeySource::first_use for that, and take none without it. What wakes a dormant
    // Association, or goes on where a connection broke (Bounds::continuity), is known by its
    // numbers for as long as that lives. Until the handshake is complete
    // Association::peer_identity() and resumed() know nothing. Not with client_certificate; on tls
    // only where no `alpn` is taken beside Post. On http3 each flight is taken once, and what
    // requests in it ask for is the application's to look at (RFC 8470).
    bool early_data = false;
    Bounds bounds{};
    QuicOptions quic{};
    SctpOptions sctp{};
    TlsOptions tls{};
    UdpOptions udp{};
    HttpOptions http{};
};

class Context {
public:
    // Throws Failure when the system gives no descriptors.
    explicit Context(ContextOptions options = {});
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    // Gives every message its fate, sends one last flight of closes without waiting, and drops all
    // callbacks. From inside a callback it takes effect when the turn is over.
    ~Context();

    // A Carrier to `remote` (draft, Initiate). Does not block and sends nothing: the first send or
    // activate connects. Carriers to the same Remote from the same Local share the Association.
    // Throws Failure for what is wrong with the options (invalid_argument, invalid_url,
    // unsupported). What becomes of the connection comes with activate, receive, on_closed and the
    // messages' fates; an error that none of them took goes to on_unhandled.
    Carrier initiate(Remote remote, InitiateOptions options = {});
    Source initiate_source(Remote remote, InitiateOptions options = {});
    // What is known of a Remote (draft 2.4): the more specific ones that it stands for, each with
    // an address, best first, when all lookups are over; at most 16. They keep the name that
    // certificates are made out to, and are complete(): initiate() to one of them asks no name
    // service. Sends nothing but DNS. Errc::resolve_failed when there is none, whose detail says
    // what was asked of whom; too_many above 64 at once.
    Operation<std::vector<Remote>> resolve(Remote remote);
    // What initiate() would do with the same Remote and options (RFC 9622, 4.1): every candidate in
    // its place, when it would begin, and why, and what would not be tried. Sends nothing but DNS.
    // What stands in the way of any connection is Plan::error; what initiate() would throw is the
    // answer's error, as is too_many above 64 at once, with resolve().
    Operation<Plan> plan(Remote remote, InitiateOptions options = {});
    // The interfaces of this machine that are up, those that the system would rather use first; of
    // these a Local names some, and a policy's preferences choose. Errc::unsupported where the
    // system does not tell (rtnetlink).
    Result<std::vector<Interface>> interfaces();
    // Takes peers on `local` (draft, Listen), from now on: those who come before accept() was
    // called are refused. Throws Failure: invalid_argument (no identity; udp and udp_lite need
    // none), address_in_use, no_route.
    Listener listen(Local local, ListenOptions options = {});
    Result<Listener> try_listen(Local local, ListenOptions options = {});
    // A Sink of a multicast group (draft 2.1.3): Local::address is the group and Local::port the
    // port, UdpOptions says on which interface and from which sources, and Policy::stacks has to be
    // udp or udp_lite. Any number of Sinks of the machine may stand on one port; each gets what is
    // sent to its own group, and InMessage::remote() says by whom. It needs no identity. Throws
    // Failure: invalid_argument (no group, no such interface), unsupported, address_in_use.
    Sink listen_sink(Local local, ListenOptions options);
    Result<Sink> try_listen_sink(Local local, ListenOptions options);

    // Turns until nothing is unacknowledged, registered (ready, accept) or awaited (operations), or
    // stop() was called. An exception from a callback leaves it; the next call goes on.
    void run();
    // run() returns after its turn, or at once when it is called next. Any thread, signal handlers.
    void stop() noexcept;
    // Calls `work` from a turn of this Context, in the order of the calls; from any thread. What
    // was not called when the Context goes is destroyed uncalled.
    void submit(Function<void()> work);

    // One turn without sleeping; true when there is something left to do at once. From inside a
    // callback it does nothing.
    bool turn();
    // Readable when a turn has something to do; stays valid as long as the Context.
    int fd() const;
    // When the next turn is due at the latest; `never` when only input can cause one.
    Instant deadline() const;
    // The system's preferences, as they were read or given.
    const Preferences& preferences() const;
    // The time as the Context sees it; only differences mean anything.
    Instant now() const;
    // deadline() from now on in whole milliseconds, rounded up, as poll(2) takes it; -1: never.
    int timeout() const;

    // For loops that sleep elsewhere and cannot look at deadline() first (post/asio.hpp): called
    // when a handle of this Context is used from outside a turn, once before the next turn, which
    // is then due. It is called from inside that use, and is to call nothing of the Context.
    void on_use(Function<void()> on_use);

    // Waits until everything that was sent has its fate, for at most `linger`, and closes all.
    // True when nothing was cut short. Blocks, and turns meanwhile.
    bool shutdown(Duration linger);
    // Called with errors that nobody took, instead of the lines on stderr: nobody's first wrong
    // certificate shall end in silence.
    void on_unhandled(Function<void(const Error&)> on_unhandled);

private:
    core::AnchorRef anchor_;
};

}  // namespace post
