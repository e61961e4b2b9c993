// Urgent messages under bulk: 64 bytes that have to be there soon, while messages of 16 MiB fill
// the path between the same two ends. Niceness says which of them may wait; the table that this
// prints says for how long the urgent ones did, with it and without. Both ends live in one Context.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <vector>

#include <post/coro.hpp>
#include <post/post.hpp>

namespace {

using Clock = std::chrono::steady_clock;
using Delays = std::vector<std::chrono::duration<double, std::milli>>;

constexpr std::size_t count = 50;
const post::Bytes bulk(std::string(16 << 20, 'b'));
const std::string urgent(64, 'u');

// Awaiting send keeps the path full, and the queue in front of it as short as the send budget says.
post::Task<> fill(post::Carrier& carrier, post::Niceness niceness) {
    const post::SendOptions options{.niceness = niceness};
    while (co_await carrier.send(bulk, options)) {}
}

// The urgent messages take the bulk's own Carrier or another one, one after the other.
Delays measure(post::Niceness of_bulk, bool own_carrier) {
    post::Carrier carrier;  // these outlive the Context, and so whatever still waits in it
    post::Carrier other;
    std::optional<post::Sending> sending;
    Clock::time_point sent;
    Delays delays;
    post::Context context;
    const auto identity = post::Identity::self_signed("localhost");
    auto listener = context.listen({.port = 0, .identity = identity});
    const auto send = [&] {
        sent = Clock::now();
        sending.emplace((own_carrier ? carrier : other).send(urgent));
    };
    bool began = false;
    listener.accept([&](post::Carrier peer) {
        peer.ready([&](post::Carrier&, const post::InMessage& message) {
            const bool hurried = message.size() == urgent.size();
            if (hurried) delays.push_back(Clock::now() - sent);
            if (delays.size() == count)
                context.stop();
            else if (hurried || !std::exchange(began, true))  // when the first of the bulk is there
                send();
            return true;
        });
        return true;
    });
    const post::Remote remote("localhost", listener.port());
    carrier = context.initiate(remote, {.trust = post::Trust::pinned(identity.pin())});
    other = carrier.fork();
    fill(carrier, of_bulk);
    context.run();
    std::sort(delays.begin(), delays.end());
    return delays;
}

void print(const char* what, const Delays& delays) {
    std::printf("%-44s %8.2f ms %8.2f ms\n", what, delays[delays.size() / 2].count(),
                delays.back().count());
}

}  // namespace

int main() {
    std::printf("%-44s %11s %11s\n", "64 bytes, while 16 MiB at a time are sent", "median",
                "longest");
    print("on the same Carrier, bulk with niceness 1", measure(1, true));
    print("on the same Carrier, all alike", measure(0, true));
    print("on another Carrier, bulk with niceness 1", measure(1, false));
    print("on another Carrier, all alike", measure(0, false));
}
