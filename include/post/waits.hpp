// Several waits as one: all, any, a timeout, and a wait that can be cancelled. Each of them is an
// Awaitable itself, so they nest: co_await timeout(any(a, b), 2s).
//
//   auto [first, second] = co_await all(one.receive(), other.receive());      // a Result each
//   auto [message, fork] = co_await any(carrier.receive(), carrier.accept()); // an optional Result
//   auto reply = co_await timeout(carrier.receive(), 2s);                     // or Errc::timed_out
//   auto fate = co_await carrier.deliver("hello");                            // until it is acked
//
// To cancel a wait is to forget it, never to cancel what it waited for: a message that was sent
// goes on to its fate, and one that arrives goes to the next receive. Whatever is there when a wait
// ends is given; nothing is lost between the answer and the end of a wait.
//
// An operation that is given as a temporary is dropped with the wait: a send whose message had
// found no room yet ends as failed(would_block) then, like any send that is dropped. One that is
// given by its name stays the caller's and may be waited for again; but an answer is there once,
// and who got it puts another operation into the variable before the next wait.
//
// They hold everything in themselves, in the coroutine's frame where they are awaited: none of them
// takes memory from the heap.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <post/alarm.hpp>
#include <post/operation.hpp>

namespace post {

namespace waits {

template <class O>
concept Given = Awaitable<std::remove_cvref_t<O>>;  // a temporary, or a variable of the caller's

// What several have in common. Nobody moves one that is waited for: its operations know its place.
template <class... Os> class Several {
public:
    explicit Several(Os&&... operations) : operations_(std::forward<Os>(operations)...) {}
    Several(Several&&) = default;
    ~Several() { quiet(); }

    void quiet() {
        resume_ = {};
        each([](auto& operation) { operation.quiet(); });
    }
    const core::AnchorRef& anchor() const { return std::get<0>(operations_).anchor(); }

protected:
    template <class Visit> void each(Visit&& visit) {
        std::apply([&](auto&... operation) { (visit(operation), ...); }, operations_);
    }
    std::size_t count_ready() {
        std::size_t ready = 0;
        each([&](auto& operation) { ready += operation.ready() ? 1 : 0; });
        return ready;
    }
    void resume() {
        auto waiter = std::move(resume_);
        quiet();
        if (waiter) waiter();
    }

    std::tuple<Os...> operations_;
    Function<void()> resume_;
};

template <class... Os> class All : public Several<Os...> {
public:
    using Answer = std::tuple<typename std::remove_cvref_t<Os>::Answer...>;
    using Several<Os...>::Several;

    bool ready() { return this->count_ready() == sizeof...(Os); }
    Answer get() {
        return std::apply([](auto&... operation) { return Answer{operation.get()...}; },
                          this->operations_);
    }
    void notify(Function<void()> waiter) {
        this->resume_ = std::move(waiter);
        left_ = sizeof...(Os) - this->count_ready();
        this->each([this](auto& operation) {
            if (operation.ready()) return;
            operation.notify([this] {
                if (--left_ == 0) this->resume();
            });
        });
    }

private:
    std::size_t left_ = 0;
};

template <class... Os> class Any : public Several<Os...> {
public:
    using Answer = std::tuple<std::optional<typename std::remove_cvref_t<Os>::Answer>...>;
    using Several<Os...>::Several;

    bool ready() { return this->count_ready() > 0; }
    Answer get() {
        return std::apply([](auto&... operation) { return Answer{taken(operation)...}; },
                          this->operations_);
    }
    void notify(Function<void()> waiter) {
        this->resume_ = std::move(waiter);
        this->each([this](auto& operation) { operation.notify([this] { this->resume(); }); });
    }

private:
    template <class O> static std::optional<typename O::Answer> taken(O& operation) {
        if (!operation.ready()) return std::nullopt;
        return operation.get();
    }
};

// Operations in an array of the caller's; the answer says which, and they have the rest.
template <Awaitable O, bool every> class Range {
public:
    using Answer = std::conditional_t<every, std::span<O>, std::size_t>;

    explicit Range(std::span<O> operations) : operations_(operations) {
        if (!operations.empty()) anchor_ = operations.front().anchor();
    }
    Range(Range&&) = default;
    ~Range() { quiet(); }

    bool ready() {
        const std::size_t answered = count_ready();
        return every ? answered == operations_.size() : answered > 0;
    }
    Answer get() {
        if constexpr (every) {
            return operations_;
        } else {
            std::size_t first = 0;
            while (!operations_[first].ready()) ++first;
            return first;
        }
    }
    void notify(Function<void()> waiter) {
        resume_ = std::move(waiter);
        left_ = every ? operations_.size() - count_ready() : 1;
        for (O& operation : operations_)
            if (!operation.ready())
                operation.notify([this] {
                    if (--left_ == 0) resume();
                });
    }
    void quiet() {
        resume_ = {};
        for (O& operation : operations_) operation.quiet();
    }
    const core::AnchorRef& anchor() const { return anchor_; }

private:
    std::size_t count_ready() {
        std::size_t answered = 0;
        for (O& operation : operations_) answered += operation.ready() ? 1 : 0;
        return answered;
    }
    void resume() {
        auto waiter = std::move(resume_);
        quiet();
        if (waiter) waiter();
    }

    std::span<O> operations_;
    core::AnchorRef anchor_;
    std::size_t left_ = 0;
    Function<void()> resume_;
};

template <class A> struct OrError { using type = Result<A>; };
template <class T> struct OrError<Result<T>> { using type = Result<T>; };

}  // namespace waits

// Until every one has its answer: a tuple of the answers, in the order of the arguments.
template <waits::Given... Os>
requires(sizeof...(Os) > 0) waits::All<Os...> all(Os&&... operations) {
    return waits::All<Os...>(std::forward<Os>(operations)...);
}

// Until the first has its answer: a tuple of optional answers, in the order of the arguments, with
// the answer of each that has one by then; at least one.
template <waits::Given... Os>
requires(sizeof...(Os) > 0) waits::Any<Os...> any(Os&&... operations) {
    return waits::Any<Os...>(std::forward<Os>(operations)...);
}

// The same for any number of operations, which stay the caller's, and where they are until then.
// All of them are ready() afterwards; or the one whose place is the answer, the first if there are
// more.
template <Awaitable O> waits::Range<O, true> all(std::span<O> operations) {
    return waits::Range<O, true>(operations);
}
template <Awaitable O> waits::Range<O, true> all(std::vector<O>& operations) {
    return waits::Range<O, true>(operations);
}
// Of none of them at all any() never has an answer.
template <Awaitable O> waits::Range<O, false> any(std::span<O> operations) {
    return waits::Range<O, false>(operations);
}
template <Awaitable O> waits::Range<O, false> any(std::vector<O>& operations) {
    return waits::Range<O, false>(operations);
}

namespace waits {

// An operation and what may end the wait for it early.
template <class O> class Limited {
public:
    using Inner = std::remove_cvref_t<O>;
    using Answer = typename OrError<typename Inner::Answer>::type;

    explicit Limited(O&& operation) : operation_(std::forward<O>(operation)) {}
    Limited(Limited&& other) : operation_(std::forward<O>(other.operation_)) {}
    ~Limited() { quiet(); }

    bool ready() { return given_up_ || operation_.ready(); }
    // Who comes last is still in time, as long as nobody has been told.
    Answer get() {
        if (operation_.ready()) return operation_.get();
        return Answer(Error(*given_up_));
    }
    void quiet() {
        resume_ = {};
        alarm_.cancel();
        operation_.quiet();
    }
    const core::AnchorRef& anchor() const { return operation_.anchor(); }

protected:
    void wait(Function<void()> waiter) {
        resume_ = std::move(waiter);
        if (!operation_.ready()) operation_.notify([this] { resume(); });
    }
    void give_up_after(Duration limit, Errc why) {
        alarm_.set(anchor(), limit, [this, why] {
            given_up_ = why;
            resume();
        });
    }

private:
    void resume() {
        auto waiter = std::move(resume_);
        quiet();
        if (waiter) waiter();
    }

    O operation_;
    Function<void()> resume_;
    core::Alarm alarm_;
    std::optional<Errc> given_up_;
};

template <class O> class Timeout final : public Limited<O> {
public:
    Timeout(O&& operation, Duration limit)
        : Limited<O>(std::forward<O>(operation)), limit_(limit) {}
    void notify(Function<void()> waiter) {
        this->wait(std::move(waiter));
        this->give_up_after(limit_, Errc::timed_out);
    }

private:
    Duration limit_;
};

}  // namespace waits

// Until the operation has its answer, for at most `limit`: then Errc::timed_out. It counts from the
// turn in which the waiting begins.
template <waits::Given O> waits::Timeout<O> timeout(O&& operation, Duration limit) {
    return waits::Timeout<O>(std::forward<O>(operation), limit);
}

// Ends waits from elsewhere: those that are under way under its name, and all later ones, with
// Errc::cancelled. It may go before them; then nobody cancels them any more. Of the same thread.
class Cancellation {
public:
    Cancellation() = default;
    Cancellation(const Cancellation&) = delete;
    Cancellation& operator=(const Cancellation&) = delete;
    ~Cancellation() {
        while (first_) first_->leave();
    }

