// The fake's Carriers: the peer's limit of them, and messages that travel alone.
#include <algorithm>
#include <utility>

#include "tests/fake/fake_mapping.hpp"

namespace post::test {

void FakeMapping::established() {
    state_ = State::established;
    events_.push_back(event::Established{options_.post ? "post-fake/1" : "fake", options_.post,
                                         options_.peer_identity, options_.alone});
}

bool FakeMapping::take_stream(bool one_way) {
    auto& left = one_way ? streams_left_one_way_ : streams_left_;
    if (left == 0) return false;
    --left;
    return true;
}

void FakeMapping::open_waiting() {
    for (auto row = waiting_.begin(); row != waiting_.end();) {
        auto& carrier = carriers_.at(*row);
        if (!take_stream(carrier.kind == CarrierKind::one_way)) {
            ++row;
            continue;
        }
        carrier.opened = true;
        events_.push_back(event::Unblocked{*row});
        row = waiting_.erase(row);
    }
}

// What travels alone.

// True: the piece waits for a datagram, and nothing is pulled behind it.
bool FakeMapping::wait_alone(Piece& piece) {
    const bool reliable = std::exchange(piece.marks.reliable, true);
    const auto& carrier = carriers_.at(piece.carrier);
    const bool whole = piece.first() && piece.last() && piece.bytes.size() <= datagram_content;
    if (reliable || !options_.alone || !whole || !carrier.known || carrier.blocked) return false;
    piece.marks.reliable = false;
    alone_ = std::move(piece);
    alone_->bytes = alone_->bytes.held();
    return true;
}

// False: there is no room left for it.
bool FakeMapping::fill_alone(Supply& supply, std::vector<Word>& words, Sent& sent,
                             std::size_t& size) {
    if (size + alone_->bytes.size() > datagram_content) return false;
    size += alone_->bytes.size();
    Piece piece = std::move(*alone_);
    alone_.reset();
    const bool lost = options_.lost_alone > 0 && ++sent_alone_ % options_.lost_alone == 0;
    sent.alone.push_back({piece.carrier, piece.niceness, piece.sequence, lost});
    supply.packed_alone(piece.carrier, piece.niceness, piece.sequence);
    words.push_back(lost ? Word(Ping{}) : Word(SayAlone{std::move(piece)}));
    return true;
}

void FakeMapping::settle_alone(const Sent& sent) {
    for (auto id : sent.opened)
        if (auto row = carriers_.find(id); row != carriers_.end()) row->second.known = true;
    for (const auto& one : sent.alone)
        if (carriers_.count(one.carrier)) events_.push_back(one);
}

void FakeMapping::arrive_alone(Piece piece) {
    if (!options_.post) {
        const auto open = std::find_if(carriers_.begin(), carriers_.end(), [](const auto& row) {
            return row.second.opened && !row.second.receive_done;
        });
        if (open == carriers_.end()) return;
        piece.carrier = open->first;
        piece.niceness = NicenessClass{};
        piece.sequence = Sequence{open->second.arrivals++};
        piece.marks = {};
    }
    if (carriers_.count(piece.carrier)) events_.push_back(event::ArrivedAlone{std::move(piece)});
}

}  // namespace post::test
