// An echo server: every message goes back on the Carrier that it came on; forks are echoed too.
//   echo [PORT]
#include <cstdio>
#include <cstdlib>

#include <post/coro.hpp>
#include <post/post.hpp>

post::Task<> echo(post::Carrier carrier) {  // the coroutine owns its Carrier
    while (auto message = co_await carrier.receive())
        co_await carrier.send(std::move(*message).content());  // awaiting send is backpressure
}

int main(int argc, char** argv) {
    const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 4433);
    const auto identity = post::Identity::self_signed("localhost");
    post::Context context;
    auto listener = context.listen({.port = port, .identity = identity});
    std::printf("echo on port %u, pin %s\n", listener.port(), identity.pin().c_str());
    std::fflush(stdout);
    listener.accept([](post::Carrier carrier) {
        echo(std::move(carrier));
        return true;
    });
    context.run();
}
