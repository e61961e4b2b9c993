// One type for each id and unit, so that no two bare integers stand side by side in a signature.
// Ids never convert from an integer; Niceness and Priority do, because applications write them as
// literals: {.niceness = 1}.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace post {

template <class Tag, class Rep> class Strong {
public:
    using rep = Rep;

    constexpr Strong() = default;
    constexpr explicit Strong(Rep value) : value_(value) {}
    constexpr Rep value() const { return value_; }
    constexpr auto operator<=>(const Strong&) const = default;

private:
    Rep value_ = 0;
};

// A Carrier inside its Association: even when the client opened it, odd when the server did. Kept
// while transports come and go under it, and therefore not a stream id (mappings/FORMAT.md, 2).
using CarrierId = Strong<struct CarrierTag, std::uint64_t>;

// An Association inside its Context; never on the wire.
using AssociationId = Strong<struct AssociationTag, std::uint64_t>;

// The place of a message in the send order of its Carrier and niceness class.
using Sequence = Strong<struct SequenceTag, std::uint64_t>;

// A number that the application gives when it resets a Carrier; 0 to 2^32 - 1 reaches the peer.
using AbortCode = Strong<struct AbortTag, std::uint32_t>;

// How much a message yields to others (draft 2.2.2): 0 is the most urgent, larger ones wait for
// smaller ones of the same Carrier. On the wire classes above 63 share class 63.
class Niceness {
public:
    constexpr Niceness() = default;
    constexpr Niceness(std::uint32_t value) : value_(value) {}
    constexpr std::uint32_t value() const { return value_; }
    constexpr auto operator<=>(const Niceness&) const = default;

private:
    std::uint32_t value_ = 0;
};

// How much a Carrier yields to other Carriers of its Association: strict, 0 is the most urgent
// (RFC 9622, 6.2 and 9.1.3.2).
class Priority {
public:
    constexpr Priority() = default;
    constexpr Priority(std::uint32_t value) : value_(value) {}
    constexpr std::uint32_t value() const { return value_; }
    constexpr auto operator<=>(const Priority&) const = default;

private:
    std::uint32_t value_ = 0;
};

// A message for its sender: Carrier, niceness class, and place in that class.
struct MessageId {
    CarrierId carrier;
    Niceness niceness;
    Sequence sequence;
    auto operator<=>(const MessageId&) const = default;
};

}  // namespace post

template <class Tag, class Rep> struct std::hash<post::Strong<Tag, Rep>> {
    std::size_t operator()(const post::Strong<Tag, Rep>& id) const noexcept {
        return std::hash<Rep>{}(id.value());
    }
};
