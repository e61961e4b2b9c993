// What an association tells the layer above: values, drained after each input. A Tag is the number
// that the layer above gave a Carrier; the association only hands it back.
#pragma once

#include <variant>

#include <post/association.hpp>
#include <post/message.hpp>

#include "mappings/values.hpp"

namespace post::core {

using Tag = std::uint64_t;
inline constexpr Tag no_tag = 0;

// Stands for the callback that a send gave; the layer above keeps the callback itself.
using FateToken = std::uint64_t;
inline constexpr FateToken no_fate = 0;

namespace happened {

// The peer opened a Carrier; it waits for adopt or refuse. Association::parent says from which one
// it was forked.
struct Opened {
    AssociationId association;
    CarrierId carrier;
    CarrierKind kind = CarrierKind::messages;
};
// take() has something, or has nothing for good: the Carrier's receiving is over.
struct Readable {
    Tag carrier;
};
// There is room in the send budget again.
struct Writable {
    Tag carrier;
};
// A message came further; for the callback of its send where it gave one, else the Carrier's.
struct Progress {
    Tag carrier;
    Fate fate;
    FateToken on_fate = no_fate;
    std::uint64_t size = 0;  // of the message, bytes
    bool wanted = true;      // false: nobody but the trace wants to hear of it
};
// The next bytes of a message whose content is made while it is sent, from `offset` on.
struct Wanted {
    Tag carrier;
    MessageId message;
    FateToken on_fate = no_fate;
    std::uint64_t offset = 0;
    std::uint64_t most = 0;
};
// Of such a message the peer has so much.
struct Furthered {
    FateToken on_fate = no_fate;
    std::uint64_t bytes = 0;
};
// The network said something that ends nothing.
struct Soft {
    Tag carrier;
    Error error;
};
// A transient is established: all Carriers of the association are active.
struct Active {
    AssociationId association;
};
// The association has lost its connection, rests, or wakes (Association::activity).
struct Changed {
    AssociationId association;
    Activity activity = Activity::over;
};
// It was to rest, and does; or why it cannot.
struct Dormant {
    AssociationId association;
    Error error;
};
// A connection goes over another path from now on.
struct PathChanged {
    AssociationId association;
    Path path;
};
// What became of a Move, by its number.
struct Moved {
    AssociationId association;
    std::uint64_t number = 0;
    Error error;
};
// Both directions are over, every message has its fate; the tag is not used again.
struct Over {
    Tag carrier;
    Error error;  // carrier_closed in good order
};
// The association is gone, after Over for each of its Carriers. Its error has the whole report.
struct Gone {
    AssociationId association;
    Error error;
};

}  // namespace happened

using Happened = std::variant<
    happened::Opened, happened::Readable, happened::Writable, happened::Progress, happened::Wanted,
    happened::Furthered, happened::Soft, happened::Active, happened::Changed, happened::Dormant,
    happened::PathChanged, happened::Moved, happened::Over, happened::Gone>;

}  // namespace post::core
