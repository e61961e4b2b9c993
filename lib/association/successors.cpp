// Who waits for whom, at the receiver.
#include "lib/association/successors.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

namespace post::core {

namespace {

Antecedent first_of(CarrierId carrier, NicenessClass niceness = {}) {
    return {carrier, niceness, Sequence{0}};
}

bool same_line(const Antecedent& a, const Antecedent& b) {
    return a.carrier == b.carrier && a.niceness == b.niceness;
}

}  // namespace

void Successors::add(const Antecedent& name, Waiting waiting) {
    for (const Antecedent& missing : waiting.missing) awaited_.emplace(missing, name);
    if (waiting.marks.ordered) ordered_.insert(name);
    if (waiting.deadline != never) deadlines_.emplace(waiting.deadline, name);
    if (waiting.failed || waiting.missing.empty()) changed_.push(name);
    const bool fresh = waiting_.emplace(name, std::move(waiting)).second;
    assert(fresh);
    (void)fresh;
}

Successors::Waiting* Successors::find(const Antecedent& name) {
    const auto at = waiting_.find(name);
    return at == waiting_.end() ? nullptr : &at->second;
}

void Successors::complete(const Antecedent& name, InMessage message) {
    Waiting& waiting = *find(name);
    waiting.message = std::move(message);
    waiting.whole = true;
    changed_.push(name);
}

bool Successors::in_line(const Antecedent& name) const {
    const auto first = ordered_.lower_bound(first_of(name.carrier, name.niceness));
    return first != ordered_.end() && same_line(*first, name) && first->sequence < name.sequence;
}

void Successors::settle(const Antecedent& first, std::uint64_t count, bool good) {
    const std::uint64_t most = std::numeric_limits<std::uint64_t>::max() - first.sequence.value();
    const std::uint64_t end = first.sequence.value() + std::min(count, most);
    auto at = awaited_.lower_bound({first, first_of(CarrierId{})});
    while (at != awaited_.end() && same_line(at->first, first) &&
           at->first.sequence.value() < end) {
        const auto [antecedent, successor] = *at;
        at = awaited_.erase(at);
        const auto waiting = waiting_.find(successor);
        std::erase(waiting->second.missing, antecedent);
        if (!good)
            fail(waiting);
        else if (waiting->second.missing.empty())
            changed_.push(successor);
    }
}

// What is here and waits itself is settled when it is free.
void Successors::settle_rest(CarrierId carrier, bool good) {
    std::set<Antecedent> rest;
    for (auto at = awaited_.lower_bound({first_of(carrier), first_of(CarrierId{})});
         at != awaited_.end() && at->first.carrier == carrier; ++at)
        if (!waiting_.contains(at->first)) rest.insert(at->first);
    for (const Antecedent& name : rest) settle(name, 1, good);
}

void Successors::expire(Instant now) {
    while (deadline() <= now) {
        const auto waiting = waiting_.find(deadlines_.begin()->second);
        deadlines_.erase(deadlines_.begin());
        waiting->second.deadline = never;
        if (!waiting->second.missing.empty()) fail(waiting);
    }
}

void Successors::fail(Waits::iterator at) {
    if (!at->second.failed && !at->second.whole) failed_.push(at->first);
    at->second.failed = true;
    changed_.push(at->first);
}

std::optional<Antecedent> Successors::poll_failed() {
    while (!failed_.empty()) {
        const Antecedent name = failed_.front();
        failed_.pop();
        const Waiting* waiting = find(name);
        if (waiting && !waiting->whole) return name;
    }
    return std::nullopt;
}

std::optional<Successors::Free> Successors::poll() {
    while (!changed_.empty()) {
        const Antecedent name = changed_.front();
        changed_.pop();
        const auto at = waiting_.find(name);
        if (at == waiting_.end()) continue;
        const Waiting& waiting = at->second;
        const bool behind = waiting.marks.ordered && in_line(name);
        const bool free = waiting.failed ? waiting.whole : waiting.missing.empty() && !behind;
        if (!free) continue;
        Free freed{name, leave(at)};
        check_line_behind(name);
        return freed;
    }
    return std::nullopt;
}

Successors::Waiting Successors::leave(Waits::iterator at) {
    Waiting waiting = std::move(at->second);
    for (const Antecedent& missing : waiting.missing) awaited_.erase({missing, at->first});
    if (waiting.deadline != never) deadlines_.erase({waiting.deadline, at->first});
    ordered_.erase(at->first);
    waiting_.erase(at);
    return waiting;
}

void Successors::check_line_behind(const Antecedent& name) {
    const auto next = ordered_.lower_bound(first_of(name.carrier, name.niceness));
    if (next != ordered_.end() && same_line(*next, name)) changed_.push(*next);
}

std::optional<Successors::Waiting> Successors::remove(const Antecedent& name) {
    const auto at = waiting_.find(name);
    if (at == waiting_.end()) return std::nullopt;
    Waiting waiting = leave(at);
    check_line_behind(name);
    return waiting;
}

std::vector<Successors::Free> Successors::take_all(CarrierId carrier) {
    std::vector<Free> all;
    auto at = waiting_.lower_bound(first_of(carrier));
    while (at != waiting_.end() && at->first.carrier == carrier) {
        const Antecedent name = at->first;
        all.push_back({name, leave(at++)});
    }
    return all;
}

Instant Successors::oldest(CarrierId carrier) const {
    Instant oldest = never;
    for (auto at = waiting_.lower_bound(first_of(carrier));
         at != waiting_.end() && at->first.carrier == carrier; ++at)
        oldest = std::min(oldest, at->second.since);
    return oldest;
}

}  // namespace post::core
