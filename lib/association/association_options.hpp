// With what an association is made, and a Carrier opened (association.hpp).
#pragma once

#include <array>
#include <optional>
#include <string>

#include <post/policy.hpp>
#include <post/remote.hpp>

#include "lib/association/events.hpp"
#include "lib/association/race.hpp"
#include "mappings/early_guard.hpp"
#include "mappings/values.hpp"

namespace post::core {

struct AssociationOptions {
    AssociationId id;
    Role role = Role::client;
    std::optional<Remote> remote{};
    Bounds bounds{};
    std::array<std::uint8_t, 16> name{};  // random; goes into SETTINGS
    Race::Options race{};                 // of a client
    std::uint64_t race_id = 0;            // random
    bool dane = false;                    // certificates are asked of trusted name servers
    bool datagrams = false;               // its messages will be datagrams
    bool fields = false;                  // and these have the fields of HTTP
    // A Carrier is opened as soon as anything is asked of it, since the peer may be the first
    // who says something.
    bool eager = false;
    EarlyGuard* guard = nullptr;  // of a listener that takes early data; outlives it
    std::uint64_t door = 0;       // the listener that took it, as a number
};

struct NewCarrier {
    Tag tag = no_tag;
    std::optional<CarrierId> parent{};
    CarrierKind kind = CarrierKind::messages;
    Priority priority{};
    std::uint32_t weight = 1;
    bool announce = false;
    Boxed<ChannelInfo> channel{};
    Boxed<std::string> target{};  // of its URL, where it is that of HTTP
};

}  // namespace post::core
