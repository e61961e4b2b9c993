// Ring: a queue in one piece of memory that grows and is kept, so that a busy stream allocates
// nothing. push_back and pop_front; index 0 is the front.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace post::wire {

template <class T> class Ring {
public:
    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }
    std::size_t capacity() const { return capacity_; }
    T& operator[](std::size_t i) { return slots_[(head_ + i) & (capacity_ - 1)]; }
    const T& operator[](std::size_t i) const { return slots_[(head_ + i) & (capacity_ - 1)]; }
    T& front() { return (*this)[0]; }
    T& back() { return (*this)[size_ - 1]; }

    void push_back(T value) {
        if (size_ == capacity_) grow();
        slots_[(head_ + size_++) & (capacity_ - 1)] = std::move(value);
    }
    void pop_front() {
        front() = T{};  // what it held is released now, not when the slot is used again
        head_ = (head_ + 1) & (capacity_ - 1);
        --size_;
    }
    void clear() {
        while (!empty()) pop_front();
    }

private:
    void grow() {
        auto larger = capacity_ ? capacity_ * 2 : 4;
        auto slots = std::make_unique<T[]>(larger);
        for (std::size_t i = 0; i < size_; ++i) slots[i] = std::move((*this)[i]);
        slots_ = std::move(slots);
        capacity_ = larger;
        head_ = 0;
    }

    std::unique_ptr<T[]> slots_;
    std::size_t capacity_ = 0;  // a power of two, or 0
    std::size_t head_ = 0;
    std::size_t size_ = 0;
};

}  // namespace post::wire
