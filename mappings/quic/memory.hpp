// Memory: what ngtcp2 holds for one connection, counted. Data behind a hole wait in there, and how
// much they cost is the peer's choice: a stream of single bytes with gaps weighs fifty times what
// flow control counts of it (ATTACKS A11).
#pragma once

#include <malloc.h>

#include <cstddef>
#include <cstdlib>

#include <ngtcp2/ngtcp2.h>

namespace post::quic {

// Outlives the connection that it was given to, and stays where it is.
class Memory {
public:
    Memory() = default;
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    const ngtcp2_mem* native() const { return &native_; }
    std::size_t used() const { return used_; }  // bytes

private:
    static Memory& of(void* user_data) { return *static_cast<Memory*>(user_data); }
    static void* allocate(std::size_t size, void* user_data) {
        return of(user_data).count(std::malloc(size));
    }
    static void release(void* place, void* user_data) {
        of(user_data).used_ -= malloc_usable_size(place);
        std::free(place);
    }
    static void* allocate_zeros(std::size_t number, std::size_t size, void* user_data) {
        return of(user_data).count(std::calloc(number, size));
    }
    static void* resize(void* place, std::size_t size, void* user_data) {
        const auto before = malloc_usable_size(place);
        void* moved = std::realloc(place, size);
        if (moved == nullptr) return nullptr;
        of(user_data).used_ -= before;
        return of(user_data).count(moved);
    }
    void* count(void* place) {
        used_ += malloc_usable_size(place);
        return place;
    }

    ngtcp2_mem native_{this, allocate, release, allocate_zeros, resize};
    std::size_t used_ = 0;
};

}  // namespace post::quic
