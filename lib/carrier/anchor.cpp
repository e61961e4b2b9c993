// The memory of operations that wait.
#include <post/anchor.hpp>

#include <cstddef>
#include <new>

namespace post::core {

// What stands in front of the memory that is given out.
struct alignas(std::max_align_t) Anchor::Piece {
    Anchor* home = nullptr;
    Piece* next = nullptr;
    std::size_t kind = 0;
};

Anchor::~Anchor() {
    for (Piece* first : spare_)
        while (first) ::operator delete(std::exchange(first, first->next));
}

void* Anchor::take(std::size_t size) {
    const std::size_t kind = (size + step - 1) / step;
    Piece* piece = kind < kinds ? spare_[kind] : nullptr;
    if (piece) {
        spare_[kind] = piece->next;
        --kept_[kind];
    } else {
        piece = new (::operator new(sizeof(Piece) + kind * step)) Piece{this, nullptr, kind};
    }
    ++count;
    return piece + 1;
}

void Anchor::give(void* memory) noexcept {
    Piece* const piece = static_cast<Piece*>(memory) - 1;
    Anchor* const home = piece->home;
    const std::size_t kind = piece->kind;
    if (kind < kinds && home->kept_[kind] < most_kept) {
        piece->next = std::exchange(home->spare_[kind], piece);
        ++home->kept_[kind];
    } else {
        ::operator delete(piece);
    }
    if (--home->count == 0) delete home;
}

}  // namespace post::core
