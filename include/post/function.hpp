// Function: a callable that is moved and never copied, so that a callback may own a Carrier. Up to
// six words are kept inside; larger ones cost one allocation. (std::move_only_function, until the
// compilers have it.)
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace post {

template <class Signature> class Function;

template <class R, class... Args> class Function<R(Args...)> {
public:
    Function() = default;
    Function(std::nullptr_t) {}
    template <class F>
    requires(!std::is_same_v<std::decay_t<F>, Function> &&
             std::is_invocable_r_v<R, std::decay_t<F>&, Args...>) Function(F&& callable) {
        using Callable = std::decay_t<F>;
        if constexpr (fits<Callable>) {
            new (space_) Callable(std::forward<F>(callable));
            table_ = &inside<Callable>;
        } else {
            *reinterpret_cast<Callable**>(space_) = new Callable(std::forward<F>(callable));
            table_ = &outside<Callable>;
        }
    }
    Function(Function&& other) noexcept : table_(std::exchange(other.table_, nullptr)) {
        if (table_) table_->move(space_, other.space_);
    }
    Function& operator=(Function&& other) noexcept {
        if (this != &other) {
            reset();
            table_ = std::exchange(other.table_, nullptr);
            if (table_) table_->move(space_, other.space_);
        }
        return *this;
    }
    ~Function() { reset(); }

    explicit operator bool() const { return table_ != nullptr; }
    R operator()(Args... args) { return table_->call(space_, std::forward<Args>(args)...); }
    // The same without a move on the way: what it does not take of them the caller still has.
    R lend(Args&&... args) { return table_->call(space_, std::forward<Args>(args)...); }

private:
    static constexpr std::size_t inside_size = 6 * sizeof(void*);

    struct Table {
        R (*call)(std::byte*, Args&&...);
        void (*move)(std::byte* to, std::byte* from) noexcept;
        void (*destroy)(std::byte*) noexcept;
    };

    template <class C>
    static constexpr bool fits =
        sizeof(C) <= inside_size &&
        alignof(C) <= alignof(void*) && std::is_nothrow_move_constructible_v<C>;

    template <class C> static C& in(std::byte* space) {
        return *std::launder(reinterpret_cast<C*>(space));
    }

    template <class C> static R invoke(C& callable, Args&&... args) {
        if constexpr (std::is_void_v<R>)
            callable(std::forward<Args>(args)...);
        else
            return callable(std::forward<Args>(args)...);
    }

    template <class C>
    static constexpr Table inside = {[](std::byte* space, Args&&... args) -> R {
                                         return invoke(in<C>(space), std::forward<Args>(args)...);
                                     },
                                     [](std::byte* to, std::byte* from) noexcept {
                                         new (to) C(std::move(in<C>(from)));
                                         in<C>(from).~C();
                                     },
                                     [](std::byte* space) noexcept { in<C>(space).~C(); }};

    template <class C>
    static constexpr Table outside = {
        [](std::byte* space, Args&&... args) -> R {
            return invoke(**reinterpret_cast<C**>(space), std::forward<Args>(args)...);
        },
        [](std::byte* to, std::byte* from) noexcept {
            *reinterpret_cast<C**>(to) = *reinterpret_cast<C**>(from);
        },
        [](std::byte* space) noexcept { delete *reinterpret_cast<C**>(space); }};

    void reset() noexcept {
        if (auto* table = std::exchange(table_, nullptr)) table->destroy(space_);
    }

    alignas(void*) std::byte space_[inside_size];
    const Table* table_ = nullptr;
};

}  // namespace post
