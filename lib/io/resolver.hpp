// Resolver: names to addresses and records, on c-ares and somebody else's epoll. Each lookup has a
// channel of its own, so that it asks from fresh ports and dies with everything that it opened;
// each kind of record is asked for apart, so that the first answer need not wait for the second.
//
// Addresses: one that is written out, the hosts file, localhost, then the name servers with the
// search list. Records: the name servers, for the very name. What they say is kept for its time to
// live (NameCache).
//
// c-ares's callbacks only enqueue into their own lookup; channels are only touched and destroyed
// from the calls below, all of which belong to the turn.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/io/io.hpp"
#include "lib/io/name_cache.hpp"
#include "lib/io/name_servers.hpp"

namespace post::io {

class Resolver final {
public:
    // `epoll` gets the sockets, each with an event whose data is_event() knows again. Throws
    // Failure when the servers are not addresses.
    Resolver(int epoll, NameServers::Options options);
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;
    ~Resolver();

    void lookup(const Io::Lookup& wanted, Instant now);
    // No answer comes any more, not even one that stands in the queue.
    void cancel(LookupId id);

    static bool is_event(std::uint64_t data) { return (data & event_bit) != 0; }
    void handle_event(std::uint64_t data, std::uint32_t events, Instant now);
    void handle_timeout(Instant now);

    std::vector<Io::Resolved> poll_resolved();
    Instant deadline() const { return deadline_; }
    bool trusted() const { return servers_.trusted(); }

    static constexpr std::size_t most_lookups = 256;
    static constexpr std::size_t longest_name = 253;  // RFC 1035, 2.3.4, written with dots

private:
    static constexpr std::uint64_t event_bit = std::uint64_t{1} << 63;
    struct Query;
    struct Part;

    // What needs nobody's answer. False: the name servers have to be asked.
    bool answer_here(const Io::Lookup& wanted);
    bool answer_from_cache(Query& query, Instant now);
    void ask(Query& query, Part& part);
    // What c-ares put into the query becomes answers, and its sockets epoll's.
    void settle(Query& query, Instant now);
    void tell(Query& query, Part& part, Instant now);
    void answer_alone(const Io::Lookup& wanted, std::vector<Address> addresses, Error error);
    // Destroys what is over and finds the next deadline: the last thing in a call.
    void tidy();

    int epoll_;
    NameServers servers_;
    NameCache cache_;
    // By a serial number of their own, which the sockets' events carry; ids may come twice.
    std::map<std::uint32_t, std::unique_ptr<Query>> queries_;
    std::uint32_t last_serial_ = 0;
    std::vector<Io::Resolved> resolved_;
    Instant deadline_ = never;
};

}  // namespace post::io
