// A Rig around an Inbox for its tests: a mapping that only counts what it is told, and pieces made
// of strings.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/association/inbox.hpp"

namespace post::test {

// Counts the promises; has no wire.
class CountingMapping final : public Mapping {
public:
    void reset(CarrierId, Error) override {}
    void stop(CarrierId, Error) override {}
    void extend_window(CarrierId carrier, std::uint64_t bytes) override {
        windows[carrier.value()] += bytes;
    }
    void extend_budget(std::uint64_t bytes) override { budget += bytes; }
    void keep_alive(bool) override {}
    void close(Error) override {}
    void handle_input(Instant, const Datagrams&) override {}
    void handle_timeout(Instant) override {}
    void handle_trouble(Instant, const Address&, std::error_code) override {}
    Datagrams poll_transmit(Instant, Supply&, std::span<std::byte>) override { return {}; }
    void poll_events(std::vector<Event>&) override {}
    Instant deadline() const override { return never; }
    std::uint64_t send_window(CarrierId) const override { return 0; }
    Path path() const override { return now; }
    bool quiet() const override { return true; }
    Stack stack() const override { return Stack::quic; }
    Instant heard() const override { return never; }
    bool over() const override { return false; }

    Path now;
    std::map<std::uint64_t, std::uint64_t> windows;
    std::uint64_t budget = 0;
};

class InRig {
public:
    static constexpr std::uint64_t window = 32 * 1024;

    explicit InRig(std::uint64_t budget = 1 << 20)
        : inbox({window, budget, 16 * 1024 * 1024, std::chrono::seconds(60)}, charge, works,
                small) {}
    InRig(const InRig&) = delete;
    InRig& operator=(const InRig&) = delete;

    core::InLane& lane(std::uint64_t carrier) {
        auto& made = lanes[carrier];
        if (made) return *made;
        made = std::make_unique<core::InLane>();
        made->carrier = CarrierId{carrier};
        made->tag = carrier + 1000;
        inbox.begin(*made);
        return *made;
    }
    static Piece piece(const core::InLane& lane, std::uint64_t sequence, const Bytes& bytes,
                       std::uint64_t offset = 0, std::uint64_t total = 0,
                       std::uint8_t niceness = 0) {
        Piece made;
        made.carrier = lane.carrier;
        made.niceness = NicenessClass{niceness};
        made.sequence = Sequence{sequence};
        made.offset = offset;
        made.total = total == 0 ? bytes.size() : total;
        made.bytes = bytes;
        return made;
    }
    Result<void> arrive(core::InLane& lane, std::uint64_t sequence, const Bytes& bytes,
                        std::uint64_t offset = 0, std::uint64_t total = 0,
                        std::uint8_t niceness = 0) {
        return inbox.handle_piece(now, lane, piece(lane, sequence, bytes, offset, total, niceness));
    }
    // A message of `size` bytes, as pieces of at most `step`, up to `stop` bytes of it.
    void arrive_cut(core::InLane& lane, std::uint64_t sequence, std::uint64_t size,
                    std::uint64_t stop, std::uint8_t niceness = 0, std::uint64_t from = 0,
                    std::uint64_t step = 1200) {
        while (from < stop) {
            const std::uint64_t part = std::min(step, stop - from);
            (void)arrive(lane, sequence, Bytes(std::string(part, 'x')), from, size, niceness);
            from += part;
        }
    }
    std::string take(core::InLane& lane) {
        auto message = inbox.take(lane);
        return message ? std::move(*message).content().string() : "(nothing)";
    }
    void flush() { inbox.flush(now, mapping); }
    std::uint64_t promised(const core::InLane& lane) {
        return mapping.windows[lane.carrier.value()];
    }
    // All reports that are due.
    std::vector<Delivered> reports(bool traffic = false) {
        std::vector<Delivered> all;
        Delivered one;
        while (inbox.report_due(now, traffic) && inbox.next_report(one)) all.push_back(one);
        return all;
    }

    Instant now{std::chrono::seconds(1)};
    core::Charge charge;
    core::Pool<core::InWork> works;
    core::SmallBlocks small;
    core::Inbox inbox;
    CountingMapping mapping;
    std::map<std::uint64_t, std::unique_ptr<core::InLane>> lanes;
};

}  // namespace post::test
