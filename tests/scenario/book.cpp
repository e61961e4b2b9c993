// One last word for each message, `sent` before it, and nothing shown that was said not to be.
#include "tests/scenario/book.hpp"

#include <algorithm>
#include <cstring>

namespace post::test {

namespace {

char filling(Book::Place place) { return static_cast<char>('a' + place % 26); }

std::string content(Book::Place place, std::size_t size) {
    std::string text(std::max(size, Book::least), filling(place));
    const std::uint64_t name = place;
    std::memcpy(text.data(), &name, sizeof name);
    return text;
}

}  // namespace

void Book::send(Carrier& carrier, End from, std::size_t size, SendOptions options,
                const std::vector<Place>& before, bool keep) {
    const Place place = entries_.size();
    Entry& entry = entries_.emplace_back();
    entry.from = from;
    entry.carrier = carrier.id();
    entry.niceness = options.niceness;
    entry.size = std::max(size, least);
    entry.ordered = options.ordered;
    entry.mortal = options.lifetime > Duration{};
    for (const Place first : before) {
        REQUIRE(entries_[first].id);
        options.antecedents.add(*entries_[first].id);
    }
    entry.before = before;
    auto sending = carrier.send(content(place, size), std::move(options),
                                [this, place](const Fate& fate) {
                                    Entry& of = entries_[place];
                                    switch (fate.kind) {
                                        case Fate::Kind::sent:
                                            ++of.sent;
                                            of.sent_late |= of.last_words() > 0;
                                            break;
                                        case Fate::Kind::acked: ++of.acked; break;
                                        case Fate::Kind::expired: ++of.expired; break;
                                        case Fate::Kind::failed: ++of.failed; break;
                                    }
                                    if (fate.kind == Fate::Kind::sent) return;
                                    of.error = fate.error;
                                    of.maybe_delivered = fate.maybe_delivered;
                                });
    // What is not kept goes with its operation: it fails as would_block when it found no room.
    if (keep || sending.ready()) waiting_.emplace_back(place, std::move(sending));
    poll();
}

void Book::poll() {
    std::erase_if(waiting_, [this](auto& one) {
        if (!one.second.ready()) return false;
        if (const auto answer = one.second.get()) entries_[one.first].id = *answer;
        return true;
    });
}

Book::Place Book::show(End at, CarrierId carrier, InMessage message) {
    const Bytes& bytes = message.content();
    REQUIRE(bytes.size() >= least);
    std::uint64_t place = 0;
    std::memcpy(&place, bytes.data(), sizeof place);
    CAPTURE(place);
    REQUIRE(place < entries_.size());
    Entry& entry = entries_[place];
    CHECK(++entry.shown == 1);
    CHECK(entry.from == other(at));
    CHECK(entry.carrier == carrier);
    CHECK(bytes.size() == entry.size);
    CHECK(bytes.view().substr(least).find_first_not_of(filling(place)) == std::string::npos);
    CHECK(message.niceness() == Niceness{std::min<std::uint32_t>(entry.niceness.value(), 63)});
    poll();
    if (entry.id) CHECK(message.sequence() == entry.id->sequence);
    CHECK(entry.expired == 0);
    CHECK((entry.failed == 0 || entry.maybe_delivered));
    if (entry.ordered) {
        Place& next = next_[{entry.from, carrier, entry.niceness}];
        CHECK(place >= next);
        next = place + 1;
    }
    return place;
}

bool Book::awaited(Place place) const {
    const Entry& entry = entries_[place];
    const End at = other(entry.from);
    const std::pair lane(at, entry.carrier);
    return taken_.contains(lane) && !gone_.contains(lane) && !gone_ends_.contains(at);
}

bool Book::settled() const {
    return std::all_of(entries_.begin(), entries_.end(),
                       [](const Entry& entry) { return entry.last_words() > 0; });
}

bool Book::shown() const {
    for (Place place = 0; place < entries_.size(); ++place)
        if (entries_[place].acked > 0 && entries_[place].shown == 0 && awaited(place)) return false;
    return true;
}

// What is not as it should be; null when all is.
const char* Book::fault(Place place) const {
    const Entry& entry = entries_[place];
    const bool gone = entry.expired > 0 || (entry.failed > 0 && !entry.maybe_delivered);
    if (entry.last_words() == 0) return "no last word";
    if (entry.last_words() > 1) return "more than one last word";
    if (entry.sent > 1) return "sent twice";
    if (entry.sent_late) return "sent after its last word";
    if (entry.acked > 0 && entry.sent == 0) return "acked, and never sent";
    if ((entry.acked == 0) != static_cast<bool>(entry.error)) return "an error that does not fit";
    if (entry.acked > 0 && entry.shown == 0 && awaited(place)) return "acked, and never shown";
    if (gone && entry.shown > 0) return "shown, and was not to be";
    if (entry.maybe_delivered && entry.failed == 0) return "perhaps delivered, and did not fail";
    if (entry.expired > 0 && !entry.mortal && entry.before.empty()) return "expired of nothing";
    for (const Place first : entry.before) {
        const Entry& antecedent = entries_[first];
        const bool never = antecedent.expired > 0 ||
                           (antecedent.failed > 0 && !antecedent.maybe_delivered);
        if (never && (entry.acked > 0 || entry.shown > 0))
            return "came after a message that never comes";
    }
    return nullptr;
}

std::string Book::describe(Place place) const {
    const Entry& entry = entries_[place];
    std::string text = std::string(entry.from == End::client ? "client" : "server") + ", carrier " +
                       std::to_string(entry.carrier.value()) + ", niceness " +
                       std::to_string(entry.niceness.value()) + ", message " +
                       std::to_string(place) + " of " + std::to_string(entry.size) + " bytes";
    for (const Place first : entry.before) text += ", after " + std::to_string(first);
    if (entry.error) text += " (" + entry.error.message() + ")";
    return text + ": ";
}

void Book::check() const {
    std::string wrong;  // one line for each message: a failed seed can have hundreds
    for (Place place = 0; place < entries_.size(); ++place)
        if (const char* what = fault(place)) wrong += describe(place) + what + '\n';
    CHECK(wrong == "");
}

Book::Sums Book::sums() const {
    Sums sums;
    for (const Entry& entry : entries_) {
        sums.acked += entry.acked;
        sums.expired += entry.expired;
        sums.failed += entry.failed;
        if (!entry.before.empty()) sums.successors += entry.acked;
        if (!entry.before.empty() && !entry.mortal) sums.orphans += entry.expired;
    }
    return sums;
}

}  // namespace post::test
