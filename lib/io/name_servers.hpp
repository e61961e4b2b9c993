// NameServers: whom to ask, and how: a c-ares channel for one lookup, the hosts file, the system's
// list of services, and whether the answers' word on their authenticity counts.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <post/address.hpp>
#include <post/time.hpp>

struct ares_channeldata;

namespace post::io {

struct DestroyChannel {
    void operator()(ares_channeldata* channel) const noexcept;
};
using Channel = std::unique_ptr<ares_channeldata, DestroyChannel>;

// What c-ares said of one of its sockets; neither readable nor writable: it is about to be closed.
struct SocketChange {
    int fd = -1;
    bool readable = false;
    bool writable = false;
};

class NameServers final {
public:
    struct Options {
        // "address", "address:port", "[address]:port", "address%interface"; empty: the system's.
        std::vector<std::string> servers{};
        std::vector<std::string> domains{};          // where names without dots are looked for, too
        std::string hosts_file{};                    // empty: the system's
        bool trusted = false;                        // their AD bit counts, wherever they are
        bool public_only = false;                    // private addresses that they say are refused
        Duration timeout = std::chrono::seconds(5);  // for the whole of a lookup
    };
    // Throws Failure when the servers are no addresses.
    explicit NameServers(Options options);

    // A channel which reports its sockets to `changes`; null with c-ares's status.
    Channel channel(std::vector<SocketChange>& changes, int& status) const;
    // Whom the channel asks, for people.
    static std::string text(ares_channeldata* channel);
    // RFC 6840, 5.8: whether they validate (DNSSEC) and the way to them is safe: they were said to
    // be trusted, here or in resolv.conf (trust-ad), or they are on this machine.
    bool trusted(ares_channeldata* channel) const;
    bool trusted() const;
    Duration timeout() const { return options_.timeout; }
    bool public_only() const { return options_.public_only; }

    // The addresses of a name that needs no name server: in the hosts file, or localhost (RFC 6761,
    // 6.3).
    std::vector<Address> known_here(ares_channeldata* channel, const std::string& name) const;
    // The system's list of services (services(5)); 0: not in it.
    static std::uint16_t port_of(const std::string& service);
    // An IPv6 address with the name of an interface as its zone; family none when there is none.
    static Address zoned(const std::string& host);

private:
    Options options_;
    std::string servers_;  // as c-ares reads them
};

// Whether a resolv.conf says that the servers' AD bit may be believed.
bool says_trust_ad(std::string_view resolv_conf);

}  // namespace post::io
