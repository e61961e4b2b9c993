// Remote: URLs, names and addresses, checked when they are made.
#include <post/remote.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

#include "mappings/crypto/idna.hpp"

namespace post {

namespace {

struct SchemeRow {
    Scheme scheme;
    const char* name;
    std::uint16_t port;  // 0: none of its own
};
constexpr SchemeRow schemes[] = {
    {Scheme::post, "post", Remote::default_port},
    {Scheme::https, "https", 443},
    {Scheme::quic, "quic", Remote::default_port},
    {Scheme::sctp, "sctp", Remote::default_port},
    {Scheme::tls, "tls", 0},
    {Scheme::tcp, "tcp", 0},
    {Scheme::udp, "udp", 0},
};
const SchemeRow& row(Scheme scheme) { return schemes[static_cast<std::size_t>(scheme)]; }

// What is wrong with a part of a Remote, and at which byte of it.
struct Wrong {
    std::size_t at = 0;
    std::string what;
    std::error_code cause{};
};

// A byte of UTF-8 takes a column only where a letter begins; a control character takes one, too.
Error bad(std::string_view url, const Wrong& wrong) {
    std::string shown(url.substr(0, Remote::longest_url));
    std::size_t column = 0;
    for (std::size_t i = 0; i < shown.size(); ++i) {
        const auto byte = static_cast<unsigned char>(shown[i]);
        if (byte < ' ' || byte == 0x7f) shown[i] = '?';
        if (i < wrong.at && (byte & 0xc0) != 0x80) ++column;
    }
    std::string text = "not a URL that the library understands: " + wrong.what + "\n  " + shown +
                       "\n  " + std::string(column, ' ') + "^\n  expected SCHEME://HOST[:PORT], " +
                       "SCHEME being one of post, https, quic, sctp, tls, tcp, udp";
    return Error(Errc::invalid_url, wrong.cause, Stage::call, Bytes(std::move(text)));
}

Failure wrong_call(std::string text) {
    return Failure(Error(Errc::invalid_argument, {}, Stage::call, Bytes(std::move(text))));
}

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// What somebody would read as an address: "1.2.3", "010.0.0.1" (RFC 3696, 2: no top-level domain
// is a number), "0x7f.1".
bool looks_numeric(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    const std::string_view last = name.substr(name.rfind('.') + 1);
    if (last.starts_with("0x") || last.starts_with("0X")) return true;
    return !last.empty() && std::all_of(last.begin(), last.end(), digit);
}

// RFC 1123, 2.1, and underscores, which names of services have.
std::optional<Wrong> wrong_in_name(std::string_view host) {
    if (host.empty()) return Wrong{0, "the host is missing"};
    const std::size_t length = host.size() - (host.back() == '.' ? 1 : 0);
    if (length > 253) return Wrong{0, "no host name: longer than 253 letters"};
    std::size_t label = 0;
    for (std::size_t i = 0; i < host.size(); ++i) {
        const char c = host[i];
        if (c == '.') {
            if (label == 0) return Wrong{i, "no host name: an empty label"};
            label = 0;
        } else if (!letter(c) && !digit(c) && c != '-' && c != '_') {
            return Wrong{i, "no host name"};
        } else if (++label > 63) {
            return Wrong{i, "no host name: a label of more than 63 letters"};
        }
    }
    if (looks_numeric(host)) return Wrong{0, "neither an IPv4 address nor a name"};
    return {};
}

// A host as the Remote keeps it.
struct Host {
    std::string name;
    std::string server_name{};  // where it is another
    Address address{};
};

// An IPv6 address, whose zone may be a number or the name of an interface (RFC 4007, 11).
std::optional<Wrong> read_v6(std::string_view text, Host& host) {
    const std::size_t percent = text.find('%');
    const std::string_view plain = text.substr(0, percent);
    const auto address = Address::parse(plain);
    if (!address || plain.find(':') == std::string_view::npos) return Wrong{0, "no IPv6 address"};
    host.address = *address;
    host.name = address->ip_string();
    if (percent == std::string_view::npos) return {};

    host.server_name = host.name;  // certificates know no zones
    const std::string_view zone = text.substr(percent + 1);
    // The names of Linux's interfaces have at most 15 bytes.
    const bool named = !zone.empty() && zone.size() <= 15 &&
                       std::all_of(zone.begin(), zone.end(), [](char c) {
                           return letter(c) || digit(c) || c == '-' || c == '_' || c == '.';
                       });
    if (!named) return Wrong{percent, "the zone is no interface"};
    if (!Address::parse(host.name + "%1"))
        return Wrong{percent, "only a link-local address has a zone"};
    if (const auto scoped = Address::parse(host.name + '%' + std::string(zone))) {
        host.address = *scoped;
        host.name = scoped->ip_string();
        if (scoped->scope == 0) host.server_name.clear();  // the default zone is no zone
    } else if (digit(zone[0]) && std::all_of(zone.begin(), zone.end(), digit)) {
        return Wrong{percent, "the zone is no interface"};
    } else {
        // Which number the interface has, the system knows when it is looked up.
        host.address = {};
        host.name += '%' + std::string(zone);
    }
    return {};
}

std::optional<Wrong> read_name(std::string_view text, Host& host) {
    if (const auto address = Address::parse(text);
        address && text.find(':') == std::string_view::npos) {
        host.address = *address;
        host.name = std::string(text);
        return {};
    }
    if (is_ascii(text)) {
        host.name = std::string(text);
        return wrong_in_name(text);
    }
    auto ascii = crypto::ascii_name(text);
    if (!ascii) {
        const Error error = ascii.error();
        const bool missing = error == Errc::unsupported;
        return Wrong{0, missing ? error.detail.string() : "no host name", error.cause};
    }
    host.name = std::move(*ascii);
    // Letters that mean ASCII may come to anything.
    if (wrong_in_name(host.name)) return Wrong{0, "no host name"};
    return {};
}

// The port behind a colon; npos when it goes wrong, else how long it is.
std::size_t read_port(std::string_view text, std::uint16_t& port) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || number == 0 || number > 65535) return std::string_view::npos;
    port = static_cast<std::uint16_t>(number);
    return static_cast<std::size_t>(end - text.data());
}

