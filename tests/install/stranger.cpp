// A program by somebody else: it sees nothing but the installed post, and links with it. It is a
// server and its client in one, with callbacks and coroutines, over loopback.
#include <cstdio>
#include <string>
#include <vector>

#include <post/coro.hpp>
#include <post/post.hpp>

namespace {

post::Task<> echo(post::Carrier carrier) {
    while (auto message = co_await carrier.receive())
        co_await carrier.send(std::move(*message).content());
}

post::Task<> talk(post::Carrier carrier, std::vector<std::string>& heard) {
    auto fork = carrier.fork();
    co_await carrier.send("one");
    co_await fork.send("two");
    for (post::Carrier* each : {&carrier, &fork}) {
        auto reply = co_await each->receive();
        heard.push_back(reply ? reply->content().string() : reply.error().message());
    }
}

}  // namespace

int main() try {
    const auto identity = post::Identity::self_signed("localhost");
    std::vector<std::string> heard;
    int acked = 0;
    {
        post::Context context;
        auto listener = context.listen({.identity = identity});
        listener.accept([taken = 0](post::Carrier carrier) mutable {
            echo(std::move(carrier));
            return ++taken < 3;
        });
        const post::Remote remote("localhost", listener.port());
        const auto trust = post::Trust::pinned(identity.pin());
        auto carrier = context.initiate(remote, {.trust = trust});
        carrier.send("three", {.final = true}, [&](const post::Fate& fate) {
            if (fate.kind == post::Fate::Kind::acked) ++acked;
        });
        carrier.ready([&](post::Carrier&, post::InMessage reply) {
            heard.push_back(reply.content().string());
            return false;
        });
        talk(context.initiate(remote, {.trust = trust}), heard);
        context.run();
    }
    std::size_t right = 0;
    for (const char* wanted : {"one", "two", "three"})
        for (const std::string& text : heard) right += text == wanted;
    for (const std::string& text : heard) std::printf("heard %s\n", text.c_str());
    return right == 3 && heard.size() == 3 && acked == 1 ? 0 : 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
