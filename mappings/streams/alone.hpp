// Alone: the messages of one connection that travel in DATAGRAM frames (RFC 9221): the one that
// waits for a packet, and those in flight, until the transport has said what became of them. Made
// on first use: most connections have none.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "mappings/values.hpp"
#include "mappings/wire/ring.hpp"

namespace post::streams {

// What a DATAGRAM frame may hold at most is a matter of the peer's and of the path; we take all
// that a UDP datagram can bring.
inline constexpr std::uint64_t largest_datagram_frame = 65535;

class Alone {
public:
    // The one that waits. Nothing is pulled behind it, so that there is one at most.

    bool waiting() const { return waiting_.has_value(); }
    const Piece& piece() const { return *waiting_; }
    void wait(Piece&& piece) { waiting_ = std::move(piece); }
    Piece take() {
        Piece piece = std::move(*waiting_);
        waiting_.reset();
        return piece;
    }
    // What the supply lent is lent until the end of its call.
    void hold() {
        if (waiting_) waiting_->bytes = waiting_->bytes.held();
    }
    void forget(CarrierId carrier) {
        if (waiting_ && waiting_->carrier == carrier) waiting_.reset();
    }

    // Those in flight.

    // How the transport is to call the next one.
    std::uint64_t next_id() const { return first_ + flights_.size(); }
    // The one that waited is in a packet. When the transport has not said what became of it until
    // `due`, it never will.
    event::SettledAlone fly(Instant due) {
        const Piece piece = take();
        flights_.push_back({{piece.carrier, piece.niceness, piece.sequence}, due, true});
        ++flying_;
        return flights_.back().message;
    }
    // Nothing for one that was settled before: a loss may turn out to be none.
    std::optional<event::SettledAlone> settle(std::uint64_t id, bool lost) {
        if (id < first_ || id - first_ >= flights_.size()) return std::nullopt;
        Flight& flight = flights_[static_cast<std::size_t>(id - first_)];
        if (!std::exchange(flight.flies, false)) return std::nullopt;
        --flying_;
        event::SettledAlone message = flight.message;
        message.lost = lost;
        for (; !flights_.empty() && !flights_.front().flies; ++first_) flights_.pop_front();
        if (flights_.empty() && flights_.capacity() > most_kept) flights_ = {};
        return message;
    }
    bool flying() const { return flying_ > 0; }
    // Of the one that flies for longest: the first.
    Instant due() const { return flying_ > 0 ? flights_[0].due : never; }
    std::optional<event::SettledAlone> give_up(Instant now) {
        return due() <= now ? settle(first_, true) : std::nullopt;
    }

    // Raw framing: the open Carriers of the connection, of which the lowest gets what comes alone.
    std::optional<std::set<CarrierId>> carriers;

private:
    static constexpr std::size_t most_kept = 256;

    struct Flight {
        event::SettledAlone message;
        Instant due{};
        bool flies = false;
    };
    std::optional<Piece> waiting_;
    wire::Ring<Flight> flights_;
    std::uint64_t first_ = 0;  // the id of flights_[0]
    std::size_t flying_ = 0;
};

}  // namespace post::streams