// RFC 3986, 3.3 and 3.4, in ASCII. Where it goes wrong, or npos.
std::size_t wrong_in_target(std::string_view target) {
    for (std::size_t i = 0; i < target.size(); ++i) {
        const char c = target[i];
        const bool fine = letter(c) || digit(c) ||
                          std::string_view("-._~!$&'()*+,;=:@/?").find(c) != std::string_view::npos;
        if (fine) continue;
        const auto hex = [&](std::size_t at) {
            return at < target.size() &&
                   (digit(target[at]) || (target[at] >= 'a' && target[at] <= 'f') ||
                    (target[at] >= 'A' && target[at] <= 'F'));
        };
        if (c != '%' || !hex(i + 1) || !hex(i + 2)) return i;
    }
    return std::string_view::npos;
}

}  // namespace

const char* to_string(Scheme scheme) noexcept { return row(scheme).name; }

Result<Remote> Remote::parse(std::string_view url) {
    if (url.size() > longest_url)
        return bad(url, {longest_url, "longer than " + std::to_string(longest_url) + " bytes"});
    Remote remote;
    std::size_t at = url.find("://");
    const auto known = std::find_if(
        std::begin(schemes), std::end(schemes), [&](const SchemeRow& candidate) {
            const std::string_view name = candidate.name;
            return name.size() == at &&
                   std::equal(name.begin(), name.end(), url.begin(),
                              [](char a, char b) { return a == b || a == (b | 0x20); });
        });
    if (known == std::end(schemes)) return bad(url, {0, "the scheme is none that is known"});
    remote.scheme_ = known->scheme;
    at += 3;
    std::string_view rest = url.substr(at);
    const auto pass = [&](std::size_t count) { at += count, rest.remove_prefix(count); };

    Host host;
    if (rest.starts_with('[')) {
        const std::size_t end = rest.find(']');
        if (end == std::string_view::npos) return bad(url, {at, "the bracket is not closed"});
        std::string inside(rest.substr(1, end - 1));
        // RFC 6874, 2: the percent sign is itself written in percent. "%25" alone is the zone 25.
        const std::size_t percent = inside.find('%');
        if (percent != std::string::npos && inside.compare(percent, 3, "%25") == 0 &&
            inside.size() > percent + 3)
            inside.erase(percent + 1, 2);
        if (const auto wrong = read_v6(inside, host))
            return bad(url, {at + 1 + wrong->at, wrong->what});
        pass(end + 1);
    } else {
        const std::size_t end = std::min(rest.find_first_of(":/?#"), rest.size());
        if (auto wrong = read_name(rest.substr(0, end), host)) {
            wrong->at += at;
            return bad(url, *wrong);
        }
        pass(end);
    }
    remote.host_ = std::move(host.name);
    remote.server_name_ = std::move(host.server_name);
    remote.address_ = host.address;

    remote.port_ = known->port;
    if (rest.starts_with(':')) {
        pass(1);
        const std::size_t length = read_port(rest, remote.port_);
        if (length == std::string_view::npos)
            return bad(url, {at, "the port is no number from 1 to 65535"});
        pass(length);
    } else if (remote.port_ == 0) {
        return bad(url, {at, std::string("the port is missing, and ") + known->name +
                                 " has none of its own"});
    }
    if (remote.scheme_ == Scheme::https) {
        if (!rest.empty() && rest[0] != '/' && rest[0] != '?')
            return bad(url, {at, "a path or a query may follow the port"});
        if (const auto wrong = wrong_in_target(rest); wrong != std::string_view::npos)
            return bad(url, {at + wrong, rest[wrong] == '#' ? "a fragment is nobody else's matter"
                                                            : "no path of a URL"});
        remote.target_ = (rest.starts_with('/') ? "" : "/") + std::string(rest);
    } else if (!rest.empty() && rest != "/") {
        return bad(url, {at, "nothing may follow the port"});
    }
    if (remote.address_.family != Address::Family::none) remote.address_.port = remote.port_;
    return remote;
}

