// Which sizes are tried, and what becomes of those that fail.
#include "mappings/sctp/path_search.hpp"

#include <array>
#include <cstdint>
#include <utility>

namespace post::sctp {

namespace {

// Behind what the interface itself takes, which is the answer on most paths: Ethernet behind an
// interface of larger frames, and what such a network may have inside; then PPPoE and tunnels. A
// little more than what is sure would be less: the headers of a second chunk.
constexpr std::array<std::uint16_t, 6> usual = {1452, 4096, 8952, 16384, 1406, 1342};

}  // namespace

void PathSearch::start(Instant now) { go_on(now); }

// The next size that is between what passed and what failed.
std::size_t PathSearch::next() const {
    const auto open = [&](std::size_t size) { return size > size_ && size < failed_; };
    if (open(limit_)) return limit_;
    for (const std::size_t size : usual)
        if (size < limit_ && open(size)) return size;
    return 0;
}

void PathSearch::go_on(Instant now) {
    tried_ = next();
    tries_ = 0;
    due_ = tried_ != 0;
    at_ = size_ < limit_ ? later(now, pause) : never;
}

std::size_t PathSearch::poll(Instant now) {
    if (!std::exchange(due_, false)) return 0;
    ++tries_;
    at_ = later(now, answer_time);
    return tried_;
}

bool PathSearch::on_answer(Instant now, std::size_t size) {
    if (tried_ == 0 || size != tried_) return false;
    const bool larger = size > size_;
    if (larger) size_ = size;
    go_on(now);
    return larger;
}

bool PathSearch::on_timeout(Instant now) {
    if (due_ || now < at_) return false;
    if (tried_ == 0) {  // what failed may pass by now
        failed_ = SIZE_MAX;
        go_on(now);
        return false;
    }
    if (tries_ < most_tries) {
        due_ = true;
        return false;
    }
    failed_ = tried_;
    const bool fell = tried_ <= size_;
    if (fell) size_ = sure_;
    go_on(now);
    return fell;
}

void PathSearch::on_loss(Instant now) {
    const bool asked = tried_ != 0 && tried_ <= size_;
    if (size_ == sure_ || asked) return;
    if (doubted_ != Instant::min() && now < later(doubted_, between_doubts)) return;
    doubted_ = now;
    tried_ = size_;
    tries_ = 0;
    due_ = true;
}

}  // namespace post::sctp
