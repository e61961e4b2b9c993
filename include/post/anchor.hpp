// Anchor: what handles hold of their Context. It is counted and outlives the Context; when that is
// gone both pointers are null and every call answers context_closed. For the library.
#pragma once

#include <cstdint>
#include <utility>

namespace post::core {

class Carriers;
class Root;

class Anchor {
public:
    Carriers* carriers = nullptr;
    Root* root = nullptr;
    std::uint32_t count = 0;  // of handles; one thread, so no atomic
};

// A counted reference to one.
class AnchorRef {
public:
    AnchorRef() = default;
    explicit AnchorRef(Anchor* anchor) : anchor_(anchor) {
        if (anchor_) ++anchor_->count;
    }
    AnchorRef(const AnchorRef& other) : AnchorRef(other.anchor_) {}
    AnchorRef(AnchorRef&& other) noexcept : anchor_(std::exchange(other.anchor_, nullptr)) {}
    AnchorRef& operator=(AnchorRef other) noexcept {
        std::swap(anchor_, other.anchor_);
        return *this;
    }
    ~AnchorRef() {
        if (anchor_ && --anchor_->count == 0) delete anchor_;
    }
    Anchor* get() const { return anchor_; }
    Anchor* operator->() const { return anchor_; }
    explicit operator bool() const { return anchor_ != nullptr; }

private:
    Anchor* anchor_ = nullptr;
};

}  // namespace post::core
