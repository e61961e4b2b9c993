// Lane: one Carrier inside its association, both directions.
#pragma once

#include <memory>
#include <optional>

#include "lib/association/inbox.hpp"
#include "lib/association/outbox.hpp"

namespace post::core {

struct Lane {
    OutLane out;
    InLane in;
    std::optional<CarrierId> parent;
    CarrierKind kind = CarrierKind::messages;
    bool ours = false;
    bool opened = false;     // the mapping knows it
    bool known = false;      // an earlier mapping knew it, so that the peer may
    bool resumed = false;    // and the peer has forgotten that
    bool ended = false;      // the mapping has forgotten it
    bool closing = false;    // close() or abort() was called
    bool listed = false;     // in the list of those that wait for a stream
    bool draining = false;   // counted in Shared::draining
    bool heard = false;      // the peer has spoken of what we sent on it
    bool keyed = false;      // its OPEN went, or came, as early data, with the id of a race
    std::uint64_t race = 0;  // that they are of
    core::Boxed<ChannelInfo> channel;
    core::Boxed<std::string> target;
    std::unique_ptr<Error> error;  // what ended it, where that was not good order

    CarrierId id() const { return out.carrier; }
    bool sends() const { return ours || kind != CarrierKind::one_way; }
    bool receives() const { return !ours || kind != CarrierKind::one_way; }
    void fail(const Error& why) {
        if (!error) error = std::make_unique<Error>(why);
    }
};

}  // namespace post::core
