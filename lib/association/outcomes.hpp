// Outcomes: what is still known of the peer's messages when nobody holds them any more, for those
// that come after them (draft 2.2.3): which Carriers the peer ever opened, what of those that were
// reset had come, and which messages failed. Memory is bounded: what is forgotten counts as come.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "lib/association/receipts.hpp"
#include "lib/association/ring.hpp"
#include "mappings/values.hpp"

namespace post::core {

// The name of a message of the peer's.
using Antecedent = Extras::Antecedent;

class Outcomes {
public:
    static constexpr std::size_t most_failed = 1024;
    static constexpr std::size_t most_reset = 256;

    // The peer opened it. Its ids are counted in twos (FORMAT.md, 2.1).
    void opened(CarrierId carrier);
    bool was_opened(CarrierId carrier) const;
    // How many it opened, where that says all: in their order, and nothing failed. And the same
    // from that number.
    std::optional<std::uint64_t> plain() const;
    static Outcomes of(std::uint64_t opened);
    // The place of the last one that was opened.
    std::uint64_t last() const { return last_; }

    // Never to come: `count` messages from this one on.
    void failed(const Antecedent& first, std::uint64_t count);
    bool has_failed(const Antecedent& message) const;

    // The Carrier is gone, and not in good order: what had come of it.
    void was_reset(CarrierId carrier, std::vector<Receipts> receipts);
    // Whether a Carrier that is gone left this message out.
    bool lost(const Antecedent& message) const;

private:
    Receipts opened_{NicenessClass{}};
    std::uint64_t last_ = 0;
    std::map<Antecedent, std::uint64_t> failed_;  // and how many from there on
    Ring<Antecedent> failed_order_;
    std::map<CarrierId, std::vector<Receipts>> reset_;
    Ring<CarrierId> reset_order_;
};

}  // namespace post::core
