// EarlyFlight: what one leaf of a race has taken as early data (0-RTT): copies of messages that
// stay in the outbox until it is known which leaf wins, and whether its peer took them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "mappings/early_guard.hpp"
#include "mappings/values.hpp"

namespace post::core {

struct EarlyFlight {
    // What goes early in all: a first flight, which everybody's first window has room for.
    static constexpr std::size_t most_messages = EarlyGuard::most_messages;
    static constexpr std::uint64_t most_bytes = 12 * 1024;
    // Carriers that are looked at.
    static constexpr std::uint64_t most_carriers = 256;

    struct Message {
        CarrierId carrier;
        NicenessClass niceness;
        Sequence sequence;
        std::uint64_t size = 0;
        bool operator==(const Message&) const = default;
    };
    // For one more: what is found anew is not all that went before.
    bool has_room(const Message& message) const {
        std::uint64_t bytes = message.size;
        for (const Message& one : messages) bytes += one.size;
        return messages.size() < most_messages && bytes <= most_bytes;
    }
    bool settings = false;  // was said, and ATTACH: of an association that goes on
    bool attached = false;
    std::vector<CarrierId> opened;
    std::vector<Message> messages;              // as they were pulled
    std::map<CarrierId, std::uint64_t> packed;  // pieces
    std::vector<CarrierId> blocked;
};

}  // namespace post::core
