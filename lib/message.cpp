// InMessage: segments are kept as they came and put together when somebody wants them in one piece.
#include <post/message.hpp>

namespace post {

void InMessage::append(Bytes segment) {
    if (segment.empty()) return;
    if (!rest_ && content_.empty()) {
        content_ = std::move(segment);
    } else if (!rest_ && content_.continues_in(segment)) {
        content_.extend(segment.size());
    } else {
        if (!rest_) rest_ = Rest{};
        rest_->size += segment.size();
        auto& segments = rest_->segments;
        if (!segments.empty() && segments.back().continues_in(segment))
            segments.back().extend(segment.size());
        else
            segments.push_back(std::move(segment));
    }
}

const Bytes& InMessage::content() & {
    if (!rest_) return content_;
    Block whole(size());
    segments([&](const Bytes& segment) {
        std::memcpy(whole.writable(), segment.data(), segment.size());
        whole.advance(segment.size());
    });
    const std::size_t length = whole.used();
    whole.rewind();
    content_ = whole.commit(length);
    rest_ = {};
    return content_;
}

Bytes InMessage::content() && {
    content();
    return std::move(content_);
}

}  // namespace post
