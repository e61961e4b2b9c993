// Carriers: who waits for what the root looks up.
#include "lib/carrier/waiting.hpp"

namespace post::core {

namespace {

template <class T, class Table> WaitingRef<Waiting<T>> extract(Table& table, std::uint64_t number) {
    auto node = table.extract(number);
    return node ? std::move(node.mapped()) : WaitingRef<Waiting<T>>();
}

}  // namespace

Operation<std::vector<Remote>> Carriers::wait_for_names(std::uint64_t number) {
    WaitingRef<Waiting<std::vector<Remote>>> waiting(new (anchor_) Waiting<std::vector<Remote>>);
    resolving_[number] = waiting;
    ++awaited_;
    return {waiting, anchor()};
}

Operation<Plan> Carriers::wait_for_plan(std::uint64_t number) {
    WaitingRef<Waiting<Plan>> waiting(new (anchor_) Waiting<Plan>);
    planning_[number] = waiting;
    ++awaited_;
    return {waiting, anchor()};
}

void Carriers::answer_names(std::uint64_t number, Result<std::vector<Remote>> found) {
    if (const auto waiting = extract<std::vector<Remote>>(resolving_, number))
        answer<std::vector<Remote>>(waiting, std::move(found));
}

void Carriers::answer_plan(std::uint64_t number, Result<Plan> plan) {
    if (const auto waiting = extract<Plan>(planning_, number))
        answer<Plan>(waiting, std::move(plan));
}

}  // namespace post::core
