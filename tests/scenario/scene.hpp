// Scene: what nearly every story begins with, two hosts with a Context each, a link between them
// and a server that is believed by its pin. And Fates, which counts what became of every message.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <post/post.hpp>

#include "tests/seed.hpp"
#include "tests/sim/node.hpp"

namespace post::test {

using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;

// The seeds of a story: `few` of them from POST_SEED on, or POST_SEEDS=n. CAPTURE the one at hand.
inline std::vector<std::uint64_t> seeds(std::uint64_t few) {
    const char* text = std::getenv("POST_SEEDS");
    const std::uint64_t count = text ? std::strtoull(text, nullptr, 10) : few;
    std::vector<std::uint64_t> all;
    for (std::uint64_t i = 0; i < count; ++i) all.push_back(seed() + i);
    return all;
}

// The stack that stories run on which do not name one: POST_STACK, or QUIC.
inline Stack stack_of_stories() {
    const char* text = std::getenv("POST_STACK");
    for (const Stack stack : {Stack::quic, Stack::sctp_dtls, Stack::sctp_udp, Stack::tls})
        if (text && std::string_view(text) == to_string(stack)) return stack;
    return Stack::quic;
}

inline Policy policy_of_stories() {
    const Stack stack = stack_of_stories();
    return {stack == Stack::sctp_udp ? Security::none : Security::required, {stack}};
}

// Whether anybody has to show who he is.
inline bool secured() { return policy_of_stories().security == Security::required; }

// The fates of messages: each watch() is the callback of one send.
class Fates {
public:
    struct Record {
        int sent = 0;
        int acked = 0;
        int expired = 0;
        int failed = 0;
        bool sent_late = false;  // behind the last word
        bool maybe_delivered = false;
        Error error;

        int last_words() const { return acked + expired + failed; }
    };

    OnFate watch() {
        records_.push_back(std::make_shared<Record>());
        return [record = records_.back()](const Fate& fate) {
            switch (fate.kind) {
                case Fate::Kind::sent:
                    ++record->sent;
                    record->sent_late |= record->last_words() > 0;
                    return;
                case Fate::Kind::acked: ++record->acked; break;
                case Fate::Kind::expired: ++record->expired; break;
                case Fate::Kind::failed: ++record->failed; break;
            }
            record->error = fate.error;
            record->maybe_delivered = fate.maybe_delivered;
        };
    }
    std::size_t size() const { return records_.size(); }
    const Record& operator[](std::size_t i) const { return *records_[i]; }
    // Every message has had its last word.
    bool all() const {
        for (const auto& record : records_)
            if (record->last_words() == 0) return false;
        return true;
    }
    int acked() const { return sum(&Record::acked); }
    int expired() const { return sum(&Record::expired); }
    int failed() const { return sum(&Record::failed); }
    // Exactly one last word each, `sent` at most once and before it, and before every `acked`.
    void check() const {
        for (std::size_t i = 0; i < records_.size(); ++i) {
            CAPTURE(i);
            const Record& record = *records_[i];
            CHECK(record.last_words() == 1);
            CHECK(record.sent <= 1);
            CHECK_FALSE(record.sent_late);
            if (record.acked > 0) CHECK(record.sent == 1);
            CHECK((record.failed > 0 || record.expired > 0) == static_cast<bool>(record.error));
        }
    }

private:
    int sum(int Record::*which) const {
        int all = 0;
        for (const auto& record : records_) all += (*record).*which;
        return all;
    }

    std::vector<std::shared_ptr<Record>> records_;
};

// What callbacks of Carriers left behind. They share it, since the end of a Context calls them when
// the variables of a test are gone already.
template <class T> class Log {
public:
    void push_back(T value) const { values_->push_back(std::move(value)); }
    std::size_t size() const { return values_->size(); }
    bool empty() const { return values_->empty(); }
    const T& operator[](std::size_t i) const { return (*values_)[i]; }
    const std::vector<T>& all() const { return *values_; }
    void clear() const { values_->clear(); }

private:
    std::shared_ptr<std::vector<T>> values_ = std::make_shared<std::vector<T>>();
};
using Texts = Log<std::string>;
using Ends = Log<Error>;

inline constexpr std::uint16_t server_port = 4433;

struct Scene {
    explicit Scene(std::uint64_t seed = test::seed(),
                   const sim::LinkOptions& both = {.delay = 10ms},
                   ContextOptions server_options = {}, ContextOptions client_options = {})
        : world(seed),
          near(world.host("10.0.0.1")),
          far(world.host("10.0.0.2")),
          link(world.link(near, far, both)),
          identity(Identity::self_signed("server.test")),
          server(std::make_unique<sim::Node>(world, far, std::move(server_options))),
          client(std::make_unique<sim::Node>(world, near, std::move(client_options))) {
        world.name("server.test", {"10.0.0.2"});
        hear(**client, unhandled);
        hear(**server, server_unhandled);
    }

    // While everything that callbacks refer to is still there.
    ~Scene() {
        client.reset();
        server.reset();
    }
    Scene(const Scene&) = delete;
    Scene& operator=(const Scene&) = delete;

    static void hear(Context& context, std::vector<Error>& errors) {
        context.on_unhandled([&errors](const Error& error) { errors.push_back(error); });
    }
    Context& near_context() { return **client; }
    Context& far_context() { return **server; }

    Listener listen(ListenOptions options = {}) {
        if (options.policy == Policy{} && stack_of_stories() == Stack::sctp_udp)
            options.policy = policy_of_stories();
        return far_context().listen({.port = server_port, .identity = identity},
                                    std::move(options));
    }
    // A server that keeps every Carrier in `accepted`.
    void collect(ListenOptions options = {}) {
        listener = listen(std::move(options));
        listener.accept([this](Carrier carrier) {
            accepted.push_back(std::move(carrier));
            return true;
        });
    }
    // A server that sends every message back.
    void echo(ListenOptions options = {}) {
        listener = listen(std::move(options));
        listener.accept([](Carrier carrier) {
            carrier.ready([](Carrier& self, InMessage message) {
                self.send(std::move(message).content());
                return true;
            });
            return true;
        });
    }
    InitiateOptions pinned(InitiateOptions options = {}) const {
        options.trust = Trust::pinned(identity.pin());
        if (options.policy == Policy{}) options.policy = policy_of_stories();
        return options;
    }
    Carrier initiate(InitiateOptions options = {}) {
        return near_context().initiate("post://server.test:4433", pinned(std::move(options)));
    }
    bool until(const std::function<bool()>& done, Duration limit = 10s) {
        return world.run_until(done, limit);
    }

    sim::World world;
    sim::Host& near;
    sim::Host& far;
    sim::Link& link;
    Identity identity;
    std::vector<Error> unhandled;  // of the client's Context
    std::vector<Error> server_unhandled;
    std::unique_ptr<sim::Node> server;
    std::unique_ptr<sim::Node> client;
    Listener listener;
    std::vector<Carrier> accepted;
};

// Keeps what a Carrier receives, as text, for as long as the Carrier lives.
inline void gather(Carrier& carrier, const Texts& texts) {
    carrier.ready([texts](Carrier&, InMessage message) {
        texts.push_back(message.content().string());
        return true;
    });
}

// A Carrier's last word.
inline void gather_end(Carrier& carrier, const Ends& ends) {
    carrier.on_closed([ends](const Error& error) { ends.push_back(error); });
}

}  // namespace post::test
