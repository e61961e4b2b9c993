// Receipts: which messages of one Carrier and niceness class have arrived whole, and what of that
// the peer still has to be told (FORMAT.md, DELIVERED). What does not fit into the 32 ranges of a
// report is said when the watermark has come closer. Memory is bounded whatever arrives: a peer
// that leaves more gaps than we keep is never told what lies behind them.
#pragma once

#include <vector>

#include "mappings/values.hpp"

namespace post::core {

class Receipts {
public:
    static constexpr std::size_t most_ranges = 32;  // that one DELIVERED says
    static constexpr std::size_t most_kept = 1024;

    explicit Receipts(NicenessClass niceness, std::uint64_t watermark = 0)
        : niceness_(niceness), watermark_(watermark) {}

    NicenessClass niceness() const { return niceness_; }
    // True when it is known already.
    bool has(Sequence sequence) const;
    // True, and they are settled, when the first is the very next one with nothing behind it.
    bool next(Sequence first, std::uint64_t count) {
        if (first.value() != watermark_ || !ranges_.empty() || !partial_.empty()) return false;
        watermark_ += count;
        return changed_ = true;
    }
    // `count` messages from `first` on are settled: arrived, or announced as never to come.
    void add(Sequence first, std::uint64_t count = 1);
    // It arrived, or part of it, but is not held and never will be: settled as such. False, and
    // nothing has happened, when more have been dropped than can be remembered until they are
    // reported.
    bool drop(Sequence sequence);
    // Another one behind a gap would not be remembered.
    bool full() const { return ranges_.size() >= most_kept; }
    // Of an unfinished message so much is here. A report says it of one; those of which nothing was
    // said yet come first, each in a report of its own.
    void progress(Sequence sequence, std::uint64_t bytes);
    bool changed() const { return changed_; }
    // What is settled, in little memory: as far as one report says it.
    Receipts brief() const;
    // All before this have arrived.
    std::uint64_t watermark() const { return watermark_; }
    // The watermark of class 0 says all.
    bool plain() const {
        return niceness_ == NicenessClass{} && !changed_ && ranges_.empty() && partial_.empty() &&
               !said_;
    }
    // The same as a report, said before or not.
    Delivered summary(CarrierId carrier) const;
    // Of `count` numbers from `first` on those that are not settled.
    std::vector<Delivered::Range> missing(Sequence first, std::uint64_t count) const;
    // What to tell the peer now; while changed(), there is more.
    Delivered take(CarrierId carrier);

private:
    void remember(const core::Boxed<std::vector<Delivered::Range>>& dropped);

    struct Partial {
        Sequence sequence;
        std::uint64_t bytes = 0;
        bool told = false;
    };

    NicenessClass niceness_;
    bool changed_ = false;
    std::uint64_t watermark_ = 0;
    std::vector<Delivered::Range> ranges_;                // above the watermark, ascending, apart
    core::Boxed<std::vector<Delivered::Range>> dropped_;  // unreported, ascending, apart
    // Of those that were reported the last, most_ranges of them: the report may be lost with the
    // connection, and what was dropped is not to count as held then.
    core::Boxed<std::vector<Delivered::Range>> said_;
    std::vector<Partial> partial_;  // unfinished; as many as a Carrier may have
};

}  // namespace post::core
