// FakePair: two FakeMappings over the Pair's link.
#pragma once

#include "tests/contract/pair.hpp"
#include "tests/fake/fake_mapping.hpp"

namespace post::test {

class FakePair final : public Pair {
public:
    static constexpr bool is_quic = false;
    explicit FakePair(const PairOptions& options) : Pair(options) {
        auto wire = std::make_shared<FakeWire>();
        client.mapping = make(wire, Role::client, options.client);
        server.mapping = make(wire, Role::server, options.server);
    }

protected:
    void deliver(bool to_server, const Datagrams& datagram) override {
        (to_server ? server : client).mapping->handle_input(now_, datagram);
    }

private:
    std::unique_ptr<Mapping> make(const std::shared_ptr<FakeWire>& wire, Role role,
                                  const Limits& limits) {
        FakeOptions fake;
        fake.role = role;
        fake.limits = limits;
        fake.local = address(role == Role::server);
        fake.remote = address(role == Role::client);
        fake.post = !options_.raw;
        return std::make_unique<FakeMapping>(wire, fake, now_);
    }
};

}  // namespace post::test
