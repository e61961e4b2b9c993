// What a peer's last word about a Carrier means that an earlier connection had (FORMAT.md, 7.2).
#pragma once

#include "lib/association/continuity.hpp"
#include "lib/association/lane.hpp"

namespace post::core {

// Over here but for the transport's last word: a peer that got the last of it may have it no more,
// and remember nothing of it. That it never got OPEN is out of the question.
inline bool over_but_for_word(const Lane& lane) {
    const bool there = !lane.ours || lane.heard || (lane.receives() && !lane.closing);
    const bool out = !lane.sends() || lane.out.finish_wanted || lane.out.failed;
    return there && out && lane.out.unsettled() == 0 && lane.in.over && !lane.in.waits();
}

// The same, in good order, on an earlier connection: a peer that has it no more has settled it.
inline bool settled_before(const Lane& lane) {
    const bool out = !lane.sends() || lane.out.finish_wanted;
    return lane.known && out && lane.out.unsettled() == 0 && lane.in.over &&
           (!lane.receives() || !lane.in.end());
}

// The peer has closed it in good order, perhaps on that earlier connection. What it has of our
// messages it says on the association's stream, behind ATTACH or in answer to our OPEN, which may
// come later than the end of the Carrier's own.
inline bool awaits_word(const Lane& lane, const Error& error, const Continuity* continuity) {
    return lane.known && continuity && continuity->reopen_by != never &&
           error == Errc::carrier_closed && lane.out.unsettled() > 0;
}

// Soon after ATTACH the peer speaks of a Carrier of ours, which is over here: it may wait for OPEN.
inline bool may_wait_for(CarrierId carrier, std::uint64_t next_of_ours,
                         const Continuity* continuity) {
    const bool again = continuity && continuity->epoch > 0 && continuity->reopen_by != never;
    return again && carrier.value() % 2 == next_of_ours % 2 && carrier.value() < next_of_ours;
}

// When it is opened once more: that one direction of it is over is said behind OPEN, so that the
// peer stops sending what would find no window, and us waiting.
inline bool says_end_behind_open(const Lane& lane) {
    const bool over = lane.known && (lane.out.failed || lane.in.over);
    return over || (lane.closing && lane.receives());
}

// Ours, and the peer has stopped what we send there: a reset might overtake our OPEN, without which
// nobody would know that the other direction goes on. Its end follows OPEN.
inline bool ends_gently(const Lane& lane) {
    return lane.ours && lane.out.failed && !lane.closing && !lane.in.over;
}

}  // namespace post::core
