// Operation<T>: the answer of a call that may have to wait. It starts when it is called, whether or
// not anybody waits; dropping it forgets the answer and not the work. There is no coroutine in it:
// post/coro.hpp gives it co_await, then() a callback, and ready() with get() a poll.
//
// The answer comes from a turn of the Context, never from inside the call that asked. When the
// Context goes first, the answer is Errc::context_closed. One thread: the Context's.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <post/anchor.hpp>
#include <post/function.hpp>
#include <post/result.hpp>

namespace post {

class Context;

namespace core {

// What an operation that waits shares with the library: one answer, one listener, two holders.
struct WaitingBase {
    WaitingBase() = default;
    WaitingBase(const WaitingBase&) = delete;
    WaitingBase& operator=(const WaitingBase&) = delete;
    virtual ~WaitingBase() = default;
    // In memory that the Context lends.
    static void* operator new(std::size_t size, Anchor& anchor) { return anchor.take(size); }
    static void operator delete(void* memory, Anchor&) noexcept { Anchor::give(memory); }
    static void operator delete(void* memory) noexcept { Anchor::give(memory); }

    virtual void fail(Error error) = 0;
    virtual bool answered() const = 0;
    virtual void dropped(Anchor&) {}  // the application let go before there was an answer
    Function<void()> notify;          // queued when the answer is there
    std::uint32_t count = 1;          // holders
    bool wanted = true;               // the application still holds its end
};

template <class T> struct Waiting : WaitingBase {
    using Value = T;
    std::optional<Result<T>> answer;
    bool answered() const override { return answer.has_value(); }
    void fail(Error error) override {
        if (!answer) answer.emplace(std::move(error));
    }
};

// A counted pointer to one; not thread-safe, as nothing of a Context is.
template <class W> class WaitingRef {
public:
    WaitingRef() = default;
    explicit WaitingRef(W* waiting) : waiting_(waiting) {}
    WaitingRef(const WaitingRef& other) : waiting_(other.waiting_) {
        if (waiting_) ++waiting_->count;
    }
    WaitingRef(WaitingRef&& other) noexcept : waiting_(std::exchange(other.waiting_, nullptr)) {}
    template <class Other> WaitingRef(const WaitingRef<Other>& other) : waiting_(other.get()) {
        if (waiting_) ++waiting_->count;
    }
    WaitingRef& operator=(WaitingRef other) noexcept {
        std::swap(waiting_, other.waiting_);
        return *this;
    }
    ~WaitingRef() {
        if (waiting_ && --waiting_->count == 0) delete waiting_;
    }
    W* get() const { return waiting_; }
    W* operator->() const { return waiting_; }
    explicit operator bool() const { return waiting_ != nullptr; }

private:
    W* waiting_ = nullptr;
};

// Whose memory a wait has; one that belongs to no Context has an Anchor of its own.
inline Anchor& home(const AnchorRef& anchor) { return anchor ? *anchor.get() : *new Anchor; }
// The application's end of a waiting operation was dropped, or got a listener.
void abandoned(const AnchorRef& anchor, WaitingBase& waiting);
void listened(const AnchorRef& anchor, WaitingRef<WaitingBase> waiting);
void unhandled(const AnchorRef& anchor, Error error);

}  // namespace core

template <class T> class Operation {
public:
    using Answer = Result<T>;

    // An operation whose answer is known at once.
    Operation(Result<T> answer, core::AnchorRef anchor = {})
        : answer_(std::move(answer)), anchor_(std::move(anchor)) {}
    template <class Value>
    Operation(std::in_place_t, Value&& value, core::AnchorRef anchor)
        : answer_(std::in_place, std::forward<Value>(value)), anchor_(std::move(anchor)) {}
    Operation(core::WaitingRef<core::Waiting<T>> waiting, core::AnchorRef anchor)
        : waiting_(std::move(waiting)), anchor_(std::move(anchor)) {}
    Operation(Operation&&) noexcept = default;
    Operation& operator=(Operation&& other) noexcept {
        if (this == &other) return *this;
        drop();
        answer_ = std::move(other.answer_);
        waiting_ = std::move(other.waiting_);
        anchor_ = std::move(other.anchor_);
        return *this;
    }
    ~Operation() { drop(); }

    // True when get() has the answer.
    bool ready() const { return answer_ || (waiting_ && waiting_->answer); }
    // The answer, once; only when ready().
    Result<T> get() { return answer_ ? std::move(*answer_) : std::move(*waiting_->answer); }
    // Calls `callback` with the answer from a turn of the Context; the operation is used up.
    void then(Function<void(Result<T>)> callback) && {
        auto waiting = std::move(waiting_);
        if (!waiting) {
            waiting = core::WaitingRef<core::Waiting<T>>(new (core::home(anchor_))
                                                             core::Waiting<T>);
            waiting->answer = std::move(answer_);
        }
        auto* state = waiting.get();  // lives while its notify does: the core holds both
        waiting->notify = [state, callback = std::move(callback)]() mutable {
            callback(std::move(*state->answer));
        };
        core::listened(anchor_, waiting);
    }

    // For adapters (post/coro.hpp): calls `resume` from a turn once the answer is there; the
    // operation must stay alive until then.
    void notify(Function<void()> resume) {
        waiting_->notify = std::move(resume);
        core::listened(anchor_, waiting_);
    }
    // Calls nobody any more; the answer still comes, and ready() and get() have it.
    void quiet() {
        if (waiting_) waiting_->notify = {};
    }
    const core::AnchorRef& anchor() const { return anchor_; }

private:
    void drop() {
        if (!waiting_) return;
        waiting_->notify = {};  // whoever listened is gone with us
        waiting_->wanted = false;
        if (!waiting_->answer) core::abandoned(anchor_, *waiting_.get());
    }

    std::optional<Result<T>> answer_;
    core::WaitingRef<core::Waiting<T>> waiting_;
    core::AnchorRef anchor_;
};

// What can be waited for as an Operation can: the values of a TypedCarrier (post/codec.hpp), and
// several operations as one (post/waits.hpp).
template <class O>
concept Awaitable = requires(O& operation, Function<void()> resume) {
    typename O::Answer;
    { operation.ready() } -> std::same_as<bool>;
    { operation.get() } -> std::same_as<typename O::Answer>;
    operation.notify(std::move(resume));
    operation.quiet();
    { operation.anchor() } -> std::convertible_to<const core::AnchorRef&>;
};

}  // namespace post
