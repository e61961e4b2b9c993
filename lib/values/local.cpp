// Local and Interface as text.
#include <post/local.hpp>

#include <algorithm>
#include <charconv>
#include <optional>

#include <post/interface.hpp>

namespace post {

namespace {

// IFNAMSIZ with its end.
constexpr std::size_t longest_name = 15;

std::optional<std::uint16_t> port_of(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
    return port;
}

Error wrong(std::string_view text, const char* what) {
    return Error(Errc::invalid_argument, {}, Stage::call,
                 Bytes("'" + std::string(text) + "' is no Local: " + what));
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= longest_name &&
           std::all_of(text.begin(), text.end(), [](unsigned char letter) {
               return letter > ' ' && letter != '/' && letter != ':' && letter != 0x7f;
           });
}

// The gateway of the best default route of a family.
const Interface::Route* default_route(const Interface& interface, Address::Family family) {
    const Interface::Route* best = nullptr;
    for (const Interface::Route& route : interface.routes)
        if (route.prefix == 0 && route.to.family == family &&
            (!best || route.metric < best->metric))
            best = &route;
    return best;
}

}  // namespace

Result<Local> Local::parse(std::string_view text) {
    Local local;
    std::string_view where = text;
    std::string_view ports;
    // Without brackets, more than one colon is an IPv6 address and no port.
    const auto last = text.rfind(':');
    const bool bare_v6 = text.find(':') != last && !text.starts_with('[');
    if (last != std::string_view::npos && !bare_v6 && !text.ends_with(']')) {
        where = text.substr(0, last);
        ports = text.substr(last + 1);
        const auto dash = ports.find('-');
        const auto first = port_of(ports.substr(0, dash));
        if (!first) return wrong(text, "a port is 1 to 65535, a range 4000-4010");
        local.port = *first;
        if (dash != std::string_view::npos) {
            const auto end = port_of(ports.substr(dash + 1));
            if (!end || *end < *first)
                return wrong(text, "a range of ports ends above where it begins");
            local.last_port = *end;
        }
    }
    const bool bracketed = where.starts_with('[') && where.ends_with(']');
    if (bracketed) where = where.substr(1, where.size() - 2);
    if (const auto address = Address::parse(where)) {
        local.address = *address;
        return local;
    }
    if (where.empty() && !ports.empty() && !bracketed) return local;
    if (bracketed || !is_name(where))
        return wrong(text, "it begins with the name of an interface or with an address");
    local.interfaces.emplace_back(where);
    return local;
}

const char* to_string(SourceChoice choice) noexcept {
    switch (choice) {
        case SourceChoice::automatic: return "automatic";
        case SourceChoice::temporary: return "temporary";
        case SourceChoice::stable: return "stable";
    }
    return "unknown";
}

std::string Interface::network() const {
    std::string text = name;
    const char* between = " via ";
    for (const auto family : {Address::Family::v4, Address::Family::v6}) {
        const Route* const route = default_route(*this, family);
        if (!route || route->gateway.family == Address::Family::none) continue;
        text += between + route->gateway.ip_string();
        between = " ";
    }
    return text;
}

std::string Interface::string() const {
    std::string text = name + " (" + to_string(type) + ")";
    const char* between = ": ";
    for (const Source& source : sources) {
        text += between + source.address.ip_string();
        between = ", ";
    }
    return text;
}

}  // namespace post
