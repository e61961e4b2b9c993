// Resolver: names to addresses, on c-ares.
#include "lib/io/resolver.hpp"

#include <sys/epoll.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <ares.h>

#include "lib/io/sockaddr.hpp"

namespace post::io {
namespace {

struct DestroyChannel {
    void operator()(ares_channel_t* channel) const noexcept { ares_destroy(channel); }
};
using Channel = std::unique_ptr<ares_channel_t, DestroyChannel>;

// What c-ares said of one family.
struct Family {
    int af = AF_UNSPEC;
    bool done = false;
    bool told = false;
    int status = ARES_SUCCESS;
    std::vector<Address> addresses;
};

// What c-ares said of one of its sockets; neither readable nor writable: it is about to be closed.
struct SocketChange {
    int fd = -1;
    bool readable = false;
    bool writable = false;
};

class ResolverCategory final : public std::error_category {
public:
    const char* name() const noexcept override { return "resolver"; }
    std::string message(int code) const override { return ares_strerror(code); }
};

// Nobody can be reached at these, whatever a name server says: "this network", multicast,
// broadcast, and IPv4 in the clothes of IPv6.
bool is_usable(const Address& address) {
    const auto& ip = address.ip;
    if (address.family == Address::Family::v4)
        return ip[0] != 0 && (ip[0] & 0xf0) != 0xe0 &&
               !(ip[0] == 255 && ip[1] == 255 && ip[2] == 255 && ip[3] == 255);
    if (address.family != Address::Family::v6 || address.is_any() || ip[0] == 0xff) return false;
    const bool mapped = std::all_of(ip.begin(), ip.begin() + 10, [](auto b) { return b == 0; }) &&
                        ip[10] == 0xff && ip[11] == 0xff;
    return !mapped;
}

void take_answer(void* cookie, int status, int, ares_addrinfo* result) {
    auto& family = *static_cast<Family*>(cookie);
    family.done = true;
    family.status = status;
    if (!result) return;
    for (const ares_addrinfo_node* node = result->nodes; node != nullptr; node = node->ai_next) {
        const Address address = address_of(*node->ai_addr, node->ai_addrlen);
        const auto& known = family.addresses;
        if (node->ai_family == family.af && is_usable(address) &&
            known.size() < Resolver::most_addresses &&
            std::find(known.begin(), known.end(), address) == known.end())
            family.addresses.push_back(address);
    }
    ares_freeaddrinfo(result);
}

void take_socket(void* cookie, ares_socket_t fd, int readable, int writable) {
    static_cast<std::vector<SocketChange>*>(cookie)->push_back({fd, readable != 0, writable != 0});
}

Channel make_channel(const std::string& servers, Duration timeout,
                     std::vector<SocketChange>* changes, int& status) {
    ares_options options{};
    int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_QUERY_CACHE |
                ARES_OPT_UDP_MAX_QUERIES | ARES_OPT_SOCK_STATE_CB;
    options.flags = ARES_FLAG_EDNS;
    // Three tries, each twice as long as the one before: 1 + 2 + 4 = 7 parts.
    options.tries = 3;
    const auto first = std::chrono::duration_cast<std::chrono::milliseconds>(timeout / 7).count();
    options.timeout = static_cast<int>(std::clamp<std::int64_t>(first, 10, 10'000));
    // A channel lives for one lookup: nothing to remember, and a port of its own for each query
    // (RFC 5452, 9.2).
    options.qcache_max_ttl = 0;
    options.udp_max_queries = 1;
    options.sock_state_cb = take_socket;
    options.sock_state_cb_data = changes;

    ares_channel_t* made = nullptr;
    status = ares_init_options(&made, &options, given);
    Channel channel(status == ARES_SUCCESS ? made : nullptr);
    if (channel && !servers.empty())
        status = ares_set_servers_ports_csv(channel.get(), servers.c_str());
    return channel;
}

// For people's eyes: what the application calls a host may hold anything.
std::string printable(const std::string& host) {
    std::string text = host.substr(0, 64);
    for (char& c : text)
        if (c < ' ' || c > '~') c = '?';
    if (host.size() > text.size()) text += "...";
    return text;
}

}  // namespace

// One lookup. c-ares keeps pointers into it: it does not move, and goes after its channel.
struct Resolver::Query {
    Io::Lookup wanted;
    std::uint32_t serial = 0;
    Instant give_up = never;  // the lookup's end, whatever c-ares would still try
    Instant next = never;     // when c-ares wants to be called
    bool over = false;        // answered or cancelled: to be destroyed
    std::array<Family, 2> families;
    std::vector<SocketChange> changes;
    Channel channel;

    Error error_of(const Family& family) const {
        std::string text = "looking up the ";
        text += family.af == AF_INET6 ? "IPv6" : "IPv4";
        text += " addresses of " + printable(wanted.host);
        if (char* servers = channel ? ares_get_servers_csv(channel.get()) : nullptr) {
            text += std::string(", name servers ") + (*servers ? servers : "none");
            ares_free_string(servers);
        }
        int status = family.status;
        if (status == ARES_SUCCESS) {
            status = ARES_ENODATA;
            text += "; the answer has no address that can be used";
        }
        return {Errc::resolve_failed, {status, resolver_category()}, Stage::resolve, text};
    }
};

Resolver::Resolver(int epoll, const std::vector<std::string>& servers, Duration timeout)
    : epoll_(epoll), timeout_(timeout) {
    for (const auto& server : servers) {
        // c-ares takes a bare IPv6 address, or [address]:port.
        if (!servers_.empty()) servers_ += ',';
        servers_ += server;
    }
    if (servers_.empty()) return;
    int status = ARES_SUCCESS;
    std::vector<SocketChange> ignored;
    const Channel tried = make_channel(servers_, timeout_, &ignored, status);
    if (status != ARES_SUCCESS)
        throw Failure(Error(Errc::invalid_argument, {status, resolver_category()}, Stage::call,
                            "name servers " + printable(servers_)));
}

Resolver::~Resolver() = default;

void Resolver::lookup(const Io::Lookup& wanted, Instant now) {
    const std::string& host = wanted.host;
    if (const auto literal = Address::parse(host, wanted.port))
        return answer_alone(wanted.id, {*literal}, {});

    // One dot at the end says that the name is whole, and is no part of its length.
    const std::size_t length = host.size() - (!host.empty() && host.back() == '.' ? 1 : 0);
    if (length == 0 || length > longest_name || host.find('\0') != std::string::npos)
        return answer_alone(wanted.id, {},
                            {Errc::resolve_failed,
                             {ARES_EBADNAME, resolver_category()},
                             Stage::resolve,
                             "not a name: \"" + printable(host) + '"'});
    if (queries_.size() >= most_lookups)
        return answer_alone(wanted.id, {},
                            {Errc::too_many,
                             {},
                             Stage::resolve,
                             "more than " + std::to_string(most_lookups) + " lookups at once, at " +
                                 printable(host)});

    auto made = std::make_unique<Query>();
    Query& query = *made;
    query.wanted = wanted;
    query.serial = ++last_serial_ & 0x7fffffff;
    query.give_up = now + timeout_;
    // The answer for IPv6 is the one worth waiting for (Happy Eyeballs v3, 4.1): it is asked first.
    query.families[0].af = AF_INET6;
    query.families[1].af = AF_INET;
    int status = ARES_SUCCESS;
    query.channel = make_channel(servers_, timeout_, &query.changes, status);
    for (Family& family : query.families) {
        if (status != ARES_SUCCESS) {
            family.done = true;
            family.status = status;
            continue;
        }
        ares_addrinfo_hints hints{};
        hints.ai_family = family.af;
        hints.ai_socktype = SOCK_DGRAM;
        ares_getaddrinfo(query.channel.get(), host.c_str(), nullptr, &hints, take_answer, &family);
    }
    queries_[query.serial] = std::move(made);
    settle(query, now);
    tidy();
}

void Resolver::cancel(LookupId id) {
    for (auto& [serial, query] : queries_)
        if (query->wanted.id == id) query->over = true;
    std::erase_if(resolved_, [id](const Io::Resolved& resolved) { return resolved.id == id; });
    tidy();
}

void Resolver::handle_event(std::uint64_t data, std::uint32_t events, Instant now) {
    const auto serial = static_cast<std::uint32_t>(data >> 32) & 0x7fffffff;
    const auto found = queries_.find(serial);
    if (found == queries_.end()) return;
    Query& query = *found->second;
    const int fd = static_cast<int>(data & 0x7fffffff);
    const bool failed = (events & (EPOLLERR | EPOLLHUP)) != 0;
    const bool readable = failed || (events & EPOLLIN) != 0;
    const bool writable = failed || (events & EPOLLOUT) != 0;
    ares_process_fd(query.channel.get(), readable ? fd : ARES_SOCKET_BAD,
                    writable ? fd : ARES_SOCKET_BAD);
    settle(query, now);
    tidy();
}

void Resolver::handle_timeout(Instant now) {
    if (now < deadline_) return;
    for (auto& [serial, query] : queries_) {
        if (now >= query->give_up) {
            for (Family& family : query->families)
                if (!std::exchange(family.done, true)) family.status = ARES_ETIMEOUT;
        } else if (now >= query->next) {
            ares_process_fd(query->channel.get(), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        }
        settle(*query, now);
    }
    tidy();
}

std::vector<Io::Resolved> Resolver::poll_resolved() {
    auto resolved = std::exchange(resolved_, {});
    tidy();
    return resolved;
}

void Resolver::settle(Query& query, Instant now) {
    if (query.over) return;
    for (const SocketChange& change : query.changes) {
        epoll_event event{};
        event.events = (change.readable ? EPOLLIN : 0u) | (change.writable ? EPOLLOUT : 0u);
        event.data.u64 = event_bit | std::uint64_t{query.serial} << 32 |
                         static_cast<std::uint32_t>(change.fd);
        // A closed socket has left epoll by itself, and its number may already be another's.
        if (event.events == 0)
            epoll_ctl(epoll_, EPOLL_CTL_DEL, change.fd, nullptr);
        else if (epoll_ctl(epoll_, EPOLL_CTL_MOD, change.fd, &event) != 0)
            epoll_ctl(epoll_, EPOLL_CTL_ADD, change.fd, &event);
    }
    query.changes.clear();

    for (Family& family : query.families) {
        if (!family.done || std::exchange(family.told, true)) continue;
        Io::Resolved resolved;
        resolved.id = query.wanted.id;
        if (family.addresses.empty()) resolved.error = query.error_of(family);
        resolved.addresses = std::move(family.addresses);
        for (Address& address : resolved.addresses) address.port = query.wanted.port;
        resolved.complete = std::all_of(query.families.begin(), query.families.end(),
                                        [](const Family& any) { return any.told; });
        query.over = resolved.complete;
        resolved_.push_back(std::move(resolved));
    }
    if (query.over) return;
    // c-ares counts from its own reading of the clock, which is a little later than the turn's: a
    // millisecond more, or it would be called too early again and again.
    query.next = never;
    timeval wait{};
    if (ares_timeout(query.channel.get(), nullptr, &wait))
        query.next = now + std::chrono::seconds(wait.tv_sec) +
                     std::chrono::microseconds(wait.tv_usec) + std::chrono::milliseconds(1);
}

void Resolver::answer_alone(LookupId id, std::vector<Address> addresses, Error error) {
    resolved_.push_back({id, std::move(addresses), std::move(error), true});
    tidy();
}

void Resolver::tidy() {
    std::erase_if(queries_, [](const auto& entry) { return entry.second->over; });
    // What stands in the queue is wanted now: the beginning of time is past for everybody.
    deadline_ = resolved_.empty() ? never : Instant{};
    for (const auto& [serial, query] : queries_)
        deadline_ = std::min({deadline_, query->give_up, query->next});
}

}  // namespace post::io

namespace post {

const std::error_category& resolver_category() noexcept {
    static const io::ResolverCategory category;
    return category;
}

}  // namespace post
