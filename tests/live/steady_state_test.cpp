// What a transfer takes from the heap once it runs: counted over loopback, through the public API,
// both ends in this thread. Buffers may grow and tables fill at first; from then on nothing is
// allocated for a packet.
#include <ostream>
#include <string>

#include <doctest/doctest.h>
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
