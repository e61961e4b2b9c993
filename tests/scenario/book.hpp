// Book: of every message what was said of it, what became of it and when it was shown; and the
// promises that all of this has to keep (post/message.hpp). A message carries its place in the
// book, so that whoever receives it finds it again.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/scenario/scene.hpp"

namespace post::test {

enum class End : std::uint8_t { client, server };
inline End other(End end) { return end == End::client ? End::server : End::client; }

class Book {
public:
    using Place = std::size_t;

    // The least that a message needs to carry its place.
    static constexpr std::size_t least = 8;

    struct Entry {
        End from = End::client;
        CarrierId carrier;
        Niceness niceness;
        std::size_t size = 0;
        bool ordered = true;
        bool mortal = false;  // it has a lifetime
        std::vector<Place> before;
        std::optional<MessageId> id;
        int sent = 0;
        int acked = 0;
        int expired = 0;
        int failed = 0;
        int shown = 0;
        bool sent_late = false;  // behind the last word
        bool maybe_delivered = false;
        Error error;

        int last_words() const { return acked + expired + failed; }
    };
    struct Sums {
        int acked = 0;
        int expired = 0;
        int failed = 0;
        int successors = 0;  // acked, and had antecedents
        int orphans = 0;     // expired with an antecedent
    };

    // Sends a message that has to come after those in `before`.
    void send(Carrier& carrier, End from, std::size_t size, SendOptions options,
              const std::vector<Place>& before, bool keep);
    // What the end of a Carrier received; answers its place.
    Place show(End at, CarrierId carrier, InMessage message);
    // Looks again for the ids of those that had found no room.
    void poll();
    // Somebody receives at that end of the Carrier.
    void await(End at, CarrierId carrier) { taken_.insert({at, carrier}); }
    // Nobody receives at that end of the Carrier any more, or of any: what is acked need not be
    // shown there.
    void excuse(End at, CarrierId carrier) { gone_.insert({at, carrier}); }
    void excuse(End at) { gone_ends_.insert(at); }
    // Whether somebody could still receive the message.
    bool awaited(Place place) const;

    const Entry& operator[](Place place) const { return entries_[place]; }
    std::size_t size() const { return entries_.size(); }
    // Every message has its last word.
    bool settled() const;
    // Every acked message was shown, or is excused.
    bool shown() const;
    void check() const;
    Sums sums() const;

private:
    using Line = std::tuple<End, CarrierId, Niceness>;

    const char* fault(Place place) const;
    std::string describe(Place place) const;

    std::vector<Entry> entries_;
    std::map<Line, Place> next_;                      // of ordered ones: what may be shown next
    std::vector<std::pair<Place, Sending>> waiting_;  // those that have found no room
    std::set<std::pair<End, CarrierId>> taken_;
    std::set<std::pair<End, CarrierId>> gone_;
    std::set<End> gone_ends_;
};

}  // namespace post::test
