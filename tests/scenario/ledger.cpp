// Every reliable message once, in order, byte for byte, and one last word for each.
#include "tests/scenario/ledger.hpp"

#include <algorithm>

#include "tests/sim/digest.hpp"

namespace post::test {

std::vector<std::byte> Ledger::content(const Lane& lane, std::size_t place,
                                       std::size_t size) const {
    sim::Digest name;
    name.add(std::get<0>(lane).value());
    name.add(static_cast<std::uint64_t>(std::get<1>(lane)) << 32 | std::get<2>(lane));
    name.add(place);
    std::vector<std::byte> bytes(size);
    sim::Random(seed_, name.value()).fill(bytes);
    return bytes;
}

void Ledger::send(Carrier& carrier, Side side, std::size_t size, const SendOptions& options) {
    const Lane lane{carrier.id(), side, options.niceness.value()};
    auto& entries = lanes_[lane];
    const std::size_t place = entries.size();
    entries.push_back({size, options.lifetime > Duration{}, false, fates_.size()});
    auto sending = carrier.send(content(lane, place, size), options, fates_.watch());
    if (!sending.ready()) sendings_.push_back(std::move(sending));
}

void Ledger::receive(Side side, CarrierId id, InMessage message) {
    const Lane lane{id, other(side), message.niceness().value()};
    const std::size_t place = place_of(lane, message.sequence());
    CAPTURE(id.value());
    CAPTURE(message.niceness().value());
    CAPTURE(place);
    auto& entries = lanes_[lane];
    REQUIRE(place < entries.size());
    Entry& entry = entries[place];
    CHECK_FALSE(entry.received);
    CHECK(place >= next_[lane]);
    entry.received = true;
    next_[lane] = place + 1;
    const auto expected = content(lane, place, entry.size);
    const Bytes& got = message.content();
    REQUIRE(got.size() == expected.size());
    CHECK(std::equal(expected.begin(), expected.end(), got.begin()));
}

// A message that expired while its send waited for room has no number.
std::size_t Ledger::place_of(const Lane& lane, Sequence sequence) {
    const auto& entries = lanes_[lane];
    std::size_t place = 0;
    for (std::uint64_t left = sequence.value(); place < entries.size(); ++place) {
        const Fates::Record& fate = fates_[entries[place].fate];
        const bool unnumbered = fate.error.detail.view().find("waited for room") !=
                                std::string_view::npos;
        if (!unnumbered && left-- == 0) break;
    }
    return place;
}

bool Ledger::acked(Side side) const {
    for (const auto& [lane, entries] : lanes_)
        for (const Entry& entry : entries)
            if (std::get<1>(lane) == side && fates_[entry.fate].acked > 0) return true;
    return false;
}

bool Ledger::settled() const {
    if (!fates_.all()) return false;
    for (const auto& [lane, entries] : lanes_)
        for (const Entry& entry : entries)
            if (fates_[entry.fate].acked && !entry.received && !given_up(lane)) return false;
    return true;
}

void Ledger::check() const {
    if (fates_.all()) fates_.check();
    std::string wrong;  // one line for each message: a failed seed can have hundreds
    for (const auto& [lane, entries] : lanes_)
        for (std::size_t place = 0; place < entries.size(); ++place)
            if (const char* what = fault(lane, entries[place]))
                wrong += describe(lane, place, entries[place]) + what + '\n';
    CHECK(wrong == "");
    for (const Sending& sending : sendings_) CHECK(sending.ready());
}

// What is not as it should be with a message; null when all is.
const char* Ledger::fault(const Lane& lane, const Entry& entry) const {
    const Fates::Record& fate = fates_[entry.fate];
    if (fate.expired > 0 && !entry.mortal) return "expired without a lifetime";
    if (fate.expired > 0 && entry.received) return "expired, and received";
    if (fate.last_words() == 0) return "no last word";
    if (given_up(lane)) return nullptr;
    if (fate.failed > 0) return "failed";
    if (fate.acked == 0 && !entry.mortal) return "never acked";
    if (fate.acked > 0 && !entry.received) return "acked, and never received";
    if (fate.acked == 0 && entry.received) return "received, and never acked";
    return nullptr;
}

std::string Ledger::describe(const Lane& lane, std::size_t place, const Entry& entry) const {
    const auto& [carrier, side, niceness] = lane;
    const Error& error = fates_[entry.fate].error;
    return std::string(side == Side::client ? "client" : "server") + ", carrier " +
           std::to_string(carrier.value()) + ", class " + std::to_string(niceness) + ", message " +
           std::to_string(place) + " of " + std::to_string(entry.size) + " bytes" +
           (error ? " (" + error.message() + "): " : ": ");
}

}  // namespace post::test