Remote::Remote(std::string_view url) {
    auto parsed = parse(url);
    if (!parsed) throw Failure(parsed.error());
    *this = std::move(*parsed);
}

Remote::Remote(std::string_view host, std::uint16_t port, Scheme scheme)
    : port_(port), scheme_(scheme) {
    Host read;
    const bool v6 = host.find(':') != std::string_view::npos;
    if (const auto wrong = v6 ? read_v6(host, read) : read_name(host, read))
        throw wrong_call(wrong->what + ": \"" + std::string(host.substr(0, 300)) + '"');
    if (port == 0) throw wrong_call("port 0 names no service");
    host_ = std::move(read.name);
    server_name_ = std::move(read.server_name);
    address_ = read.address;
    if (address_.family != Address::Family::none) address_.port = port;
    if (scheme == Scheme::https) target_ = "/";
}

Remote::Remote(const Address& address, Scheme scheme)
    : host_(address.ip_string()), address_(address), port_(address.port), scheme_(scheme) {
    if (address.family == Address::Family::none || address.port == 0)
        throw wrong_call("an address of a Remote has a family and a port");
    if (address.scope != 0) server_name_ = host_.substr(0, host_.find('%'));
    if (scheme == Scheme::https) target_ = "/";
}

Remote Remote::service(std::string_view host, std::string_view service, Scheme scheme) {
    // RFC 6335, 5.1: letters, digits and hyphens, at most 15, and a letter among them.
    const bool fine = !service.empty() && service.size() <= 15 && service.front() != '-' &&
                      service.back() != '-' &&
                      std::all_of(service.begin(), service.end(),
                                  [](char c) { return letter(c) || digit(c) || c == '-'; }) &&
                      std::any_of(service.begin(), service.end(), letter);
    if (!fine)
        throw wrong_call("no name of a service: \"" + std::string(service.substr(0, 64)) + '"');
    Remote remote(host, default_port, scheme);
    remote.service_ = std::string(service);
    remote.port_ = 0;
    remote.address_.port = 0;
    return remote;
}

Remote Remote::any(std::vector<Remote> remotes) {
    if (remotes.empty()) throw wrong_call("a Remote of nothing");
    Remote all = std::move(remotes.front());
    for (std::size_t i = 1; i < remotes.size(); ++i) all.add(std::move(remotes[i]));
    return all;
}

Remote& Remote::add(Remote another) {
    std::vector<Remote> deeper = std::exchange(another.others_, {});
    if (another.scheme_ != scheme_) throw wrong_call("the ways to one peer have the same scheme");
    if (others_.size() + 1 + deeper.size() > most_others)
        throw Failure(Error(Errc::too_many, {}, Stage::call,
                            Bytes("a Remote has at most " + std::to_string(most_others + 1) +
                                  " names and addresses")));
    others_.push_back(std::move(another));
    for (Remote& one : deeper) others_.push_back(std::move(one));
    return *this;
}

std::uint16_t Remote::port(Scheme protocol) const {
    const std::uint16_t own = ports_[static_cast<std::size_t>(protocol)];
    return own != 0 ? own : port_;
}

Remote& Remote::set_port(Scheme protocol, std::uint16_t port) {
    if (port == 0) throw wrong_call("port 0 names no service");
    ports_[static_cast<std::size_t>(protocol)] = port;
    return *this;
}

bool Remote::complete() const {
    return address_.family != Address::Family::none && address_.port != 0 &&
           std::all_of(others_.begin(), others_.end(),
                       [](const Remote& other) { return other.complete(); });
}

Remote Remote::at(const Address& address) const {
    Remote there = *this;
    there.address_ = address;
    there.port_ = address.port;
    there.service_.clear();
    there.others_.clear();
    return there;
}

std::string Remote::string() const {
    std::string text;
    if (!service_.empty()) {
        text = std::string(to_string(scheme_)) + " service " + service_ + " of " + host_;
    } else {
        std::string host = host_;
        if (const std::size_t percent = host.find('%'); percent != std::string::npos)
            host.insert(percent + 1, "25");
        if (host.find(':') != std::string::npos) host = '[' + host + ']';
        text = std::string(to_string(scheme_)) + "://" + host + ':' + std::to_string(port_);
        if (target_ != "/") text += target_;
    }
    for (const Remote& other : others_) text += ", " + other.string();
    return text;
}

}  // namespace post
