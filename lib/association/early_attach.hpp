// EarlyAttach: what a listener's fresh connection brings as early data (0-RTT) for an association
// that there is already (FORMAT.md, 7.4). All of it is held until ATTACH comes once more under
// final keys, as what comes on any connection that was not chosen; once ATTACH is proved the
// association gets copies of the messages ahead of that. What it makes of them is its own affair:
// it drops those that it has, and those that it has no room for or that are out of their order come
// again from what is held. So a flight that is played again changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <post/ids.hpp>

#include "lib/association/early_flight.hpp"
#include "mappings/values.hpp"

namespace post::core {

class EarlyAttach {
public:
    // A Carrier, or ATTACH, says which association it is of. False: it was another one before.
    bool is_of(const AssociationName& association);
    // ATTACH. False: it came before, or names another association.
    bool attach(const AssociationName& association);
    // It was proved: whose it is.
    void believe(AssociationId owner) { owner_ = owner; }
    // Something of it comes. False: that are more messages than there may be.
    bool take(const Piece& piece);
    // For its owner: messages that are whole, each once.
    std::optional<AssociationId> poll(std::vector<Piece>& copies);

private:
    std::optional<AssociationName> association_;
    bool attached_ = false;
    std::optional<AssociationId> owner_;  // none: nothing is proved
    std::size_t messages_ = 0;
    std::uint64_t room_ = EarlyFlight::most_bytes;        // for further copies
    std::size_t joins_ = 4 * EarlyFlight::most_messages;  // of parts, for each of which bytes move
    std::vector<Piece> begun_;  // what of a message has come, without a gap
    std::vector<Piece> whole_;
};

}  // namespace post::core
