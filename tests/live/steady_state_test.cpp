// What a transfer takes from the heap once it runs: counted over loopback, through the public API,
// both ends in this thread. Buffers may grow and tables fill at first; from then on nothing is
// allocated for a packet.
#include <ostream>
#include <string>

#include <doctest/doctest.h>
#include <post/coro.hpp>
#include <post/post.hpp>

#include "tests/live/allocations.hpp"

using namespace std::chrono_literals;

// clang's sanitizers; those of g++ leave operator new to the program.
#if defined(__has_feature)
constexpr bool replaced_new = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool replaced_new = false;
#endif

namespace {

// Both ends of one Carrier.
class Transfer {
public:
    Transfer() {
        const auto identity = post::Identity::self_signed("localhost");
        listener_ = server_.listen({.port = 0, .identity = identity});
        listener_.accept([this](post::Carrier carrier) {
            carrier.ready([this](post::Carrier&, const post::InMessage& message) {
                received_ += message.size();
                ++messages_;
                return true;
            });
            return true;
        });
        post::InitiateOptions options;
        options.trust = post::Trust::pinned(identity.pin());
        options.quic.largest_payload = 1452;  // as on Ethernet; the loopback takes 64 KiB a packet
        carrier_ = client_.initiate(post::Remote("127.0.0.1", listener_.port()), options);
    }

    // Sends `content` again and again until the other end has `bytes` more of it.
    template <class Content> void run(const Content& content, std::uint64_t bytes) {
        const std::uint64_t end = received_ + bytes;
        while (received_ < end) {
            while (carrier_.writable()) carrier_.send(content);
            client_.turn();
            server_.turn();
        }
    }
    std::uint64_t packets() const { return carrier_.association().paths().at(0).packets_sent; }
    std::uint64_t messages() const { return messages_; }

private:
    post::Context server_;
    post::Context client_;
    post::Listener listener_;
    post::Carrier carrier_;
    std::uint64_t received_ = 0;
    std::uint64_t messages_ = 0;
};

// Two coroutines that wait for each other's messages, and with a send budget of one byte for room
// behind each of their own.
class Awaiting {
public:
    Awaiting() {
        const auto identity = post::Identity::self_signed("localhost");
        post::Bounds bounds;
        bounds.send_budget = 1;
        post::ListenOptions listen;
        listen.bounds = bounds;
        listener_ = server_.listen({.port = 0, .identity = identity}, listen);
        listener_.accept([this](post::Carrier carrier) {
            answer(std::move(carrier));
            return true;
        });
        post::InitiateOptions options;
        options.trust = post::Trust::pinned(identity.pin());
        options.bounds = bounds;
        ask(client_.initiate(post::Remote("127.0.0.1", listener_.port()), options));
    }
    void run(std::uint64_t rounds) {
        const std::uint64_t end = rounds_ + rounds;
        while (rounds_ < end) {
            client_.turn();
            server_.turn();
        }
    }

private:
    post::Task<> ask(post::Carrier carrier) {
        const std::string content(64, 'x');
        for (bool good = true; good; ++rounds_) {
            post::Sending first = carrier.send(content);
            good = static_cast<bool>(co_await carrier.send(content));
            good = good && co_await carrier.receive() && co_await carrier.receive();
        }
    }
    post::Task<> answer(post::Carrier carrier) {
        for (bool good = true; good;) {
            auto message = co_await carrier.receive();
            good = message && co_await carrier.send(message->view());
        }
    }

    std::uint64_t rounds_ = 0;
    post::Context server_;
    post::Context client_;
    post::Listener listener_;
};

struct Count {
    double per_packet = 0;
    double per_message = 0;
};

template <class Content>
Count count(const Content& content, std::uint64_t warm_up, std::uint64_t measured) {
    Transfer transfer;
    transfer.run(content, warm_up);
    const std::uint64_t packets = transfer.packets();
    const std::uint64_t messages = transfer.messages();
    const std::uint64_t before = post::test::allocations();
    transfer.run(content, measured);
    const auto made = static_cast<double>(post::test::allocations() - before);
    return {made / static_cast<double>(transfer.packets() - packets),
            made / static_cast<double>(transfer.messages() - messages)};
}

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("what is taken from the heap is counted") {
        const std::uint64_t before = post::test::allocations();
        ::operator delete(::operator new(1));
        if (replaced_new) {
            MESSAGE("skipped: the sanitizer has its own operator new, nothing is counted");
            return;
        }
        CHECK(post::test::allocations() == before + 1);
    }

    // A received mebibyte lies in blocks of 64 KiB, one for 45 packets or more.
    TEST_CASE("a bulk transfer allocates nothing for a packet") {
        const Count made = count(post::Bytes(std::string(1 << 20, 'x')), 64 << 20, 128 << 20);
        MESSAGE(made.per_packet << " allocations a packet, " << made.per_message << " a message");
        CHECK(made.per_packet < 0.06);
    }

    TEST_CASE("waiting for messages, and for room, allocates nothing") {
        Awaiting awaiting;
        awaiting.run(1000);
        const std::uint64_t before = post::test::allocations();
        awaiting.run(1000);
        const std::uint64_t made = post::test::allocations() - before;
        MESSAGE(made << " allocations in 1000 rounds");
        CHECK(made == 0);
    }

    // A message that is cut at the end of a packet needs a place to be put together in.
    TEST_CASE("a stream of small messages allocates nothing for a packet, nor for a message") {
        const Count made = count(std::string_view("0123456789abcdef0123456789abcdef"
                                                  "0123456789abcdef0123456789abcdef"),
                                 4 << 20, 8 << 20);
        MESSAGE(made.per_packet << " allocations a packet, " << made.per_message << " a message");
        CHECK(made.per_packet < 0.1);
        CHECK(made.per_message < 0.01);
    }
}
