// Two servers behind one address that take each other's tickets: the keys that tickets are sealed
// with come from a Redis or Valkey that both of them reach (TicketKeySource, over hiredis).
//
//   ticket_fleet [REDIS [PORT]]
//
// Both servers and a client that connects again and again run here, on PORT (4433). REDIS is
// HOST:PORT, 127.0.0.1:6379 when it is left out. In it stand the secrets post:tickets:current and
// post:tickets:previous, 32 random bytes each; whoever first finds that the current one is an hour
// old replaces it. Who can read them can read what clients say under their tickets before the
// handshake: the store belongs into a network of its own, with a password and TLS.
#include <hiredis/hiredis.h>
#include <sys/random.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <post/post.hpp>

namespace {

using Secrets = post::TicketKeySource::Secrets;

constexpr const char* default_store = "127.0.0.1:6379";
constexpr int life = 3600;  // seconds that a secret is `current`, and then `previous`

// One step in the store, so that of many servers one renews and all get the same: the current key
// lives for an hour, and what it was before for another.
constexpr const char* renew = R"(
local current = redis.call('GET', KEYS[1])
if not current then
    local last = redis.call('GET', KEYS[3])
    if last then redis.call('SET', KEYS[2], last, 'EX', ARGV[2]) end
    current = ARGV[1]
    redis.call('SET', KEYS[1], current, 'EX', ARGV[2])
    redis.call('SET', KEYS[3], current, 'EX', 2 * ARGV[2])
end
return {current, redis.call('GET', KEYS[2]) or ''}
)";

struct ContextOf {
    void operator()(redisContext* context) const { redisFree(context); }
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

// secrets() is called on the Context's thread and must not block, so a thread of our own asks the
// store, and what it learned last is what is given. While the store is away the servers go on with
// that for as long as it is good, and then give no tickets: clients make a full handshake.
class RedisTickets final : public post::TicketKeySource {
public:
    explicit RedisTickets(const std::string& store) {
        const auto colon = store.rfind(':');
        host_ = store.substr(0, colon);
        if (colon != std::string::npos) port_ = std::atoi(store.c_str() + colon + 1);
        ask();
        asking_ = std::thread([this] {
            std::unique_lock lock(mutex_);
            while (!over_) {
                ended_.wait_for(lock, std::chrono::seconds(20));
                if (over_) return;
                lock.unlock();
                ask();
                lock.lock();
            }
        });
    }
    RedisTickets(const RedisTickets&) = delete;
    RedisTickets& operator=(const RedisTickets&) = delete;
    ~RedisTickets() override {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        ended_.notify_all();
        asking_.join();
    }

    Secrets secrets() override {
        const std::lock_guard lock(mutex_);
        if (std::chrono::steady_clock::now() - learned_ > std::chrono::seconds(life)) return {};
        return secrets_;
    }
    bool works() const { return works_; }

private:
    void ask() {
        const timeval patience{1, 0};
        const std::unique_ptr<redisContext, ContextOf> store(
            redisConnectWithTimeout(host_.c_str(), port_, patience));
        if (!store || store->err) return trouble(store ? store->errstr : "no memory");
        redisSetTimeout(store.get(), patience);
        char fresh[32];
        if (getrandom(fresh, sizeof(fresh), 0) != sizeof(fresh)) return trouble("no randomness");
        const std::unique_ptr<redisReply, ContextOf> reply(static_cast<redisReply*>(
            redisCommand(store.get(),
                         "EVAL %s 3 post:tickets:current post:tickets:previous post:tickets:last "
                         "%b %d",
                         renew, fresh, sizeof(fresh), life)));
        if (!reply) return trouble(store->errstr);
        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
            return trouble(reply->str ? reply->str : "not what was asked for");
        const auto bytes = [&](std::size_t i) {
            const redisReply* part = reply->element[i];
            return part->str ? post::Bytes(std::string(part->str, part->len)) : post::Bytes();
        };
        const std::lock_guard lock(mutex_);
        secrets_ = {bytes(0), bytes(1)};
        learned_ = std::chrono::steady_clock::now();
        works_ = true;
    }
    void trouble(const char* text) {
        works_ = false;
        std::fprintf(stderr, "ticket_fleet: %s:%d: %s\n", host_.c_str(), port_, text);
    }

    std::string host_;
    int port_ = 6379;
    std::mutex mutex_;
    std::condition_variable ended_;
    Secrets secrets_;
    std::chrono::steady_clock::time_point learned_{};
    std::atomic<bool> works_{false};
    bool over_ = false;
    std::thread asking_;
};

// One of the servers, with its own thread, Context and connection to the store. The identity is the
// fleet's: tickets are good only where the certificate is the same.
class Server {
public:
    Server(std::uint16_t number, const post::Identity& identity, std::uint16_t port,
           const std::string& store)
        : keys_(std::make_shared<RedisTickets>(store)),
          context_(post::ContextOptions{.ticket_keys = keys_}),
          listener_(
              context_.listen({.port = port, .identity = identity, .shared = number, .of = 2})) {
        const std::string name = number == 0 ? "server A" : "server B";
        listener_.accept([name](post::Carrier carrier) {
            carrier.ready([name](post::Carrier& self, post::InMessage) {
                self.send(name);
                return true;
            });
            return true;
        });
        turning_ = std::thread([this] { context_.run(); });
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server() {
        context_.stop();
        turning_.join();
    }
    bool has_keys() const { return keys_->works(); }

private:
    std::shared_ptr<RedisTickets> keys_;
    post::Context context_;
    post::Listener listener_;
    std::thread turning_;
};

struct Answer {
    std::string server;
    bool resumed = false;
};

// One connection, by a Context of its own, with the tickets of those before it.
Answer ask(const std::string& url, const std::string& pin,
           const std::shared_ptr<post::AssociationStore>& store) {
    post::Context context(post::ContextOptions{.store = store});
    post::InitiateOptions options;
    options.trust = post::Trust::pinned(pin);
    options.policy.stacks = {post::Stack::quic};
    auto carrier = context.initiate(url, options);
    Answer answer;
    carrier.send("who are you?");
    carrier.ready([&](post::Carrier& self, post::InMessage reply) {
        answer = {reply.content().string(), self.association().resumed()};
        return false;
    });
    context.run();
    return answer;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string store = argc > 1 ? argv[1] : default_store;
    const auto port = static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 4433);
    const auto identity = post::Identity::self_signed("fleet");
    const Server a(0, identity, port, store);
    const Server b(1, identity, port, store);
    if (!a.has_keys() || !b.has_keys()) {
        std::fprintf(stderr, "ticket_fleet: it needs a Redis or Valkey at %s\n", store.c_str());
        return 77;
    }
    const auto kept = post::memory_store();
    std::string before;
    int taken = 0;  // tickets of the other one
    // The system spreads connections as it likes.
    for (int i = 0; i < 40 && taken < 4; ++i) {
        const Answer answer = ask("post://127.0.0.1:" + std::to_string(port), identity.pin(), kept);
        std::printf("%s: %s\n", answer.server.c_str(),
                    answer.resumed ? "resumed" : "a full handshake");
        if (answer.resumed != (i > 0)) return 1;
        if (i > 0 && answer.server != before) ++taken;
        before = answer.server;
    }
    std::printf("%d tickets of the other server were taken\n", taken);
    return taken >= 2 ? 0 : 1;
}
