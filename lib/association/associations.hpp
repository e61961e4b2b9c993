// Associations: all associations of one Context. It finds the one that a new Carrier can share,
// knows which of them have something to do this turn, and when the next of the others wants one; an
// idle association costs nothing.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/association/association.hpp"
#include "lib/association/parked.hpp"
#include "lib/association/sharing.hpp"

namespace post::core {

// A connection inside its Context: whose it is, and which of that association's.
struct Route {
    AssociationId association;
    AttemptId attempt;
    auto operator<=>(const Route&) const = default;
};
// As a mapping's endpoint names it. Attempts are less than 32.
inline TransientId transient_of(const Route& route) {
    return TransientId{route.association.value() << 5 | route.attempt.value()};
}
inline Route route_of(TransientId transient) {
    return {AssociationId{transient.value() >> 5},
            AttemptId{static_cast<std::uint8_t>(transient.value() & 0x1f)}};
}

class Associations {
public:
    // What Carriers must have in common to share an association. The text holds all of it: remote,
    // local, policy, trust, identity, ALPN.
    using Key = std::string;
    // What the root wants to find again: how to connect, or which listener it came from.
    using Origin = std::uint64_t;

    Association& create(Association::Options options, const Key& key, Origin origin);
    // A live association with this key.
    Association* share(const Key& key);
    // What share() would find, and why it is nothing: of those to the same Remote (SharingKey), of
    // which at most `most_compared` are looked at, the one that differs least.
    static constexpr std::size_t most_compared = 16;
    Reuse look(const Key& key, Instant now) const;
    // Why an association was made, for who asks later.
    void explain(AssociationId id, Reuse reuse);
    const Reuse* reuse(AssociationId id) const;
    // How long it has been established; Reuse::never_was: it is not.
    Duration age(AssociationId id, Instant now) const;
    // The association, which then has a place in this turn; nullptr when it is gone.
    Association* use(AssociationId id) {
        Slot* const found = slot(id);
        if (!found) return nullptr;
        if (!std::exchange(found->active, true)) active_.push_back(id);
        return found->association.get();
    }
    // The association, and no place in this turn.
    Association* peek(AssociationId id);
    const Association* find(AssociationId id) const;
    Origin origin(AssociationId id) const;

    // Those that rest are put away, and made again as soon as anything is asked of them: then they
    // have a place in the next turn, if there is one, at the end of which they may be put away
    // again. Who only looks causes none.

    // With nothing left to do; a client's was made with these.
    void park(AssociationId id, const InitiateOptions& options);
    bool parked(AssociationId id) const;
    // Whatever it is, without making it again.
    Activity activity(AssociationId id) const;
    // Drops one that is put away.
    void drop_parked(AssociationId id);
    // With what a client's was made, once, after it was made again.
    std::optional<InitiateOptions> poll_woken(AssociationId id);
    // A server's, as its peer calls it.
    void name(const AssociationName& name, AssociationId id) { by_name_[name] = id; }
    AssociationId find(const AssociationName& name) const;
    // The only connection of `from` belongs to another association from now on, as this attempt.
    void move(AssociationId from, const Route& to);
    // Where a mapping's endpoint leads.
    Route route(TransientId transient) const {
        const Route route = route_of(transient);
        if (moved_.empty()) return route;
        const auto at = moved_.find(route.association);
        return at == moved_.end() ? route : at->second;
    }
    // A connection that was moved there is gone.
    void forget_move(const Route& route);
    // Those in use this turn; what is put in meanwhile comes next time.
    void take_active(std::vector<AssociationId>& taken);
    bool any_active() const { return !active_.empty(); }
    // Puts those into use whose deadline has come.
    void wake(Instant now);
    // Looks at the association's deadline again, and drops it when it is gone and empty. True when
    // it was dropped.
    bool put_back(AssociationId id);
    Instant deadline() const;
    // All of them, oldest first.
    std::vector<AssociationId> all() const;
    std::size_t size() const { return live_; }
    Shared& shared() { return shared_; }
    const Shared& shared() const { return shared_; }

private:
    struct Slot {
        std::unique_ptr<Association> association;
        std::unique_ptr<Parked> parked;
        Key key;
        Origin origin = 0;
        Boxed<Reuse> reuse;
        Instant deadline = never;
        std::uint32_t generation = 0;
        bool active = false;
    };
    using Timer = std::pair<Instant, AssociationId>;
    // Where an association stands among all of its Remote.
    struct Place {
        std::size_t remote = 0;  // a hash of its name
        std::size_t key = 0;     // a hash of the key of one that is put away
        AssociationId id;
        auto operator<=>(const Place&) const = default;
    };

    // So that a Route fits into a number, and leaves its highest bit.
    static constexpr int slot_bits = 26;
    static std::uint32_t slot_of(AssociationId id) {
        return static_cast<std::uint32_t>(id.value() & ((1u << slot_bits) - 1));
    }
    static AssociationId id_of(std::uint32_t slot, std::uint32_t generation) {
        return AssociationId{std::uint64_t{generation} << slot_bits | slot};
    }
    Slot* slot(AssociationId id) {
        const std::uint32_t at = slot_of(id);
        if (at >= slots_.size()) return nullptr;
        Slot& found = slots_[at];
        if (found.generation != id.value() >> slot_bits) return nullptr;
        if (found.association) return &found;
        return found.parked ? &unpark(found, id) : nullptr;
    }
    Slot& unpark(Slot& slot, AssociationId id);
    void unpark(const Key& key);
    void stand(AssociationId id, const Parked& as, bool away);
    void forget_woken(AssociationId id);
    void forget(Slot& slot, const Place& place);
    const Slot* slot(AssociationId id) const;
    static std::size_t hash_of(const Key& key) { return std::hash<Key>{}(key); }
    static std::size_t hash_of_remote(const Key& key) {
        return std::hash<std::string_view>{}(remote_of(key));
    }

    Shared shared_;
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
    std::vector<AssociationId> active_;
    std::set<Timer> timers_;
    std::set<Timer>::node_type spare_;  // for the next timer
    // By a hash of the key, which is long, and compared; of two with the same, the younger.
    std::unordered_map<std::size_t, AssociationId> by_key_;
    // Clients' by their Remote, of which perhaps very many have the same: what is done for one of
    // them does not look at the others.
    std::set<Place> by_remote_;
    std::map<AssociationName, AssociationId> by_name_;
    std::unordered_map<AssociationId, Route> moved_;
    std::vector<AssociationId> looked_at_;  // that were put away, until the next turn
    RestTerms terms_;
    std::unordered_map<AssociationId, TermsId> woken_;  // and nobody asked yet with what
    std::size_t live_ = 0;
};

}  // namespace post::core
