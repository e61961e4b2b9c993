// Endpoint: what the flows of one listening port share: a table by address. Whatever comes from a
// stranger makes a flow, since nothing tells a forged source from a true one; so the table has a
// bound, and those whom nobody has answered make room for others, the oldest first.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "mappings/udp/flow.hpp"

namespace post::udp {

class Endpoint {
public:
    explicit Endpoint(std::size_t most_flows) : most_flows_(most_flows) {}
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;

    // Where a run goes.
    struct ToFlow {
        TransientId transient;
    };
    // From a stranger, for whom there is room: accept() makes a flow of it.
    struct NewFlow {
        std::optional<TransientId> evicted{};  // it made room, and is to end
    };
    struct Nothing {};  // there is no room
    using Routed = std::variant<ToFlow, NewFlow, Nothing>;
    // `strangers`: those are taken.
    Routed route(const Datagrams& run, bool strangers);

    std::unique_ptr<Mapping> accept(Instant now, TransientId transient, const FlowOptions& options);
    // Those with this remote, whatever our address.
    std::vector<TransientId> find(const Address& remote) const;
    std::size_t flows() const { return flows_.size(); }

    // For the flows.

    void answered(const Address& local, const Address& remote, TransientId transient);
    void forget(const Address& local, const Address& remote, TransientId transient);

private:
    struct Pair {
        Address local;
        Address remote;
    };
    struct Entry {
        Address local;
        TransientId transient;
        std::optional<std::list<Pair>::iterator> unanswered;
    };
    using Table = std::unordered_multimap<Address, Entry>;

    Table::iterator look_up(const Address& local, const Address& remote);

    Table flows_;                 // by their remote
    std::list<Pair> unanswered_;  // the oldest in front
    std::size_t most_flows_;
};

}  // namespace post::udp
