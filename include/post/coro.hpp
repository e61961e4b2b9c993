// Coroutines over operations: co_await on any Operation, and Task<>, a coroutine that starts at its
// call. Several waits as one, timeouts and cancellation are in post/waits.hpp, which comes along.
// Nothing else of the library knows coroutines.
//
// g++ 12.0 to 12.2 misplaces the frame of a coroutine whose outermost block declares no variable
// while an await stands in a condition, if (co_await ...) or while (co_await ...) (GCC bug 106188,
// fixed in 12.3): declare one there. Such a frame is recognised when it first waits, and the
// program ended with a line that says so, instead of jumping to nowhere later. They also destroy
// twice what the braces of an aggregate make inside the expression of an await: give options that
// hold more than numbers, and values in braces, a name before co_await.
//
//   co_await operation    gives Result<T>: a value, or the error (its Answer, for other Awaitables)
//   co_await task         gives what the task returned, or throws what it threw
//
// A Task that is dropped goes on by itself; an exception that leaves it then reaches on_unhandled
// of the Context whose operation it awaited last. When a Context goes, every wait in it ends with
// context_closed. A coroutine may be destroyed while it waits: the wait is forgotten, not the work.
#pragma once

#include <coroutine>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <post/carrier.hpp>
#include <post/operation.hpp>
#include <post/waits.hpp>

namespace post {

template <class T = void> class Task;

namespace coro {

inline constexpr bool misplaces_frames =
#if defined(__GNUC__) && !defined(__clang__)
    __GNUC__ == 12 && __GNUC_MINOR__ < 3;
#else
    false;
#endif

// A good frame begins with the address of a function.
inline void check_frame(std::coroutine_handle<> frame) {
    if constexpr (misplaces_frames) {
        std::uintptr_t first = 0;
        std::memcpy(&first, frame.address(), sizeof first);
        if (first >= 4096) return;
        std::fputs(
            "post: this compiler misplaced the frame of a coroutine that awaits in a "
            "condition and declares no variable (GCC bug 106188): declare one in its "
            "outermost block\n",
            stderr);
        std::abort();
    }
}

// Of an operation, which it holds, or of another Awaitable& that stays where it is.
template <class O> class Await {
public:
    explicit Await(O&& operation) : operation_(std::forward<O>(operation)) {}
    Await(const Await&) = delete;
    Await& operator=(const Await&) = delete;
    bool await_ready() { return operation_.ready(); }
    void await_suspend(std::coroutine_handle<> waiter) {
        check_frame(waiter);
        operation_.notify([waiter] { waiter.resume(); });
    }
    auto await_resume() { return operation_.get(); }

private:
    O operation_;
};

inline Error error_of(std::exception_ptr exception) {
    try {
        std::rethrow_exception(std::move(exception));
    } catch (const Failure& failure) {
        return failure.error();
    } catch (const std::exception& other) {
        return Error(Errc::exception, {}, Stage::none, Bytes(std::string_view(other.what())));
    } catch (...) {
        return Error(Errc::exception);
    }
}

struct PromiseBase {
    std::coroutine_handle<> continuation;
    std::exception_ptr exception;
    core::AnchorRef anchor;  // of the operation awaited last
    bool detached = false;   // the Task was dropped: the frame ends by itself

    // Cleared where the frame's first word belongs, for check_frame.
    static void* operator new(std::size_t size) {
        void* frame = ::operator new(size);
        std::memset(frame, 0, sizeof(std::uintptr_t));
        return frame;
    }
    static void operator delete(void* frame) { ::operator delete(frame); }

    std::suspend_never initial_suspend() noexcept { return {}; }
    void unhandled_exception() { exception = std::current_exception(); }

    // An operation is used up, also one that is given by its name.
    template <class T> Await<Operation<T>> await_transform(Operation<T>&& operation) {
        anchor = operation.anchor();
        return Await<Operation<T>>(std::move(operation));
    }
    template <class T> Await<Operation<T>> await_transform(Operation<T>& operation) {
        return await_transform(std::move(operation));
    }
    Await<Operation<MessageId>> await_transform(Sending&& sending) {
        return await_transform(static_cast<Operation<MessageId>&&>(sending));
    }
    Await<Operation<MessageId>> await_transform(Sending& sending) {
        return await_transform(std::move(sending));
    }
    // Everything else lives in the frame for as long as the await does, as awaiters do.
    template <class Other> decltype(auto) await_transform(Other&& other) {
        using O = std::remove_reference_t<Other>;
        if constexpr (Awaitable<O>) {
            anchor = other.anchor();
            return Await<O&>(static_cast<O&>(other));
        } else {
            return std::forward<Other>(other);
        }
    }

    void report() {
        if (exception) core::unhandled(anchor, error_of(std::exchange(exception, nullptr)));
    }
};

struct Final {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
        Promise& promise = self.promise();
        if (promise.continuation) return promise.continuation;
        if (promise.detached) {
            promise.report();
            self.destroy();
        }
        return std::noop_coroutine();
    }
    void await_resume() noexcept {}
};

template <class T> struct Promise : PromiseBase {
    std::optional<T> value;
    Task<T> get_return_object();
    Final final_suspend() noexcept { return {}; }
    void return_value(T result) { value.emplace(std::move(result)); }
    T take() { return std::move(*value); }
};

template <> struct Promise<void> : PromiseBase {
    Task<void> get_return_object();
    Final final_suspend() noexcept { return {}; }
    void return_void() {}
    void take() {}
};

}  // namespace coro

template <class T> class Task {
public:
    using promise_type = coro::Promise<T>;

    explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
    Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    Task& operator=(Task&& other) noexcept {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~Task() {
        if (!frame_) return;
        if (!frame_.done()) {
            frame_.promise().detached = true;
            frame_.promise().continuation = {};  // whoever awaited us is gone with the Task
            return;
        }
        frame_.promise().report();
        frame_.destroy();
    }

    bool done() const { return frame_.done(); }

    auto operator co_await() && noexcept {
        struct Awaiter {
            std::coroutine_handle<promise_type> frame;
            bool await_ready() const noexcept { return frame.done(); }
            void await_suspend(std::coroutine_handle<> waiter) noexcept {
                coro::check_frame(waiter);
                frame.promise().continuation = waiter;
            }
            T await_resume() {
                if (auto exception = std::exchange(frame.promise().exception, nullptr))
                    std::rethrow_exception(exception);
                return frame.promise().take();
            }
        };
        return Awaiter{frame_};
    }

private:
    std::coroutine_handle<promise_type> frame_;
};

template <class T> Task<T> coro::Promise<T>::get_return_object() {
    return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}

inline Task<void> coro::Promise<void>::get_return_object() {
    return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
}

}  // namespace post
