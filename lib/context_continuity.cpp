// A client's connection that belongs to an association which there is already is put under that.
// Its mapping keeps the name by which its endpoint knows it, so that what comes for it is sent on.
#include <algorithm>

#include "lib/context_root.hpp"

namespace post::core {

namespace {

// Until there is room for the next ones (attach_rate_).
constexpr Duration pause_of_attaches = std::chrono::milliseconds(1);

}  // namespace

void Root::serve_continuity(Association& association) {
    if (const auto name = association.poll_name()) associations_.name(*name, association.id());
    if (const auto wish = association.poll_attach()) attach(association, *wish);
    if (const auto owner = association.poll_join()) join(association, *owner);
    std::vector<Piece> copies;
    if (const auto owner = association.poll_copies(copies))
        if (Association* const known = associations_.use(*owner)) {
            association.answer_copies(known->take_copies(now_, std::move(copies)));
            associations_.use(association.id());
        }
}

// Whoever names an association that there is not hears the same as who cannot prove that it is his.
void Root::attach(Association& fresh, const Attach& attach) {
    // What is early comes again, and then counts.
    if (attach.early) return early_rate_.take(now_) ? attach_now(fresh, attach) : void();
    if (attaches_.empty() && attach_rate_.take(now_)) return attach_now(fresh, attach);
    // Not the same as one that is not known: the client asks again.
    if (attaches_.size() >= most_attaches_)
        return fresh.shut(Error(Errc::excessive_load, {}, Stage::established));
    attaches_.emplace_back(fresh.id(), attach);
    attaches_due_ = now_ + pause_of_attaches;
}

// Those that came too many at once.
void Root::serve_attaches() {
    while (!attaches_.empty() && attach_rate_.take(now_)) {
        const auto [id, attach] = std::move(attaches_.front());
        attaches_.pop_front();
        Association* const fresh = associations_.use(id);
        const bool there = fresh && fresh->state() == Association::State::established;
        if (there) attach_now(*fresh, attach);
    }
    attaches_due_ = attaches_.empty() ? never : now_ + pause_of_attaches;
}

void Root::attach_now(Association& fresh, const Attach& attach) {
    const AssociationId id = associations_.find(attach.association);
    Association* const known = associations_.peek(id);
    const bool proved = Association::proves(known, fresh, attach) &&
                        associations_.origin(id) == associations_.origin(fresh.id());
    if (proved && (attach.standby || attach.early)) return fresh.stand_by(id);
    if (attach.early) return;  // nobody hears whether that was wrong
    auto husk = proved ? fresh.give_up_connection() : std::nullopt;
    if (!husk) return fresh.shut(Error(Errc::not_attached, {}, Stage::established));
    husk->attach = attach;
    const AttemptId attempt = hand_over(fresh.id(), id);
    associations_.use(id)->attach(now_, attempt, *std::move(husk));
}

// A leaf that its client has chosen goes on for the one which began with early data.
void Root::join(Association& chosen, AssociationId owner) {
    const Association* const known = associations_.peek(owner);
    const bool waits = known && known->awaits_choice() &&
                       known->state() < Association::State::closing &&
                       associations_.origin(owner) == associations_.origin(chosen.id());
    const AssociationName name = chosen.options().name;
    auto husk = waits ? chosen.give_up_connection() : std::nullopt;
    if (!husk) return chosen.choose();
    husk->attach.association = name;
    const AttemptId attempt = hand_over(chosen.id(), owner);
    associations_.use(owner)->join(now_, attempt, *std::move(husk));
}

// The ways of the one are the other's from now on. As which attempt it knows them.
AttemptId Root::hand_over(AssociationId from, AssociationId to) {
    const Route route{to, associations_.peek(to)->free_attempt()};
    auto& ways = setups_[from].ways;
    for (Way& way : ways) {
        if (way.waits)
            for (Route& waiting : blocked_[way.socket()])
                if (waiting.association == from) waiting = route;
        if (way.connection) connections_[*way.connection].route = route;
        way.attempt = route.attempt;
        way.moved = true;
        setups_[to].ways.push_back(std::move(way));
    }
    ways.clear();
    associations_.move(from, route);
    return route.attempt;
}

}  // namespace post::core
