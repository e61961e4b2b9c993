// Post on standalone Asio (1.22 or newer): an AsioLoop turns a Context on an executor of Asio's,
// and waits for operations with completion tokens.
//
//   asio::io_context io;
//   post::Context context;
//   post::AsioLoop loop(io, context);          // declared behind both, gone before them
//   asio::co_spawn(io, talk(loop, context.initiate("post://example.net")), asio::detached);
//   io.run();
//
//   auto message = co_await loop.wait(carrier.receive(), asio::use_awaitable);  // a Result
//   auto fate = loop.wait(carrier.deliver("hello"), asio::use_future);  // std::future of a Result
//   loop.wait(carrier.accept(), [](post::Result<post::Carrier> fork) { ... });
//
// The signature of a completion is void(Answer), for most operations void(Result<T>): as elsewhere
// what the network does is a value and not an exception. Handlers are called on their associated
// executor, and where they have none on the loop's, never from inside wait().
//
// One thread, or one strand, has the Context and everything that hangs on it: give the AsioLoop
// that strand, or an io_context that one thread runs. Calls of the library may be made from any
// handler there; the loop hears of them and turns. An exception of a callback leaves the run() of
// Asio, and the next run() goes on. The loop always waits, so run() returns when it is stopped or
// the loop is gone.
#pragma once

#include <chrono>
#include <memory>
#include <type_traits>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/dispatch.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <post/context.hpp>
#include <post/waits.hpp>

namespace post {

namespace on_asio {

// What an operation and its handler share until the handler has its answer.
template <class O, class Handler>
class Pending : public std::enable_shared_from_this<Pending<O, Handler>> {
public:
    using Answer = typename waits::OrError<typename O::Answer>::type;

    Pending(O&& operation, Handler&& handler, const asio::any_io_executor& otherwise)
        : operation_(std::move(operation)),
          handler_(std::move(handler)),
          executor_(asio::get_associated_executor(handler_, otherwise)),
          work_(executor_) {}

    void begin() {
        if (auto slot = asio::get_associated_cancellation_slot(handler_); slot.is_connected())
            slot.assign([weak = this->weak_from_this()](asio::cancellation_type) {
                if (auto self = weak.lock()) self->cancel();
            });
        if (operation_.ready()) return post(Answer(operation_.get()));
        operation_.notify([self = this->shared_from_this()] {
            if (!self->begin_end()) return;
            Answer answer = self->operation_.get();
            asio::dispatch(self->executor_, [self, answer = std::move(answer)]() mutable {
                self->complete(std::move(answer));
            });
        });
    }

private:
    // The wait ends; what it waited for does not. An answer that is there already is given.
    void cancel() {
        const auto self = this->shared_from_this();  // the operation held the other reference
        if (!begin_end()) return;
        operation_.quiet();
        post(operation_.ready() ? Answer(operation_.get()) : Answer(Error(Errc::cancelled)));
    }
    void post(Answer answer) {
        ended_ = true;
        asio::post(executor_,
                   [self = this->shared_from_this(), answer = std::move(answer)]() mutable {
                       self->complete(std::move(answer));
                   });
    }
    bool begin_end() { return !std::exchange(ended_, true); }
    void complete(Answer answer) {
        if (auto slot = asio::get_associated_cancellation_slot(handler_); slot.is_connected())
            slot.clear();
        auto handler = std::move(handler_);
        work_.reset();
        std::move(handler)(std::move(answer));
    }

    using Executor = asio::associated_executor_t<Handler, asio::any_io_executor>;

    O operation_;
    Handler handler_;
    Executor executor_;
    asio::executor_work_guard<Executor> work_;
    bool ended_ = false;
};

}  // namespace on_asio

class AsioLoop {
public:
    AsioLoop(asio::any_io_executor executor, Context& context)
        : state_(std::make_shared<State>(std::move(executor), context)) {
        context.on_use([state = state_] { state->turn_soon(); });
        state_->turn_soon();
    }
    AsioLoop(asio::io_context& io, Context& context) : AsioLoop(io.get_executor(), context) {}
    AsioLoop(const AsioLoop&) = delete;
    AsioLoop& operator=(const AsioLoop&) = delete;
    ~AsioLoop() { state_->end(); }

    asio::any_io_executor get_executor() const { return state_->executor; }

    // Waits for any Awaitable, also several as one (post/waits.hpp), which is moved in. The token's
    // cancellation (asio::cancellation_slot, awaitable operators, parallel groups) ends the wait
    // with Errc::cancelled, and not what it waited for. What a codec throws while it decodes leaves
    // the turn as an exception of a callback, and the handler is dropped.
    template <Awaitable O, class Token> auto wait(O operation, Token&& token) {
        using Answer = typename waits::OrError<typename O::Answer>::type;
        return asio::async_initiate<Token, void(Answer)>(
            [executor = state_->executor](auto handler, O begun) {
                using Handler = std::decay_t<decltype(handler)>;
                std::make_shared<on_asio::Pending<O, Handler>>(std::move(begun), std::move(handler),
                                                               executor)
                    ->begin();
            },
            token, std::move(operation));
    }

private:
    // Handlers share it, since they may come when the loop is gone already.
    struct State : std::enable_shared_from_this<State> {
        State(asio::any_io_executor on, Context& of)
            : executor(std::move(on)), context(&of), input(executor, of.fd()), timer(executor) {}

        void turn_soon() {
            if (!context || std::exchange(soon, true)) return;
            asio::post(executor, [self = shared_from_this()] {
                self->soon = false;
                self->turn();
            });
        }
        void turn() {
            if (!context) return;
            bool more = true;
            try {
                more = context->turn();
            } catch (...) {
                turn_soon();
                throw;
            }
            if (!context) return;  // the loop went in a callback
            if (more || context->deadline() <= context->now()) return turn_soon();
            wait_for_input();
            wait_for_time();
        }
        void wait_for_input() {
            if (std::exchange(waits, true)) return;
            input.async_wait(asio::posix::stream_descriptor::wait_read,
                             [self = shared_from_this()](const std::error_code&) {
                                 self->waits = false;
                                 self->turn();
                             });
        }
        void wait_for_time() {
            const Instant deadline = context->deadline();
            if (std::exchange(alarm, deadline) == deadline) return;
            if (deadline == never) return void(timer.cancel());
            // Asio counts in the nanoseconds of the same clock, whose origin is not ours.
            timer.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(
                deadline - context->now()));
            timer.async_wait([self = shared_from_this()](const std::error_code& error) {
                if (error) return;  // set anew, or the end
                self->alarm = never;
                self->turn();
            });
        }
        void end() {
            context->on_use({});
            context = nullptr;
            input.release();  // the descriptor is the Context's
            timer.cancel();
        }

        asio::any_io_executor executor;
        Context* context;
        asio::posix::stream_descriptor input;
        asio::steady_timer timer;
        Instant alarm = never;  // what the timer is set to
        bool soon = false;      // a turn is posted
        bool waits = false;     // for input
    };

    std::shared_ptr<State> state_;
};

}  // namespace post
