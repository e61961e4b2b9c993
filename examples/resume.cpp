// Two runs of a client that keeps what it learned in a store: the first makes a full handshake, the
// second goes on where the first one was. Each prints when the first byte of the answer came. Both
// ends are here, on two threads; a client that starts anew each time uses file_store("...").
#include <chrono>
#include <cstdio>
#include <thread>

#include <post/post.hpp>

namespace {

using Clock = std::chrono::steady_clock;

// Asks once, from a Context of its own, as a process of its own would.
void ask(const char* name, const post::Remote& remote, const std::string& pin,
         const std::shared_ptr<post::AssociationStore>& store) {
    post::Context context({.store = store});
    const auto began = Clock::now();
    auto carrier = context.initiate(remote, {.trust = post::Trust::pinned(pin)});
    carrier.send("What is the answer?", {.idempotent = true});
    carrier.ready([&](post::Carrier& from, const post::InMessage&) {
        const std::chrono::duration<double, std::milli> took = Clock::now() - began;
        const auto association = from.association();
        std::printf("%s run: %s, %s, first byte after %.2f ms\n", name,
                    post::to_string(association.stack()),
                    association.resumed() ? "resumed" : "full handshake", took.count());
        from.close();
        return false;
    });
    context.run();
}

}  // namespace

int main() {
    const auto identity = post::Identity::self_signed("localhost");
    post::Context server;
    auto listener = server.listen({.port = 0, .identity = identity});
    listener.accept([](post::Carrier carrier) {
        carrier.ready([](post::Carrier& from, const post::InMessage&) {
            from.send("42");
            return true;
        });
        return true;
    });
    const post::Remote remote("localhost", listener.port());
    std::thread thread([&] { server.run(); });
    const auto store = post::memory_store();
    ask("first", remote, identity.pin(), store);
    ask("second", remote, identity.pin(), store);
    server.stop();
    thread.join();
}
