// A client's connection that belongs to an association which there is already is put under that.
// Its mapping keeps the name by which its endpoint knows it, so that what comes for it is sent on.
#include <algorithm>

#include "lib/context_root.hpp"

namespace post::core {

void Root::serve_continuity(Association& association) {
    if (const auto name = association.poll_name()) associations_.name(*name, association.id());
    if (const auto wish = association.poll_attach()) attach(association, *wish);
}

// Whoever names an association that there is not hears the same as who cannot prove that it is his.
void Root::attach(Association& fresh, const Attach& attach) {
    // Not the same as one that is not known: the client asks again.
    if (!attaches_.take(now_))
        return fresh.shut(Error(Errc::excessive_load, {}, Stage::established));
    const AssociationId id = associations_.find(attach.association);
    Association* const known = associations_.peek(id);
    const bool proved = Association::proves(known, fresh, attach) &&
                        associations_.origin(id) == associations_.origin(fresh.id());
    auto husk = proved ? fresh.give_up_connection() : std::nullopt;
    if (!husk) return fresh.shut(Error(Errc::not_attached, {}, Stage::established));
    husk->attach = attach;
    const Route route{id, known->free_attempt()};
    auto& ways = setups_[fresh.id()].ways;
    for (Way& way : ways) {
        if (way.waits)
            for (Route& waiting : blocked_[way.socket()])
                if (waiting.association == fresh.id()) waiting = route;
        if (way.connection) connections_[*way.connection].route = route;
        way.attempt = route.attempt;
        way.moved = true;
        setups_[id].ways.push_back(std::move(way));
    }
    ways.clear();
    associations_.move(fresh.id(), route);
    associations_.use(id)->attach(now_, route.attempt, *std::move(husk));
}

}  // namespace post::core
