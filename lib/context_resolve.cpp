// Context::resolve and Context::plan: names alone, without a connection.
#include <cstring>

#include "lib/association/plan.hpp"
#include "lib/context_root.hpp"

namespace post {

Operation<std::vector<Remote>> Context::resolve(Remote remote) {
    return anchor_->root->resolve(remote);
}

Operation<Plan> Context::plan(Remote remote, InitiateOptions options) {
    return anchor_->root->plan(remote, options);
}

namespace core {

namespace {

Error too_many(std::size_t most) {
    return Error(Errc::too_many, {}, Stage::call,
                 Bytes("more than " + std::to_string(most) + " names are looked up already"));
}

}  // namespace

Operation<std::vector<Remote>> Root::resolve(const Remote& remote) {
    using Found = Result<std::vector<Remote>>;
    if (resolving_.size() >= most_resolving)
        return {Found(too_many(most_resolving)), AnchorRef(&anchor_)};
    const std::uint64_t number = begin_resolving(remote);
    auto operation = carriers_.wait_for_names(number);
    look_up(number);
    return operation;
}

Operation<Plan> Root::plan(const Remote& remote, const InitiateOptions& options) {
    Error error;
    if (const auto fine = check_initiate(options); !fine) error = fine.error();
    if (resolving_.size() >= most_resolving) error = too_many(most_resolving);
    if (error) return {Result<Plan>(std::move(error)), AnchorRef(&anchor_)};
    const std::uint64_t number = begin_resolving(remote);
    resolving_.at(number).plan = options;
    auto operation = carriers_.wait_for_plan(number);
    look_up(number);
    return operation;
}

std::uint64_t Root::begin_resolving(const Remote& remote) {
    const std::uint64_t number = ++last_resolving_;
    Resolution& resolution = resolving_.try_emplace(number, remote).first->second.resolution;
    std::array<std::byte, sizeof(std::uint64_t)> seed{};
    io_->random(seed);
    Resolution::Options options;
    std::memcpy(&options.seed, seed.data(), seed.size());
    resolution.begin(remote, options);
    carriers_.used();
    return number;
}

// Makes the lookups that are wanted now, and answers when none is left.
void Root::look_up(std::uint64_t number) {
    Resolution& resolution = resolving_.at(number).resolution;
    while (auto wanted = resolution.poll_lookup()) {
        const LookupId id{next_lookup_++};
        questions_[id] = {number, wanted->id};
        if (TraceLog& trace = associations_.shared().trace; trace.on())
            trace.add({}, traced::Asked{wanted->question, wanted->name});
        io_->lookup({id, wanted->name, wanted->port, wanted->question, wanted->service});
    }
    if (resolution.complete()) answer(number);
}

void Root::answer(std::uint64_t number) {
    const auto node = resolving_.extract(number);
    const Resolving& resolving = node.mapped();
    if (resolving.plan) return carriers_.answer_plan(number, make_plan(resolving));
    std::vector<Remote> found;
    for (const Endpoint& endpoint : resolving.resolution.endpoints())
        found.push_back(resolving.remote.at(endpoint.address));
    if (!found.empty()) return carriers_.answer_names(number, std::move(found));
    Error error = resolving.resolution.error();
    if (!error)
        error = Error(Errc::resolve_failed, {}, Stage::resolve,
                      Bytes("nothing is known of " + resolving.remote.string()));
    carriers_.answer_names(number, std::move(error));
}

Result<Plan> Root::make_plan(const Resolving& resolving) {
    const InitiateOptions& options = *resolving.plan;
    auto race = race_options(resolving.remote, options);
    if (!race) return race.error();
    steer(resolving.remote, options, *race);
    Plan plan = core::plan(resolving.remote, select(resolving.remote, options),
                           resolving.resolution.endpoints(), *race, resolving.resolution.error());
    plan.reuse = reuse(resolving.remote, options);
    return plan;
}

bool Root::take_answer(const Io::Resolved& resolved) {
    const auto at = questions_.find(resolved.id);
    if (at == questions_.end()) return false;
    const auto [number, query] = at->second;
    if (resolved.complete) questions_.erase(at);
    Resolution& resolution = resolving_.at(number).resolution;
    const std::string host = resolution.asked(query);
    resolution.handle_answer(query, resolved, resolved.complete);
    if (TraceLog& trace = associations_.shared().trace; trace.on())
        trace.add({}, traced::Answered{resolved.kind, host, resolution.poll_endpoints().size(),
                                       resolved.cached, resolved.error});
    look_up(number);
    return true;
}

}  // namespace core

}  // namespace post
