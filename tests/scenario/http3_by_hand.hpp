// A client of HTTP/3 that writes its bytes by hand, over QUIC that is in order, and a server of
// ours.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/scenario/http3_bytes.hpp"
#include "tests/scenario/scene.hpp"

namespace post::test {

struct ClientByHand : Scene {
    using Serve = std::function<void(Carrier&, InMessage&)>;

    // `serve`: what the server does with each message of a request.
    explicit ClientByHand(Serve serve, ListenOptions options = {})
        : Scene(test::seed(), {.delay = 5ms}) {
        options.policy.stacks = {Stack::http3};
        listener = listen(std::move(options));
        listener.accept([serve = std::move(serve)](Carrier carrier) {
            carrier.ready([serve](Carrier& self, InMessage message) {
                serve(self, message);
                return true;
            });
            return true;
        });
        first = initiate({.policy = {.stacks = {Stack::quic}}, .alpn = "h3"});
        gather_end(first, ends);
        // Who stops them breaks a rule too.
        first.accept([this](Carrier stream) {
            theirs.push_back(std::move(stream));
            return true;
        });
    }
    Carrier one_way(const std::string& bytes, bool finish = false) {
        Carrier::ForkOptions options;
        options.one_way = true;
        Carrier carrier = first.fork(options);
        carrier.send(bytes, {.final = finish});
        return carrier;
    }
    // What became of it: a request that is answered still comes through.
    bool alive() {
        Carrier carrier = first.fork();
        carrier.send(http3_bytes::frame(1, http3_bytes::good), {.final = true});
        auto received = carrier.receive();
        until([&] { return received.ready(); });
        return received.ready() && received.get().has_value();
    }

    Carrier first;  // opens nothing by itself
    Ends ends;
    std::vector<Carrier> theirs;
};

}  // namespace post::test
