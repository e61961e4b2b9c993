// EarlyGuard: what a server has taken as early data (0-RTT), exactly, so that nothing of it is
// taken twice: the first flights of clients (RFC 8446, 8.2), each known by its binder, and the
// messages that came with them (FORMAT.md, 5.2). It remembers for as long as a ticket can be
// opened, and not beyond a number; when that is reached early data is refused, and comes behind
// the handshake.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include <post/association_store.hpp>
#include <post/ids.hpp>
#include <post/time.hpp>

#include "mappings/values.hpp"

namespace post {

class EarlyGuard {
public:
    // Of one connection.
    static constexpr std::size_t most_messages = 64;
    // A key that seals tickets is current for an hour and opens them for another one, whatever the
    // calendar says in between.
    static constexpr std::chrono::seconds kept_for = std::chrono::hours(2);
    // About 100 bytes each.
    static constexpr std::size_t most_names = 65536;

    // `source`: a fleet's, which outlives this, and has to know the names, too; none: it is of one
    // Context.
    explicit EarlyGuard(TicketKeySource* source = nullptr, std::size_t most = most_names)
        : source_(source), most_(most) {}

    // To be called when clients come.
    void refresh(Instant now);
    // Whether this first flight may be taken: it was not seen before, and there is room for it and
    // for what comes with it.
    bool admit(std::span<const std::byte> binder);
    // Whether this is not a copy of a message that was taken before. True once.
    bool first(std::uint64_t race, CarrierId carrier, NicenessClass niceness, Sequence sequence);
    std::size_t size() const { return names_.size(); }

private:
    // By then a connection has said all that is early, or was given up.
    static constexpr Duration reserved_for = std::chrono::seconds(30);

    bool add(std::string name);

    TicketKeySource* source_;
    std::size_t most_;
    Instant now_{};
    std::unordered_set<std::string> names_;
    std::deque<std::pair<Instant, std::string_view>> by_age_;  // of those in names_
    std::deque<Instant> admitted_;                             // lately
};

}  // namespace post
