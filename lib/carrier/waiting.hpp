// How operations get their answers: templates that carriers.cpp and dispatch.cpp share.
#pragma once

#include "lib/carrier/carriers.hpp"

namespace post::core {

template <class W> WaitingRef<W> Carriers::wait(std::vector<WaitingRef<W>>& queue) {
    std::erase_if(queue, [](const auto& waiting) { return !waiting->wanted; });
    WaitingRef<W> waiting(new (anchor_) W);
    queue.push_back(waiting);
    ++awaited_;
    return waiting;
}

template <class T> void Carriers::answer(const WaitingRef<Waiting<T>>& waiting, Result<T> result) {
    if (waiting->answer) return;
    waiting->answer.emplace(std::move(result));
    if (!waiting->wanted) return;
    --awaited_;
    if (waiting->notify) listened(waiting);
}

template <class W> void Carriers::fail_all(std::vector<WaitingRef<W>>& queue, const Error& error) {
    using Value = typename W::Value;
    for (const auto& waiting : std::exchange(queue, {}))
        answer<Value>(waiting, Result<Value>(error));
}

// Does something when its scope ends, by an exception too.
template <class Action> struct Finally {
    Action action;
    ~Finally() { action(); }
};
template <class Action> Finally(Action) -> Finally<Action>;

}  // namespace post::core
