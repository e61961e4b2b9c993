// The first example of the Post Sockets draft (3.1.1): a client says hello, a server echoes. Both
// live in one Context here; a real client knows its server's name and needs no pin.
#include <cstdio>

#include <post/post.hpp>

int main() {
    const auto identity = post::Identity::self_signed("localhost");
    post::Context context;

    // Figure 3: accept Carriers, and echo what each of them receives.
    auto listener = context.listen({.port = 0, .identity = identity});
    listener.accept([](post::Carrier carrier) {
        carrier.ready([](post::Carrier& from, post::InMessage message) {
            from.send(std::move(message).content());
            return true;
        });
        return false;  // one client is enough here
    });

    // Figure 2: initiate, send, print what comes back. Nothing blocks; run() does the waiting.
    const post::Remote remote("localhost", listener.port());
    auto carrier = context.initiate(remote, {.trust = post::Trust::pinned(identity.pin())});
    carrier.send("Hello!");
    carrier.ready([](post::Carrier& from, post::InMessage message) {
        std::printf("%s\n", message.content().string().c_str());
        from.close();
        return false;
    });
    context.run();
}
