// Responder (draft 2.1.4, Figure 4; paper II.A): receives Messages from many remotes, and gets with
// each of them a Source to send replies to: a server that only ever answers is one function.
//
//   post::respond(context.listen({.port = 4433, .identity = identity}),
//                 [](post::InMessage request, post::Source reply) {
//                     reply.send(std::move(request).content(), {.final = true});
//                 });
//
// The reply goes out on the Carrier that its Message came on, which may be a fork. A Source may be
// kept and used later, more than once, for as long as its Carrier lives: until it is used with
// `final`, its peer is gone, or the Carrier is closed by the dropping of the last Source after the
// peer has finished. For a Message of a peer's Source there is no way back: send answers
// no_return_path. Whom a reply goes to is what Source::association() says.
//
// The draft calls what the callback gets a Sink in its Appendix A, and a Source in 2.1.4 and here,
// since it is sent to.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <post/listener.hpp>

namespace post {

// Called with every Message of every Carrier, in the order of each, until it returns false: then
// the Responder takes no new peers, and each Carrier closes instead of giving out its next Message,
// when nobody holds a Source to it.
using OnRequest = Function<bool(InMessage, Source)>;

// A handle: the Responder lives in its Context, and dropping this changes nothing. close() ends it.
class Responder {
public:
    Responder() = default;
    Responder(Listener listener, OnRequest on_request)
        : state_(std::make_shared<State>(std::move(listener), std::move(on_request))) {
        state_->listener.accept([state = state_](Carrier carrier) {
            if (state->over) return false;
            carrier.ready([state](Carrier& from, InMessage request) {
                return respond(*state, from, std::move(request));
            });
            return true;
        });
    }

    explicit operator bool() const { return state_ && !state_->over; }
    // Where it listens.
    std::vector<Address> addresses() const {
        return state_ ? state_->listener.addresses() : std::vector<Address>{};
    }
    std::uint16_t port() const { return state_ ? state_->listener.port() : std::uint16_t{0}; }
    // As when the callback returned false. Replies may still be sent.
    void close() {
        if (state_) state_->end();
    }

private:
    struct State {
        State(Listener on, OnRequest call) : listener(std::move(on)), on_request(std::move(call)) {}
        void end() {
            over = true;
            listener.close();
        }
        Listener listener;
        OnRequest on_request;
        bool over = false;
    };

    static bool respond(State& state, Carrier& from, InMessage request) {
        if (state.over) return false;
        const auto paths = from.association().paths();
        if (!paths.empty()) request.come_by(paths.front());
        if (!state.on_request(std::move(request), Source(std::move(from)))) state.end();
        return !state.over;
    }

    std::shared_ptr<State> state_;
};

// The verb of the draft's Appendix A. The callback is an OnRequest, or returns nothing and goes on.
template <class Callback> Responder respond(Listener listener, Callback callback) {
    if constexpr (std::is_void_v<std::invoke_result_t<Callback&, InMessage, Source>>)
        return Responder(std::move(listener),
                         [callback = std::move(callback)](InMessage request, Source reply) mutable {
                             callback(std::move(request), std::move(reply));
                             return true;
                         });
    else
        return Responder(std::move(listener), std::move(callback));
}

}  // namespace post
