// What the library says of itself: what a policy makes of the stacks, what would be tried, what a
// connection then gives and how it came about. The program connects to itself; its server has no
// QUIC, as behind a wall that lets no UDP through. With a folder as its argument it leaves its
// trace there.
#include <cstdio>
#include <string>

#include <post/post.hpp>

namespace {

void print(const char* title, const std::string& text) {
    std::printf("%s\n\n%s\n\n", title, text.c_str());
}

}  // namespace

int main(int count, char** arguments) {
    const auto identity = post::Identity::self_signed("localhost");
    post::Context context({.trace = count > 1 ? arguments[1] : ""});
    auto listener = context.listen({.identity = identity},
                                   {.policy = {.stacks = {post::Stack::tls}}});
    listener.accept([](post::Carrier carrier) {
        carrier.ready([](post::Carrier& from, post::InMessage message) {
            from.send(std::move(message).content());
            return true;
        });
        return false;
    });

    post::Policy policy = post::Policy::reliable_messages();
    policy.preferences.stacks[post::Stack::sctp_dtls] = post::Preference::prohibit;
    print("The policy", policy.explain(context.preferences()));

    const post::Remote remote("localhost", listener.port());
    const post::InitiateOptions options{.policy = policy,
                                        .trust = post::Trust::pinned(identity.pin())};
    auto plan = context.plan(remote, options);
    while (!plan.ready()) context.turn();
    print("The plan", plan.get().value().string());

    auto carrier = context.initiate(remote, options);
    carrier.send("Hello!");
    carrier.ready([&](post::Carrier& from, post::InMessage) {
        print("What came of it", from.association().establishment()->string());
        print("What the connection gives", from.explain());
        auto another = context.initiate(remote, options);
        print("Another Carrier", another.reuse().string());
        post::InitiateOptions apart = options;
        apart.isolation = "another user";
        print("One for somebody else", context.initiate(remote, apart).reuse().string());
        from.close();
        return false;
    });
    context.run();
}
