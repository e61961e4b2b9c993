// InMessage: segments are kept as they came and put together when somebody wants them in one piece.
#include <post/message.hpp>

#include <algorithm>
#include <cstring>

namespace post {

void InMessage::append(Bytes segment) {
    if (segment.empty()) return;
    const bool only = !rest_ || rest_->size == 0;
    if (only && content_.empty()) {
        content_ = std::move(segment);
    } else if (only && content_.continues_in(segment)) {
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

InMessage InMessage::take_front(std::size_t bytes, std::uint64_t total) {
    InMessage part({}, niceness_, sequence_);
    part.mark(idempotent_, final_);
    part.raw_ = raw_;
    part.text_ = text_;
    part.properties_ = std::move(properties_);
    if (!rest_) rest_ = Rest{};
    Rest& rest = *rest_;
    const std::uint64_t offset = rest.offset;
    rest.offset += bytes;
    rest.total = total;
    while (bytes > 0) {
        const std::size_t step = std::min(bytes, content_.size());
        part.append(content_.slice(0, step));
        content_ = content_.slice(step);
        bytes -= step;
        if (!content_.empty() || rest.size == 0) continue;
        content_ = std::move(rest.segments[rest.first++]);
        rest.size -= content_.size();
    }
    if (rest.first * 2 >= rest.segments.size()) {
        rest.segments.erase(rest.segments.begin(),
                            rest.segments.begin() + static_cast<std::ptrdiff_t>(rest.first));
        rest.first = 0;
    }
    if (!part.rest_) part.rest_ = Rest{};
    part.rest_->offset = offset;
    part.rest_->total = total;
    return part;
}

void InMessage::cut_short(std::uint64_t total) {
    content_ = {};
    const std::uint64_t offset = this->offset();
    rest_ = Rest{};
    rest_->offset = offset;
    rest_->total = total;
    rest_->cut = true;
}

void InMessage::come_by(const Path& path) {
    if (!rest_) rest_ = Rest{};
    rest_->path = path;
}

std::optional<Path> InMessage::path() const {
    if (!rest_ || !rest_->path) return std::nullopt;
    return *rest_->path;
}

std::optional<Address> InMessage::remote() const {
    if (rest_ && rest_->path) return rest_->path->remote;
    if (datagram_) return datagram_->remote;
    return std::nullopt;
}

const Bytes& InMessage::content() & {
    if (!rest_ || rest_->size == 0) return content_;
    Block whole(size());
    segments([&](const Bytes& segment) {
        std::memcpy(whole.writable(), segment.data(), segment.size());
        whole.advance(segment.size());
    });
    const std::size_t length = whole.used();
    whole.rewind();
    content_ = whole.commit(length);
    rest_->segments.clear();
    rest_->first = rest_->size = 0;
    return content_;
}

Bytes InMessage::content() && {
    content();
    return std::move(content_);
}

}  // namespace post
