// Resolver: names to addresses, on c-ares and somebody else's epoll. Each lookup has a channel of
// its own, so that it asks from fresh ports and dies with everything that it opened; A and AAAA are
// asked for apart, so that the first answer need not wait for the second.
//
// c-ares's callbacks only enqueue into their own lookup; channels are only touched and destroyed
// from the calls below, all of which belong to the turn.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/io/io.hpp"

namespace post::io {

class Resolver final {
public:
    // `epoll` gets the sockets, each with an event whose data is_event() knows again. Throws
    // Failure when `servers` are not addresses.
    Resolver(int epoll, const std::vector<std::string>& servers, Duration timeout);
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

    static constexpr std::size_t most_lookups = 256;
    static constexpr std::size_t most_addresses = 16;  // of one family
    static constexpr std::size_t longest_name = 253;   // RFC 1035, 2.3.4, written with dots

private:
    static constexpr std::uint64_t event_bit = std::uint64_t{1} << 63;
    struct Query;

    // What c-ares put into the query becomes answers, and its sockets epoll's.
    void settle(Query& query, Instant now);
    void answer_alone(LookupId id, std::vector<Address> addresses, Error error);
    // Destroys what is over and finds the next deadline: the last thing in a call.
    void tidy();

    int epoll_;
    std::string servers_;
    Duration timeout_;
    // By a serial number of their own, which the sockets' events carry; ids may come twice.
    std::map<std::uint32_t, std::unique_ptr<Query>> queries_;
    std::uint32_t last_serial_ = 0;
    std::vector<Io::Resolved> resolved_;
    Instant deadline_ = never;
};

}  // namespace post::io
