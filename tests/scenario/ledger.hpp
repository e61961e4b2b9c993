// Ledger: what was sent, what of it arrived, and what had to. Content is not kept but made again,
// from the seed and the message's place, so that a single wrong byte is seen.
#pragma once

#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/scenario/scene.hpp"

namespace post::test {

enum class Side : std::uint8_t { client, server };
inline Side other(Side side) { return side == Side::client ? Side::server : Side::client; }

class Ledger {
public:
    explicit Ledger(std::uint64_t seed) : seed_(seed) {}

    // A message of `size` bytes from the end of `carrier` at `side`.
    void send(Carrier& carrier, Side side, std::size_t size, const SendOptions& options);
    // What the end of Carrier `id` at `side` received.
    void receive(Side side, CarrierId id, InMessage message);
    // Somebody ends the Carrier early: what `side` sends on it, before or after, need not arrive.
    void give_up(CarrierId id, Side side) { given_up_.insert({id, side}); }

    // Something that `side` sent was acked.
    bool acked(Side side) const;
    // Every message has its last word, and what is acked was received.
    bool settled() const;
    void check() const;

private:
    // Order holds inside one class of one direction of one Carrier.
    using Lane = std::tuple<CarrierId, Side, std::uint32_t>;
    struct Entry {
        std::size_t size = 0;
        bool mortal = false;  // it has a lifetime
        bool received = false;
        std::size_t fate = 0;  // its place in fates_
    };

    std::vector<std::byte> content(const Lane& lane, std::size_t place, std::size_t size) const;
    std::size_t place_of(const Lane& lane, Sequence sequence);
    const char* fault(const Lane& lane, const Entry& entry) const;
    std::string describe(const Lane& lane, std::size_t place, const Entry& entry) const;
    bool given_up(const Lane& lane) const {
        return given_up_.count({std::get<0>(lane), std::get<1>(lane)}) != 0;
    }

    std::uint64_t seed_;
    Fates fates_;
    std::map<Lane, std::vector<Entry>> lanes_;
    std::map<Lane, std::size_t> next_;  // what may be received next
    std::set<std::pair<CarrierId, Side>> given_up_;
    std::vector<Sending> sendings_;  // those that wait for room
};

}  // namespace post::test
