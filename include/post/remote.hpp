// Remote: how the far end of an Association is named (draft 2.4): a URL, a name and a port, or an
// address. A plain value; nothing is looked up before the first message or activate().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <post/address.hpp>
#include <post/result.hpp>

namespace post {

class Remote {
public:
    // A URL: post://HOST[:PORT] or quic://HOST[:PORT], where HOST is a name, an IPv4 address or an
    // IPv6 address in brackets; PORT 4433 when it is left out. A path, query or user is refused.
    // Throws Failure (invalid_url) that shows what is wrong and where.
    Remote(std::string_view url);
    Remote(const char* url) : Remote(std::string_view(url)) {}
    Remote(const std::string& url) : Remote(std::string_view(url)) {}
    static Result<Remote> parse(std::string_view url);
    // A name (or an address as text) and a port. Throws Failure (invalid_argument).
    Remote(std::string_view host, std::uint16_t port);
    // An address and its port.
    Remote(const Address& address);

    const std::string& host() const { return host_; }
    std::uint16_t port() const { return port_; }
    // True when nothing is left to be looked up (draft 2.4: fully resolved).
    bool complete() const { return address_.family != Address::Family::none; }
    const Address& address() const { return address_; }
    // The name that the peer's certificate must be made out to, and that it is asked for (SNI); the
    // host unless it is set.
    const std::string& server_name() const { return server_name_.empty() ? host_ : server_name_; }
    void set_server_name(std::string name) { server_name_ = std::move(name); }
    // "post://example.net:4433"
    std::string string() const;
    bool operator==(const Remote&) const = default;

    static constexpr std::uint16_t default_port = 4433;

private:
    Remote() = default;
    std::string host_;
    std::string server_name_;
    Address address_;
    std::uint16_t port_ = default_port;
};

}  // namespace post
