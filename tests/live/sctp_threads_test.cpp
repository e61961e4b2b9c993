// SCTP in several threads at once: usrsctp is one for the whole process, and each Context has its
// part of it. Clients come and go, while the timers of all are run by whichever thread comes first.
#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <post/post.hpp>

namespace post::test {

namespace {

constexpr int rounds = 5;
constexpr int messages = 200;

Policy policy_of(Stack stack) {
    return {stack == Stack::sctp_udp ? Security::none : Security::required, {stack}};
}

// An echo server in a thread of its own.
class Server {
public:
    Server(Stack stack, const Identity& identity)
        : thread_([this, stack, &identity] { serve(stack, identity); }), ready_(get_.get_future()) {
        ready_.wait();
    }
    ~Server() {
        context_->stop();
        thread_.join();
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    std::uint16_t port() const { return port_; }

private:
    void serve(Stack stack, const Identity& identity) {
        Context context;
        auto listener = context.listen({.identity = identity},
                                       {.policy = policy_of(stack), .sctp = {.udp_port = 0}});
        listener.accept([](Carrier carrier) {
            carrier.ready([](Carrier& self, InMessage message) {
                self.send(std::move(message).content());
                return true;
            });
            return true;
        });
        port_ = listener.port();
        context_ = &context;
        get_.set_value();
        context.run();
    }

    Context* context_ = nullptr;
    std::uint16_t port_ = 0;
    std::promise<void> get_;
    std::thread thread_;
    std::future<void> ready_;
};

// A client that says all it has on two Carriers; how many echoes came.
int talk(const std::string& url, const InitiateOptions& options) {
    Context context;
    Carrier first = context.initiate(url, options);
    Carrier second = first.fork();
    int echoes = 0;
    for (Carrier* carrier : {&first, &second}) {
        for (int i = 0; i < messages; ++i)
            carrier->send(std::string(static_cast<std::size_t>(i * 13), 'm'));
        carrier->ready([&, left = messages](Carrier&, const InMessage&) mutable {
            ++echoes;
            return --left > 0;
        });
    }
    context.run();
    return echoes;
}

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("Contexts in several threads do SCTP at once, over DTLS and right over UDP") {
        const auto identity = Identity::self_signed("127.0.0.1");
        Server secure(Stack::sctp_dtls, identity);
        Server clear(Stack::sctp_udp, identity);
        std::atomic<int> echoes{0};
        std::vector<std::thread> clients;
        for (const Stack stack : {Stack::sctp_dtls, Stack::sctp_udp, Stack::sctp_dtls}) {
            InitiateOptions options;
            options.policy = policy_of(stack);
            options.trust = Trust::pinned(identity.pin());
            const bool in_clear = stack == Stack::sctp_udp;
            options.sctp.udp_port = clear.port();
            const std::string url = "post://127.0.0.1:" +
                                    std::to_string(in_clear ? clear.port() : secure.port());
            clients.emplace_back([&echoes, url, options] {
                for (int round = 0; round < rounds; ++round) echoes += talk(url, options);
            });
        }
        for (std::thread& client : clients) client.join();
        CHECK(echoes == 3 * rounds * 2 * messages);
    }
}

}  // namespace post::test
