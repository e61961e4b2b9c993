// Continuity: what an association keeps so that it goes on over another connection when the one in
// use breaks (FORMAT.md, 7.2): the key by which its two ends know each other again, the epoch, and
// the Carriers that are over here while the peer may not have heard of that.
//
//              doubt (client)                 a leaf is established
//   attached ----------------> racing beside ----------------------> attached, one epoch on
//       |    <----------------      |                                      ^
//       |      heard again          | it breaks                            |
//       +---------> lost <----------+                                      |
//                     |  client: races again; server: is attached to ------+
//                     +--> gone: Bounds::continuity is over
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "lib/association/race.hpp"
#include "lib/association/receipts.hpp"
#include "lib/association/ring.hpp"
#include "mappings/mapping.hpp"
#include "mappings/values.hpp"

namespace post::core {

struct Continuity {
    // A Carrier that is over here. The peer hears of it again on the next connection.
    struct Ended {
        CarrierId carrier;
        std::vector<Receipts> known;   // what of the peer's has come
        std::unique_ptr<Error> error;  // none: in good order
    };
    // Those that ended since all that was said is acknowledged; of more than that the oldest are
    // forgotten, and the peer ends theirs by itself.
    static constexpr std::size_t most_ended = 1024;
    // After a race that found nothing: how long until the next one.
    static constexpr Duration first_pause = std::chrono::milliseconds(250);
    static constexpr Duration longest_pause = std::chrono::seconds(4);
    // By when the peer has to have opened its Carriers again.
    static constexpr Duration reopen_patience = std::chrono::seconds(30);

    ContinuityKey key{};
    AssociationName name{};
    // A client's: the server's remembrance (Shared), by its last word that was believed, and what
    // the connection in use says.
    AssociationName remembrance{};
    std::optional<AssociationName> says{};
    std::uint64_t epoch = 0;
    bool lost = false;       // there is no connection
    bool doubting = false;   // a race runs beside the connection in use
    bool attaching = false;  // a client's: ATTACH was said, and not answered
    Error cause{};           // why the last connection broke
    Instant doubted{};       // when the race beside it began
    Instant give_up = never;
    Instant retry = never;  // the next race
    Duration pause = first_pause;
    Instant reopen_by = never;
    std::unique_ptr<Race> former;  // that the connection in use has won, while another runs
    Ring<Ended> ended;
};

// A client's connection that says which association it belongs to, and what came on it since.
struct Husk {
    std::unique_ptr<Mapping> mapping;
    Attach attach;
    std::optional<Settings> unsaid;  // ours, that the connection has not taken
    std::optional<std::uint64_t> race;
    event::Established established;
    std::uint64_t features = 0;
    std::uint64_t largest_message = 0;
    std::vector<Event> events;
};

}  // namespace post::core
