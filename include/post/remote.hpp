// Remote: how the far end of an Association is named (draft 2.4, RFC 9622, 6.1): a URL, a name and
// a port or service, an address, or several of them that lead to the same peer. A plain value;
// nothing is looked up before the first message, activate() or Context::resolve.
//
// The URLs, in the notation of RFC 3986:
//
//   URL    = SCHEME "://" HOST [ ":" PORT ] [ TARGET ]
//   SCHEME = "post" / "https" / "quic" / "sctp" / "tls" / "tcp" / "udp"     in any case
//   HOST   = a name / an IPv4 address / "[" an IPv6 address [ ( "%25" / "%" ) ZONE ] "]"
//   PORT   = 1 to 65535; left out: 443 for https, 4433 for post, quic and sctp. The others have no
//            port of their own, so that it has to be said.
//   TARGET = "/", or for https any path and query; a fragment is refused
//
// A name is written in ASCII (RFC 1123, 2.1, and underscores) or in UTF-8, which becomes A-labels
// (IDNA 2008, as UTS 46 maps it). What looks like a number and is no IPv4 address is no name.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <post/address.hpp>
#include <post/result.hpp>

namespace post {

// What the URL asks for. `post` leaves the protocol to the library.
enum class Scheme : std::uint8_t { post, https, quic, sctp, tls, tcp, udp };
const char* to_string(Scheme scheme) noexcept;

class Remote {
public:
    // Throws Failure (invalid_url) that shows what is wrong and where.
    Remote(std::string_view url);
    Remote(const char* url) : Remote(std::string_view(url)) {}
    Remote(const std::string& url) : Remote(std::string_view(url)) {}
    static Result<Remote> parse(std::string_view url);
    // A name (or an address as text, with a zone: "fe80::1%eth0") and a port. Throws Failure
    // (invalid_argument).
    Remote(std::string_view host, std::uint16_t port, Scheme scheme = Scheme::post);
    // An address and its port. Throws Failure (invalid_argument).
    Remote(const Address& address, Scheme scheme = Scheme::post);
    // A service by its name ("echo", RFC 6335, 5.1), whose hosts and ports SRV records say (RFC
    // 2782); where there are none, the host itself at the port that the system's list of services
    // has. Throws Failure (invalid_argument).
    static Remote service(std::string_view host, std::string_view service,
                          Scheme scheme = Scheme::post);
    // Several ways to the same peer, which is to show the first one's server_name() on each. At
    // most `most_others` + 1. Throws Failure (invalid_argument; too_many).
    static Remote any(std::vector<Remote> remotes);
    Remote& add(Remote another);

    Scheme scheme() const { return scheme_; }
    // In ASCII; an IPv6 address without brackets, with its zone.
    const std::string& host() const { return host_; }
    // 0 where a service is named, until it is resolved.
    std::uint16_t port() const { return port_; }
    // The port of one protocol, where it is another than port(): QUIC on 4433, TLS on 8443.
    std::uint16_t port(Scheme protocol) const;
    // Throws Failure (invalid_argument) for port 0.
    Remote& set_port(Scheme protocol, std::uint16_t port);
    const std::string& service() const { return service_; }
    // The path and query of https, "/" when there was none; empty for all others.
    const std::string& target() const { return target_; }
    // The other ways to the same peer.
    const std::vector<Remote>& others() const { return others_; }
    // True when nothing is left to be looked up (draft 2.4: fully resolved), here and in others().
    bool complete() const;
    // Of the family none until it is known.
    const Address& address() const { return address_; }
    // The same Remote, more specific: at this address and its port. Leaves out others().
    Remote at(const Address& address) const;
    // The name that the peer's certificate must be made out to, and that it is asked for (SNI); the
    // host unless it is set.
    const std::string& server_name() const { return server_name_.empty() ? host_ : server_name_; }
    void set_server_name(std::string name) { server_name_ = std::move(name); }
    // "post://example.net:4433": a URL, which can be read again, unless a service is named ("post
    // service echo of example.net") or there are others ("URL, URL").
    std::string string() const;
    bool operator==(const Remote&) const = default;

    static constexpr std::uint16_t default_port = 4433;
    static constexpr std::size_t longest_url = 8192;  // in bytes
    static constexpr std::size_t most_others = 15;

private:
    Remote() = default;
    std::string host_;
    std::string server_name_;
    std::string service_;
    std::string target_;
    Address address_;
    std::array<std::uint16_t, 7> ports_{};  // by Scheme; 0: as port_
    std::uint16_t port_ = default_port;
    Scheme scheme_ = Scheme::post;
    std::vector<Remote> others_;
};

}  // namespace post
