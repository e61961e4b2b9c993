// Remote: URLs, names and addresses, checked when they are made.
#include <post/remote.hpp>

#include <charconv>

namespace post {

namespace {

Error bad(std::string_view url, std::size_t at, std::string_view what) {
    std::string text = "not a URL that the library understands: " + std::string(what) + "\n  " +
                       std::string(url) + "\n  " + std::string(at, ' ') +
                       "^\n  expected post://HOST[:PORT] or quic://HOST[:PORT]";
    return Error(Errc::invalid_url, {}, Stage::call, Bytes(std::move(text)));
}

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool digit(char c) { return c >= '0' && c <= '9'; }

// RFC 1123, 2.1, and underscores, which names of services have. Where it goes wrong, or npos.
std::size_t wrong_in_name(std::string_view host) {
    if (host.empty() || host.size() > 253) return 0;
    std::size_t label = 0;
    for (std::size_t i = 0; i < host.size(); ++i) {
        const char c = host[i];
        if (c == '.') {
            if (label == 0) return i;
            label = 0;
        } else if ((letter(c) || digit(c) || c == '-' || c == '_') && ++label <= 63) {
            continue;
        } else {
            return i;
        }
    }
    return std::string_view::npos;
}

}  // namespace

Result<Remote> Remote::parse(std::string_view url) {
    std::size_t at = 0;
    for (std::string_view scheme : {"post://", "quic://"})
        if (url.starts_with(scheme)) at = scheme.size();
    if (at == 0) return bad(url, 0, "the scheme is none of post, quic");
    Remote remote;
    std::string_view rest = url.substr(at);
    if (rest.starts_with('[')) {
        const std::size_t end = rest.find(']');
        if (end == std::string_view::npos) return bad(url, at, "the bracket is not closed");
        const auto address = Address::parse(rest.substr(1, end - 1));
        if (!address || address->family != Address::Family::v6)
            return bad(url, at + 1, "no IPv6 address");
        remote.address_ = *address;
        remote.host_ = remote.address_.ip_string();
        rest.remove_prefix(end + 1);
        at += end + 1;
    } else {
        const std::size_t end = std::min(rest.find_first_of(":/?#"), rest.size());
        const std::string_view host = rest.substr(0, end);
        if (const auto address = Address::parse(host)) {
            remote.address_ = *address;
        } else if (const std::size_t wrong = wrong_in_name(host); wrong != std::string_view::npos) {
            return bad(url, at + wrong, host.empty() ? "the host is missing" : "no host name");
        }
        remote.host_ = std::string(host);
        rest.remove_prefix(end);
        at += end;
    }
    if (rest.starts_with(':')) {
        unsigned port = 0;
        const char* first = rest.data() + 1;
        const char* last = rest.data() + rest.size();
        const auto [end, error] = std::from_chars(first, last, port);
        if (error != std::errc{} || port == 0 || port > 65535)
            return bad(url, at + 1, "the port is no number from 1 to 65535");
        at += static_cast<std::size_t>(end - rest.data());
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        remote.port_ = static_cast<std::uint16_t>(port);
    }
    if (rest == "/") rest = {};
    if (!rest.empty()) return bad(url, at, "nothing may follow the port");
    remote.address_.port = remote.port_;
    return remote;
}

Remote::Remote(std::string_view url) {
    auto parsed = parse(url);
    if (!parsed) throw Failure(parsed.error());
    *this = std::move(*parsed);
}

Remote::Remote(std::string_view host, std::uint16_t port) : host_(host), port_(port) {
    if (const auto address = Address::parse(host)) {
        address_ = *address;
        address_.port = port;
    } else if (wrong_in_name(host) != std::string_view::npos) {
        throw Failure(Error(Errc::invalid_argument, {}, Stage::call,
                            Bytes("no host name: \"" + std::string(host) + "\"")));
    }
    if (port == 0)
        throw Failure(Error(Errc::invalid_argument, {}, Stage::call, "port 0 names no service"));
}

Remote::Remote(const Address& address)
    : host_(address.ip_string()), address_(address), port_(address.port) {
    if (address.family == Address::Family::none || address.port == 0)
        throw Failure(Error(Errc::invalid_argument, {}, Stage::call,
                            "an address of a Remote has a family and a port"));
}

std::string Remote::string() const {
    const bool v6 = host_.find(':') != std::string::npos;
    return "post://" + (v6 ? "[" + host_ + "]" : host_) + ":" + std::to_string(port_);
}

}  // namespace post