    // The waits end from a turn of their Context, never from inside this call.
    void cancel() {
        cancelled_ = true;
        while (Wait* wait = first_) {
            wait->leave();
            wait->cancel();
        }
    }
    bool cancelled() const { return cancelled_; }

    // For cancellable(): one wait, in the list of its Cancellation.
    class Wait {
    public:
        Wait() = default;
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        virtual ~Wait() { leave(); }

    protected:
        virtual void cancel() = 0;
        void enter(Cancellation& list) {
            list_ = &list;
            next_ = list.first_;
            if (next_) next_->previous_ = this;
            list.first_ = this;
        }
        void leave() {
            if (!list_) return;
            (previous_ ? previous_->next_ : list_->first_) = next_;
            if (next_) next_->previous_ = previous_;
            list_ = nullptr;
            next_ = previous_ = nullptr;
        }

    private:
        friend class Cancellation;
        Cancellation* list_ = nullptr;
        Wait* next_ = nullptr;
        Wait* previous_ = nullptr;
    };

private:
    Wait* first_ = nullptr;
    bool cancelled_ = false;
};

namespace waits {

template <class O> class Cancellable final : public Limited<O>, private Cancellation::Wait {
public:
    Cancellable(O&& operation, Cancellation& by)
        : Limited<O>(std::forward<O>(operation)), by_(by) {}
    Cancellable(Cancellable&& other) : Limited<O>(std::move(other)), by_(other.by_) {}
    void notify(Function<void()> waiter) {
        this->wait(std::move(waiter));
        if (by_.cancelled()) return cancel();
        enter(by_);
    }
    void quiet() {
        leave();
        Limited<O>::quiet();
    }

private:
    void cancel() override { this->give_up_after(Duration::zero(), Errc::cancelled); }

    Cancellation& by_;
};

}  // namespace waits

// Until the operation has its answer or `by` is cancelled. `by` stays alive until the wait begins.
template <waits::Given O> waits::Cancellable<O> cancellable(O&& operation, Cancellation& by) {
    return waits::Cancellable<O>(std::forward<O>(operation), by);
}

}  // namespace post
