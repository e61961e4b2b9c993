// RecordSize: how long the next record of TLS is to be. A reader opens the first records of a
// flight the sooner the shorter they are: one segment of TCP each. A peer that has taken a lot is
// reading something long, and pays for each record.
#pragma once

#include <algorithm>
#include <cstdint>

#include <post/time.hpp>

#include "mappings/crypto/tls_record.hpp"

namespace post::crypto {

class RecordSize {
public:
    // What fits into one segment, bytes.
    explicit RecordSize(std::size_t segment) : segment_(segment) {}

    // Of the content.
    std::size_t limit(Instant now) {
        if (now - sent_at_ > cold_after) in_a_row_ = 0;
        if (in_a_row_ >= warm_after) return largest_tls_content;
        return std::clamp<std::size_t>(segment_, 512, largest_tls_content) - tls_overhead;
    }
    void sent(Instant now, std::size_t content) {
        in_a_row_ += content;
        sent_at_ = now;
    }

private:
    static constexpr std::uint64_t warm_after = 64 * 1024;
    // Behind such a pause the window of TCP is small again.
    static constexpr Duration cold_after = std::chrono::seconds(1);

    std::size_t segment_;
    std::uint64_t in_a_row_ = 0;
    Instant sent_at_{};
};

}  // namespace post::crypto
