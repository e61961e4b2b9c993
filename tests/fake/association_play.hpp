// AssociationPlay: two associations over a FakeWire, moved by bytes from anywhere: a fuzzer, or a
// seeded generator. It does what applications do in any order, and keeps the books: every message
// has one fate, every Carrier one end, what arrives was sent, in order, and once. A book that is
// wrong is a std::logic_error.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "lib/association/association.hpp"
#include "tests/fake/fake_mapping.hpp"

namespace post::test {

class AssociationPlay {
public:
    explicit AssociationPlay(std::span<const std::byte> choices);
    AssociationPlay(const AssociationPlay&) = delete;
    AssociationPlay& operator=(const AssociationPlay&) = delete;

    // Plays the choices to their end, closes everything, and looks that nothing is left.
    void run();

    std::uint64_t messages() const { return messages_; }
    std::uint64_t delivered() const { return delivered_; }

private:
    // A message for its sender: what became of it.
    struct Record {
        bool alone = false;  // it may be lost
        bool sent = false;
        bool settled = false;
        Fate::Kind fate = Fate::Kind::failed;
    };
    struct Side {
        Side(Role role, const Bounds& bounds);
        core::Shared shared;
        core::Association association;
        std::vector<CarrierId> carriers;  // open ones that the application holds
        std::map<core::Tag, CarrierId> tags;
        std::map<core::FateToken, Record> records;
        std::map<std::pair<CarrierId, std::uint32_t>, std::uint64_t> next;  // sequence to come
        std::set<std::pair<CarrierId, Sequence>> alone;  // that came, out of order
        std::deque<std::vector<std::byte>> arriving;
        core::Tag next_tag = 1;
        core::FateToken next_token = 1;
        bool connected = false;
        bool gone = false;
    };

    std::size_t byte();
    void step();
    void act(Side& side, std::size_t choice);
    void open(Side& side);
    void send(Side& side, CarrierId carrier);
    void take(Side& side, CarrierId carrier);
    void connect(Side& side);
    void turn(Side& side);
    void turns();
    void pass(Duration time);
    void tell(Side& side, const core::Happened& event);
    std::optional<CarrierId> pick(Side& side);
    void finish();

    std::span<const std::byte> choices_;
    std::shared_ptr<FakeWire> wire_ = std::make_shared<FakeWire>();
    Instant now_{std::chrono::seconds(1)};
    bool post_ = true;
    bool cut_ = false;
    Limits limits_;
    Bounds bounds_;
    std::unique_ptr<Side> client_;
    std::unique_ptr<Side> server_;
    std::uint64_t messages_ = 0;
    std::uint64_t delivered_ = 0;
};

}  // namespace post::test
