// A Rig around an Outbox for its tests: lanes, sends of strings, and what was pulled as short
// words, "4/1#0 hello" for the whole message 0 of class 1 on Carrier 4.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/association/outbox.hpp"
#include "tests/unit/words.hpp"

namespace post::test {

class Rig {
public:
    explicit Rig(core::Outbox::Limits limits = {1 << 20, 1 << 24, 1 << 24})
        : outbox(limits, outstanding, works) {}
    ~Rig() {
        for (auto& [id, lane] : lanes) outbox.block(*lane);  // lanes go before the outbox does
    }
    Rig(const Rig&) = delete;
    Rig& operator=(const Rig&) = delete;

    core::OutLane& lane(std::uint64_t carrier, Priority priority = {}) {
        auto& made = lanes[carrier];
        if (made) return *made;
        made = std::make_unique<core::OutLane>();
        made->carrier = CarrierId{carrier};
        made->tag = carrier + 1000;
        made->priority = priority;
        made->fates = true;
        made->opened = true;
        return *made;
    }
    MessageId send(core::OutLane& to, Bytes content, const SendOptions& options = {},
                   Instant deadline = never) {
        const Sequence sequence = outbox.push(to, std::move(content),
                                              {options, deadline, core::no_fate});
        return {to.carrier, options.niceness, sequence};
    }

    // A message that has to come after others.
    MessageId send_after(const std::vector<MessageId>& others, core::OutLane& to, Bytes content,
                         const SendOptions& options = {}, Instant deadline = never) {
        std::vector<core::OutRare::Bond> before;
        for (const MessageId& other : others)
            before.push_back({other.carrier, class_of(other.niceness), other.sequence.value(),
                              &lane(other.carrier.value())});
        const Sequence sequence = outbox.push(to, std::move(content),
                                              {options, deadline, core::no_fate, {}, before});
        return {to.carrier, options.niceness, sequence};
    }

    // The next thing as a word; empty when there is nothing. `chunk` bytes at most.
    std::string pull(std::uint64_t chunk = 64 * 1024) {
        if (!outbox.turn()) return {};
        outbox.next(now, chunk, out);
        return word();
    }
    std::vector<std::string> pull_all(std::uint64_t chunk = 64 * 1024) {
        std::vector<std::string> words;
        for (std::string one = pull(chunk); !one.empty(); one = pull(chunk)) words.push_back(one);
        return words;
    }
    // Fates since the last call: "acked 4/1#0", with a "?" when it may have been delivered.
    std::vector<std::string> fates() {
        std::vector<std::string> words;
        for (const core::Happened& event : outbox.events()) {
            const auto* progress = std::get_if<core::happened::Progress>(&event);
            if (!progress) {
                words.push_back("writable");
                continue;
            }
            const Fate& fate = progress->fate;
            constexpr const char* names[] = {"sent", "acked", "expired", "failed"};
            std::string text = names[static_cast<std::size_t>(fate.kind)];
            if (fate.maybe_delivered) text += "?";
            const MessageId& id = fate.message;
            words.push_back(text + " " + name(id.carrier, id.niceness.value(), id.sequence));
        }
        outbox.events().clear();
        return words;
    }
    bool delivered(core::OutLane& of, std::uint64_t watermark,
                   std::vector<Delivered::Range> ranges = {}, std::uint8_t niceness = 0) {
        Delivered said;
        said.carrier = of.carrier;
        said.niceness = NicenessClass{niceness};
        said.watermark = Sequence{watermark};
        said.ranges = std::move(ranges);
        return outbox.handle_delivered(of, said);
    }

    static std::string name(CarrierId carrier, std::uint32_t niceness, Sequence sequence) {
        return std::to_string(carrier.value()) + "/" + std::to_string(niceness) + "#" +
               std::to_string(sequence.value());
    }

    Instant now{};
    std::uint64_t outstanding = 0;
    core::Pool<core::OutWork> works;
    core::Outbox outbox;
    std::map<std::uint64_t, std::unique_ptr<core::OutLane>> lanes;
    Outgoing out;

private:
    std::string word() const {
        if (const auto* piece = std::get_if<Piece>(&out)) {
            std::string text = name(piece->carrier, piece->niceness.value(), piece->sequence);
            if (!piece->first() || !piece->last()) text += "+" + std::to_string(piece->offset);
            return text + " " + piece->bytes.string();
        }
        if (const auto* skip = std::get_if<Skip>(&out))
            return "skip " + name(skip->carrier, skip->niceness.value(), skip->first) + "x" +
                   std::to_string(skip->count);
        if (const auto* abandon = std::get_if<Abandon>(&out))
            return "abandon " +
                   name(abandon->carrier, abandon->niceness.value(), abandon->sequence);
        if (const auto* finish = std::get_if<Finish>(&out))
            return "finish " + std::to_string(finish->carrier.value());
        return "?";
    }
};

}  // namespace post::test
