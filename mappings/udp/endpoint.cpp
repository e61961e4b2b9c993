// The table of flows.
#include "mappings/udp/endpoint.hpp"

#include <algorithm>

namespace post::udp {

Endpoint::Table::iterator Endpoint::look_up(const Address& local, const Address& remote) {
    const auto [first, last] = flows_.equal_range(remote);
    const auto at = std::find_if(first, last,
                                 [&](const auto& one) { return one.second.local == local; });
    return at == last ? flows_.end() : at;
}

Endpoint::Routed Endpoint::route(const Datagrams& run, bool strangers) {
    const auto known = look_up(run.local, run.remote);
    if (known != flows_.end()) return ToFlow{known->second.transient};
    if (!strangers) return Nothing{};
    if (flows_.size() < most_flows_) return NewFlow{};
    if (unanswered_.empty()) return Nothing{};
    const Pair oldest = unanswered_.front();
    const TransientId evicted = look_up(oldest.local, oldest.remote)->second.transient;
    forget(oldest.local, oldest.remote, evicted);
    return NewFlow{evicted};
}

std::unique_ptr<Mapping> Endpoint::accept(Instant now, TransientId transient,
                                          const FlowOptions& options) {
    unanswered_.push_back({options.local, options.remote});
    flows_.emplace(options.remote, Entry{options.local, transient, std::prev(unanswered_.end())});
    return std::make_unique<Flow>(this, transient, options, now);
}

std::vector<TransientId> Endpoint::find(const Address& remote) const {
    std::vector<TransientId> found;
    const auto [first, last] = flows_.equal_range(remote);
    for (auto at = first; at != last; ++at) found.push_back(at->second.transient);
    return found;
}

void Endpoint::answered(const Address& local, const Address& remote, TransientId transient) {
    const auto at = look_up(local, remote);
    if (at == flows_.end() || at->second.transient != transient || !at->second.unanswered) return;
    unanswered_.erase(*at->second.unanswered);
    at->second.unanswered.reset();
}

void Endpoint::forget(const Address& local, const Address& remote, TransientId transient) {
    const auto at = look_up(local, remote);
    if (at == flows_.end() || at->second.transient != transient) return;
    if (at->second.unanswered) unanswered_.erase(*at->second.unanswered);
    flows_.erase(at);
}

}  // namespace post::udp
