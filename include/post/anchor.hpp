// Anchor: what handles hold of their Context. It is counted and outlives the Context; when that is
// gone both pointers are null and every call answers context_closed. For the library.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace post::core {

class Carriers;
class Root;

class Anchor {
public:
    Anchor() = default;
    Anchor(const Anchor&) = delete;
    Anchor& operator=(const Anchor&) = delete;
    ~Anchor();

    // Memory for an operation that waits. It is kept for the next one when that is over, so that
    // waiting again and again takes nothing from the heap.
    void* take(std::size_t size);
    static void give(void* memory) noexcept;

    Carriers* carriers = nullptr;
    Root* root = nullptr;
    std::uint32_t count = 0;  // of handles, and memory in use; one thread, so no atomic

private:
    struct Piece;
    static constexpr std::size_t step = 64;
    static constexpr std::size_t kinds = 9;  // by their size: up to 512 bytes
    static constexpr std::uint32_t most_kept = 64;

    std::array<Piece*, kinds> spare_{};
    std::array<std::uint32_t, kinds> kept_{};
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
