// TraceLog: what happened in the associations of a Context, for its trace: values that are only
// made while somebody writes one (`on`), and that the root takes out every turn. Nothing of a
// message is in it but its id and size.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <post/establishment.hpp>
#include <post/ids.hpp>
#include <post/path.hpp>
#include <post/records.hpp>
#include <post/reuse.hpp>

namespace post::core {

namespace traced {

// Associations. Of those that a listener took `remote` is empty.
struct AssociationOpened {
    std::string remote{};
    Reuse reuse{};
};
struct AssociationClosed {
    Error error;
};
// A Carrier shares one.
struct Joined {
    Reuse reuse;
};

// Resolution, of an association or, without one, of Context::resolve and plan.
struct Asked {
    Question question;
    std::string name;
};
struct Answered {
    RecordKind kind;
    std::string name;
    std::size_t endpoints = 0;  // that are new by it
    bool cached = false;        // it was kept from an earlier question
    Error error{};
};

// The race.
struct RaceBegan {
    std::string remote;
};
struct Attempted {
    std::uint8_t attempt = 0;
    Establishment::Attempt about;  // as it stands: begun, or over
};
struct RaceLost {
    Error error;
};

// Connections: a race's leaves, its winner, and what a listener took.
struct TransientOpened {
    std::uint8_t attempt = 0;
    Stack stack;
    Path path;
    std::string log;  // the file of its own log, where it has one
};
struct TransientEstablished {
    std::uint8_t attempt = 0;
    Stack stack;
    std::string alpn;
    Path path;
};
// Another address, port, size of packets or marking.
struct PathChanged {
    std::uint8_t attempt = 0;
    Path path;
};
struct TransientClosed {
    std::uint8_t attempt = 0;
    Stack stack;
    Path path;
    Error error;
};

// Carriers.
struct CarrierOpened {
    CarrierId carrier;
    std::optional<CarrierId> parent{};
    bool ours = false;
    const char* kind = "messages";
};
struct CarrierClosed {
    CarrierId carrier;
    Error error;
};

// Messages. Those that failed before they had a place among the others have no sequence number.
struct Message {
    enum class What : std::uint8_t { queued, sent, acked, expired, failed, received };
    What what = What::queued;
    CarrierId carrier;
    Niceness niceness;
    std::optional<Sequence> sequence{};
    std::uint64_t size = 0;
    Error error{};
    bool maybe_delivered = false;
};

// An error that nobody took.
struct Unhandled {
    Error error;
};

using What = std::variant<AssociationOpened, AssociationClosed, Joined, Asked, Answered, RaceBegan,
                          Attempted, RaceLost, TransientOpened, TransientEstablished, PathChanged,
                          TransientClosed, CarrierOpened, CarrierClosed, Message, Unhandled>;

}  // namespace traced

struct Traced {
    Instant at{};
    AssociationId association{};  // 0: of none
    traced::What what;
};

class TraceLog {
public:
    // Between two calls of poll(); what is more is only counted.
    static constexpr std::size_t most = 65536;

    bool on() const { return on_; }
    void turn_on(bool on) { on_ = on; }
    // The time of this turn, as the root tells it.
    void set_now(Instant now) { now_ = now; }
    // Call it only while it is on: making the value is what costs.
    void add(AssociationId association, traced::What what) {
        if (events_.size() >= most)
            ++left_out_;
        else
            events_.push_back({now_, association, std::move(what)});
    }
    bool empty() const { return events_.empty() && left_out_ == 0; }
    // Moves out what happened since the last call, in order, and how much is missing behind it.
    std::pair<std::vector<Traced>, std::uint64_t> poll() {
        return {std::exchange(events_, {}), std::exchange(left_out_, 0)};
    }

private:
    std::vector<Traced> events_;
    std::uint64_t left_out_ = 0;
    Instant now_{};
    bool on_ = false;
};

}  // namespace post::core
