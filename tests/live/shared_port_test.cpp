// Several Contexts on one real port: two in two threads, and flows of datagrams.
#include <doctest/doctest.h>

#include <post/post.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace post::test {

namespace {

using namespace std::chrono_literals;

// A server in a thread of its own, which answers with its number.
class Server {
public:
    Server(const Identity& identity, std::uint16_t port, std::uint16_t index)
        : listener_(context_.listen({.port = port,
                                     .address = *Address::parse("127.0.0.1"),
                                     .identity = identity,
                                     .shared = index,
                                     .of = 2})) {
        listener_.accept([this, index](Carrier carrier) {
            ++accepted;
            carrier.ready([index](Carrier& self, InMessage) {
                self.send(std::to_string(index));
                return true;
            });
            return true;
        });
        thread_ = std::thread([this] { context_.run(); });
    }
    ~Server() {
        context_.stop();
        thread_.join();
    }
    std::atomic<int> accepted{0};

private:
    Context context_;
    Listener listener_;
    std::thread thread_;
};

struct Client {
    explicit Client(const Identity& identity, std::uint16_t port) {
        InitiateOptions options;
        options.trust = Trust::pinned(identity.pin());
        carrier = context.initiate("post://127.0.0.1:" + std::to_string(port), options);
    }
    std::string ask() {
        std::string answer = "nobody";
        carrier.receive().then([&](Result<InMessage> message) {
            answer = message ? message->content().string() : message.error().message();
            context.stop();
        });
        carrier.send("who is there?");
        context.run();
        return answer;
    }
    Context context;
    Carrier carrier;
};

// A port that nobody uses now.
std::uint16_t free_port(const Identity& identity) {
    Context context;
    return context.listen({.address = *Address::parse("127.0.0.1"), .identity = identity}).port();
}

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("a Context that joins a port is handed strays, and hands them on") {
        const auto identity = Identity::self_signed("127.0.0.1");
        const std::uint16_t port = free_port(identity);
        Server first(identity, port, 0);
        std::vector<std::unique_ptr<Client>> clients;
        for (int i = 0; i < 16; ++i) {
            clients.push_back(std::make_unique<Client>(identity, port));
            CHECK(clients.back()->ask() == "0");
        }
        // From now on the system gives about half of the flows to the other socket.
        Server second(identity, port, 1);
        for (int round = 0; round < 3; ++round)
            for (auto& client : clients) CHECK(client->ask() == "0");
        CHECK(second.accepted == 0);
        for (int i = 0; i < 32 && second.accepted == 0; ++i) Client(identity, port).ask();
        CHECK(second.accepted > 0);
    }

    TEST_CASE("a place on a shared port is taken once") {
        const auto identity = Identity::self_signed("127.0.0.1");
        const std::uint16_t port = free_port(identity);
        Server first(identity, port, 0);
        CHECK_THROWS_AS(Server(identity, port, 0), Failure);
    }

    TEST_CASE("a Context that spins answers all the same, and its run ends") {
        const auto identity = Identity::self_signed("127.0.0.1");
        Context context({.spin = 200us});
        auto listener = context.listen({.identity = identity});
        listener.accept([](Carrier carrier) {
            carrier.ready([](Carrier& self, InMessage message) {
                self.send(std::move(message).content(), {.final = true});
                return false;
            });
            return false;
        });
        InitiateOptions options;
        options.trust = Trust::pinned(identity.pin());
        auto carrier = context.initiate("post://127.0.0.1:" + std::to_string(listener.port()),
                                        options);
        std::string answer;
        carrier.ready([&](Carrier&, InMessage message) {
            answer = message.content().string();
            return false;
        });
        carrier.send("hello");
        carrier = {};
        context.run();
        CHECK(answer == "hello");
    }

    TEST_CASE("flows of datagrams are spread over the Contexts of a port, on real sockets") {
        const Policy datagrams{.security = Security::none, .stacks = {Stack::udp}};
        Context servers[2], client;
        const std::uint16_t port = free_port(Identity::self_signed("127.0.0.1"));
        int taken[2] = {};
        std::vector<Listener> listeners;
        for (const std::uint16_t index : {std::uint16_t{0}, std::uint16_t{1}}) {
            listeners.push_back(servers[index].listen(
                {.port = port, .address = *Address::parse("127.0.0.1"), .shared = index, .of = 2},
                {.policy = datagrams}));
            listeners.back().accept([&taken, index](Carrier carrier) {
                ++taken[index];
                carrier.ready([](Carrier& self, InMessage message) {
                    self.send(std::move(message).content());
                    return true;
                });
                return true;
            });
        }
        int answers = 0;
        std::vector<Carrier> carriers;
        for (int i = 0; i < 24; ++i) {
            InitiateOptions options;
            options.policy = datagrams;
            carriers.push_back(client.initiate(Remote("127.0.0.1", port), options));
            carriers.back().ready([&](Carrier&, InMessage) {
                ++answers;
                return true;
            });
        }
        const Instant end = client.now() + 10s;
        for (int round = 1; round <= 3; ++round) {
            for (Carrier& carrier : carriers) carrier.send("datagram");
            while (answers < round * 24 && client.now() < end)
                for (Context* one : {&client, &servers[0], &servers[1]}) one->turn();
        }
        CHECK(answers == 3 * 24);
        CHECK(taken[0] + taken[1] == 24);
        CHECK(taken[0] > 0);
        CHECK(taken[1] > 0);
    }
}

}  // namespace post::test
