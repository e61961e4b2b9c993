// Ring: a queue in one piece of memory that grows by doubling and never shrinks until it is
// destroyed. What std::deque is for, at a tenth of the memory when it is short.
#pragma once

#include <cassert>
#include <cstddef>
#include <memory>
#include <utility>

namespace post::core {

template <class T> class Ring {
public:
    Ring() = default;
    Ring(Ring&& other) noexcept { swap(other); }
    Ring& operator=(Ring&& other) noexcept {
        swap(other);
        return *this;
    }
    ~Ring() {
        clear();
        std::allocator<T>{}.deallocate(slots_, capacity_);
    }

    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }
    std::size_t capacity() const { return capacity_; }
    T& operator[](std::size_t i) { return slots_[(head_ + i) & (capacity_ - 1)]; }
    const T& operator[](std::size_t i) const { return slots_[(head_ + i) & (capacity_ - 1)]; }
    T& front() { return (*this)[0]; }
    const T& front() const { return (*this)[0]; }
    T& back() { return (*this)[size_ - 1]; }

    T& push(T value) { return emplace(std::move(value)); }
    template <class... Args> T& emplace(Args&&... args) {
        if (size_ == capacity_) grow();
        T* slot = &slots_[(head_ + size_) & (capacity_ - 1)];
        std::construct_at(slot, std::forward<Args>(args)...);
        ++size_;
        return *slot;
    }
    void pop() {
        assert(size_ > 0);
        std::destroy_at(&front());
        head_ = (head_ + 1) & (capacity_ - 1);
        --size_;
    }
    void pop_back() {
        assert(size_ > 0);
        std::destroy_at(&back());
        --size_;
    }
    void clear() {
        while (!empty()) pop();
    }

private:
    void swap(Ring& other) noexcept {
        std::swap(slots_, other.slots_);
        std::swap(capacity_, other.capacity_);
        std::swap(head_, other.head_);
        std::swap(size_, other.size_);
    }
    void grow() {
        const std::size_t capacity = capacity_ ? capacity_ * 2 : 4;
        T* slots = std::allocator<T>{}.allocate(capacity);
        for (std::size_t i = 0; i < size_; ++i) {
            std::construct_at(slots + i, std::move((*this)[i]));
            std::destroy_at(&(*this)[i]);
        }
        if (slots_) std::allocator<T>{}.deallocate(slots_, capacity_);
        slots_ = slots;
        capacity_ = capacity;
        head_ = 0;
    }

    T* slots_ = nullptr;
    std::size_t capacity_ = 0;  // a power of two
    std::size_t head_ = 0;
    std::size_t size_ = 0;
};

}  // namespace post::core
