// NameServers: c-ares's settings, and what is known without asking.
#include "lib/io/name_servers.hpp"

#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <fstream>

#include <ares.h>

#include <post/error.hpp>

#include "lib/io/resolver_records.hpp"
#include "lib/io/sockaddr.hpp"

namespace post::io {
namespace {

std::string lower(std::string name) {
    for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!name.empty() && name.back() == '.') name.pop_back();
    return name;
}

// "127.0.0.53:53", "[::1]:53" as c-ares writes them, with commas between.
bool all_loopback(std::string_view servers) {
    if (servers.empty()) return false;
    while (!servers.empty()) {
        std::string_view one = servers.substr(0, servers.find(','));
        servers.remove_prefix(std::min(one.size() + 1, servers.size()));
        if (one.starts_with('['))
            one = one.substr(1, one.find(']') - 1);
        else
            one = one.substr(0, one.find(':'));
        const auto address = Address::parse(one);
        if (!address || !address->is_loopback()) return false;
    }
    return true;
}

void append_hosts(ares_channel_t* channel, const std::string& name, int family,
                  std::vector<Address>& addresses) {
    hostent* found = nullptr;
    if (ares_gethostbyname_file(channel, name.c_str(), family, &found) != ARES_SUCCESS) return;
    for (char** at = found->h_addr_list; at && *at && addresses.size() < 2 * Answer::most; ++at) {
        const Address address = family == AF_INET
                                    ? address_of(*reinterpret_cast<in_addr*>(*at), 0)
                                    : address_of(*reinterpret_cast<in6_addr*>(*at), 0, 0);
        if (is_usable(address)) addresses.push_back(address);
    }
    ares_free_hostent(found);
}

}  // namespace

void DestroyChannel::operator()(ares_channel_t* channel) const noexcept { ares_destroy(channel); }

NameServers::NameServers(Options options) : options_(std::move(options)) {
    for (const auto& server : options_.servers) {
        if (!servers_.empty()) servers_ += ',';
        servers_ += server;
    }
    if (servers_.empty()) return;
    int status = ARES_SUCCESS;
    std::vector<SocketChange> ignored;
    const Channel tried = channel(ignored, status);
    if (status != ARES_SUCCESS)
        throw Failure(Error(Errc::invalid_argument, {status, resolver_category()}, Stage::call,
                            Bytes("name servers " + servers_.substr(0, 200))));
}

Channel NameServers::channel(std::vector<SocketChange>& changes, int& status) const {
    ares_options options{};
    int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_QUERY_CACHE |
                ARES_OPT_UDP_MAX_QUERIES | ARES_OPT_SOCK_STATE_CB;
    options.flags = ARES_FLAG_EDNS;
    // Three tries, each twice as long as the one before: 1 + 2 + 4 = 7 parts.
    options.tries = 3;
    const auto first =
        std::chrono::duration_cast<std::chrono::milliseconds>(options_.timeout / 7).count();
    options.timeout = static_cast<int>(std::clamp<std::int64_t>(first, 10, 10'000));
    // A channel lives for one lookup: nothing to remember, and a port of its own for each query
    // (RFC 5452, 9.2).
    options.qcache_max_ttl = 0;
    options.udp_max_queries = 1;
    options.sock_state_cb = [](void* cookie, ares_socket_t fd, int readable, int writable) {
        static_cast<std::vector<SocketChange>*>(cookie)->push_back(
            {fd, readable != 0, writable != 0});
    };
    options.sock_state_cb_data = &changes;
    // c-ares copies them, and does not write to them.
    std::vector<char*> domains;
    for (const std::string& domain : options_.domains)
        domains.push_back(const_cast<char*>(domain.c_str()));
    if (!domains.empty()) {
        given |= ARES_OPT_DOMAINS;
        options.domains = domains.data();
        options.ndomains = static_cast<int>(domains.size());
    }
    if (!options_.hosts_file.empty()) {
        given |= ARES_OPT_HOSTS_FILE;
        options.hosts_path = const_cast<char*>(options_.hosts_file.c_str());
    }

    ares_channel_t* made = nullptr;
    status = ares_init_options(&made, &options, given);
    Channel channel(status == ARES_SUCCESS ? made : nullptr);
    if (channel && !servers_.empty())
        status = ares_set_servers_ports_csv(channel.get(), servers_.c_str());
    return channel;
}

std::string NameServers::text(ares_channel_t* channel) {
    char* servers = channel ? ares_get_servers_csv(channel) : nullptr;
    if (!servers) return {};
    std::string text = servers;
    ares_free_string(servers);
    return text;
}

bool NameServers::trusted(ares_channel_t* channel) const {
    if (options_.trusted || all_loopback(text(channel))) return true;
    if (!servers_.empty()) return false;
    std::ifstream file("/etc/resolv.conf");
    std::string settings(64 * 1024, '\0');
    file.read(settings.data(), static_cast<std::streamsize>(settings.size()));
    settings.resize(static_cast<std::size_t>(file.gcount()));
    return says_trust_ad(settings);
}

bool NameServers::trusted() const {
    int status = ARES_SUCCESS;
    std::vector<SocketChange> ignored;
    const Channel tried = channel(ignored, status);
    return tried && trusted(tried.get());
}

std::vector<Address> NameServers::known_here(ares_channel_t* channel,
                                             const std::string& name) const {
    std::vector<Address> addresses;
    append_hosts(channel, name, AF_INET6, addresses);
    append_hosts(channel, name, AF_INET, addresses);
    const std::string known = lower(name);
    if (addresses.empty() && (known == "localhost" || known.ends_with(".localhost")))
        addresses = {*Address::parse("::1"), *Address::parse("127.0.0.1")};
    return addresses;
}

std::uint16_t NameServers::port_of(const std::string& service) {
    servent entry{};
    servent* found = nullptr;
    std::array<char, 1024> space{};
    if (getservbyname_r(service.c_str(), nullptr, &entry, space.data(), space.size(), &found) !=
            0 ||
        !found)
        return 0;
    return ntohs(static_cast<std::uint16_t>(found->s_port));
}

Address NameServers::zoned(const std::string& host) {
    const std::size_t percent = host.find('%');
    if (percent == std::string::npos || host.find(':') > percent) return {};
    const unsigned index = if_nametoindex(host.c_str() + percent + 1);
    if (index == 0) return {};
    const auto address = Address::parse(host.substr(0, percent + 1) + std::to_string(index));
    return address ? *address : Address{};
}

// resolv.conf(5): lines of a keyword and its values; of several "options" all count.
bool says_trust_ad(std::string_view resolv_conf) {
    while (!resolv_conf.empty()) {
        std::string_view line = resolv_conf.substr(0, resolv_conf.find('\n'));
        resolv_conf.remove_prefix(std::min(line.size() + 1, resolv_conf.size()));
        bool options = false;
        for (std::size_t word = 0; !line.empty(); ++word) {
            const std::size_t begin = std::min(line.find_first_not_of(" \t\r"), line.size());
            line.remove_prefix(begin);
            const std::string_view text = line.substr(0, line.find_first_of(" \t\r"));
            line.remove_prefix(text.size());
            // A keyword begins its line.
            if (word == 0) options = begin == 0 && text == "options";
            if (word > 0 && options && text == "trust-ad") return true;
        }
    }
    return false;
}

}  // namespace post::io
