// Successors: messages that have come and wait for others, of any Carrier, that they have to come
// after (draft 2.2.3); and the ordered ones of their class that wait behind them. Who waits for
// what, and who is free: the bytes are charged, given out and dropped by the Inbox.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include <post/message.hpp>

#include "lib/association/outcomes.hpp"
#include "lib/association/ring.hpp"

namespace post::core {

struct InLane;

class Successors {
public:
    struct Waiting {
        InLane* lane = nullptr;
        Instant since{};  // when its first bytes came
        Instant deadline = never;
        InMessage message{};
        Marks marks{};
        std::uint64_t overhead = 0;         // what it weighs beside its content
        std::vector<Antecedent> missing{};  // that are not in their queues; at most 16
        bool whole = false;
        bool failed = false;  // one of those never comes, or its time is over
    };
    // What is free now: to be given out as soon as it is whole, or dropped when it failed.
    struct Free {
        Antecedent name;
        Waiting message;
    };

    bool empty() const { return waiting_.empty(); }
    // What one of them takes, beside its content.
    static std::uint64_t weight(std::size_t missing) { return 256 + 160 * missing; }

    // A message, whole or begun, that waits. Its name is new.
    void add(const Antecedent& name, Waiting waiting);
    Waiting* find(const Antecedent& name);
    bool contains(const Antecedent& name) const { return waiting_.contains(name); }
    // All of it has come, and it is not free yet.
    void complete(const Antecedent& name, InMessage message);
    // Whether an ordered message would have others before it that wait.
    bool in_line(const Antecedent& name) const;

    // What becomes of messages that others may wait for.

    // `count` of them from `first` on are in their queue, or will never be.
    void settle(const Antecedent& first, std::uint64_t count, bool good);
    // So are those of the Carrier that have not come: it ended.
    void settle_rest(CarrierId carrier, bool good);
    // What waited longer than it may fails.
    void expire(Instant now);
    Instant deadline() const { return deadlines_.empty() ? never : deadlines_.begin()->first; }

    // The next one that failed and is not whole; each is given out once.
    std::optional<Antecedent> poll_failed();
    // The next one that waits no longer; each is given out once.
    std::optional<Free> poll();
    // It will never be whole, or nobody wants it any more.
    std::optional<Waiting> remove(const Antecedent& name);
    // All that is left of a Carrier, whatever it waits for.
    std::vector<Free> take_all(CarrierId carrier);
    // Since when the first of a Carrier's waits.
    Instant oldest(CarrierId carrier) const;

private:
    using Waits = std::map<Antecedent, Waiting>;

    void fail(Waits::iterator at);
    Waiting leave(Waits::iterator at);
    void check_line_behind(const Antecedent& name);

    Waits waiting_;
    std::set<Antecedent> ordered_;                         // of those
    std::set<std::pair<Antecedent, Antecedent>> awaited_;  // what somebody waits for, and who
    std::set<std::pair<Instant, Antecedent>> deadlines_;
    Ring<Antecedent> changed_;  // perhaps free
    Ring<Antecedent> failed_;   // perhaps not whole
};

}  // namespace post::core
