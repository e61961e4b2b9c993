// Race: finds the way to a Remote (Happy Eyeballs v3; RFC 9623, 4.3). It is told what resolution
// found and what becomes of attempts, and says where to connect next. The first attempt whose
// handshake is complete and authenticated wins; who owns the Race ends the others then. No socket,
// no clock; arrange() decides the order.
//
//   begin -> handle_resolved ... -> next: Connect -> handle_failure -> next ...
//                                                \-> handle_won: over
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <post/establishment.hpp>
#include <post/ids.hpp>
#include <post/remote.hpp>

#include "lib/association/candidates.hpp"
#include "lib/association/resolution.hpp"

namespace post::core {

// An attempt of one race: 16 numbers from RaceOptions::first_attempt on, in the order of starting.
using AttemptId = Strong<struct AttemptTag, std::uint8_t>;

// What an association needs of the world while it connects: a lookup, or that this is begun.
struct Connect {
    AttemptId attempt;
    Stack stack;
    Address remote;
    LocalPath path{};
};
using Want = std::variant<Resolution::Lookup, Connect>;

class Race {
public:
    static constexpr std::size_t most = most_attempts;
    static constexpr std::size_t most_recorded = 64;  // answers, refusals: each
    using Options = RaceOptions;

    // A new race; what was known of an earlier one is forgotten.
    void begin(Instant now, const Remote& remote, const Options& options);

    // One thing to do now; none until there is news, or until deadline().
    std::optional<Connect> next(Instant now);
    // When next() will have something by itself; `never`: only news can bring it.
    Instant deadline() const;

    // Endpoints are added to those known; one that is said again (the same address, of the same
    // answer) replaces what was said of it. `kind` is the answer's, for the report; `answered`:
    // what need not be waited for any more. `complete`: nothing more will come.
    void handle_resolved(Instant now, std::vector<Endpoint> endpoints, const Error& error,
                         RecordKind kind, const Resolution::Answered& answered, bool complete);
    // The attempt has heard something of the other side (TCP is up, a first packet came): the next
    // one waits until this one can be through.
    void handle_progress(Instant now, AttemptId attempt);
    // False: it was over already.
    bool handle_failure(Instant now, AttemptId attempt, const Error& error);
    void handle_won(Instant now, AttemptId attempt);
    // What else there is to say of an attempt, for its report.
    void note(AttemptId attempt, const std::string& text);

    // Nothing is under way or left, and nothing has won.
    bool exhausted() const;
    // The failure of the attempt that came furthest, with a list of all that was tried.
    Error report() const;
    // The winner's handshake went on where an earlier one was.
    void note_resumed(bool resumed) { data_.resumed = resumed; }
    void note_early(std::size_t messages, bool rejected) {
        data_.early = messages;
        data_.early_rejected = rejected;
    }
    const Establishment& establishment() const { return data_; }
    // The best way to have another connection, of this stack, beside the one to `remote`: to the
    // same address, where there is such a one.
    std::optional<Connect> beside(AttemptId attempt, Stack stack, const Address& remote) const;

private:
    Establishment::Attempt* under_way(AttemptId attempt);
    void add(std::vector<Endpoint>&& endpoints);
    void arrange_again();
    bool any_under_way() const;
    bool may_try_next() const;
    Instant start_of_first() const;
    void end_if_over(Instant now);

    Options options_;
    Establishment data_;
    std::vector<Endpoint> endpoints_;    // at most most_endpoints
    std::vector<Candidate> candidates_;  // not yet tried, in order
    Instant first_endpoint_ = never;     // when there was one
    Instant next_ = never;               // when the next attempt may begin, after the first one
    Instant spaced_{};                   // before which none may begin
    Resolution::Answered answered_;
    bool resolved_ = false;
    bool failed_ = false;    // and the next attempt need not wait
    bool unspoken_ = false;  // records offer none of our protocols
    bool over_ = false;
};

}  // namespace post::core
