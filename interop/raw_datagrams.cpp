// Unreliable messages on post with an ALPN of the application's own: QUIC DATAGRAM frames
// (RFC 9221) that hold the content and nothing else. The other half of deno_datagram.ts, with the
// same command line.
//
//   raw_datagrams server PORT CERT KEY ALPN
//       Listens (PORT 0: any) and prints "listening PORT". Sends every message back in a datagram.
//       Goes on until it is killed.
//   raw_datagrams client HOST PORT CA ALPN COUNT BYTES
//       Opens a Carrier, whose first message, on its stream, has to come back in a datagram: a
//       datagram that comes before any Carrier is open belongs to none. Sends COUNT messages of
//       BYTES bytes in datagrams, one after the other, and compares what comes back; one that does
//       not come within a second is sent again, five times at most. Prints "ok COUNT datagrams
//       BYTES bytes"; else "failed: why" on stderr and exit 1.
//       The certificate of CA must be made out to "localhost".
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <post/coro.hpp>
#include <post/post.hpp>
#include <post/waits.hpp>

#include "number.hpp"

namespace {

using namespace std::chrono_literals;

const post::Policy quic{.stacks = {post::Stack::quic}};

const post::SendOptions unreliable{.ordered = false, .reliable = false};
constexpr int most_tries = 5;

// The same formula is in deno_datagram.ts.
std::string pattern(std::size_t number, std::size_t bytes) {
    std::string text(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i)
        text[i] = static_cast<char>((i * 31 + number * 17 + 7) & 0xff);
    return text;
}

int serve(std::uint16_t port, const std::string& certificates, const std::string& key,
          const std::string& alpn) {
    post::Context context;
    auto listener = context.listen(
        {.port = port, .identity = post::Identity::from_files(certificates, key)},
        {.policy = quic, .alpn = {alpn}});
    listener.accept([](post::Carrier carrier) {
        carrier.ready([](post::Carrier& from, post::InMessage message) {
            from.send(std::move(message).content(), unreliable);
            return true;
        });
        return true;
    });
    std::printf("listening %u\n", unsigned{listener.port()});
    std::fflush(stdout);
    context.run();
    return 0;
}

// Empty when all came back, else what is wrong.
post::Task<std::string> play(post::Carrier carrier, std::size_t count, std::size_t bytes) {
    carrier.send(pattern(count, 10));
    if (auto first = co_await post::timeout(carrier.receive(), 5s); !first)
        co_return "the first word: " + first.error().message();
    for (std::size_t i = 0; i < count; ++i) {
        const std::string text = pattern(i, bytes);
        for (int tries = 0;; ++tries) {
            if (tries == most_tries) co_return "number " + std::to_string(i) + " does not come";
            carrier.send(text, unreliable);
            auto answer = co_await post::timeout(carrier.receive(), 1s);
            if (!answer && answer.error() == post::Errc::timed_out) continue;
            if (!answer) co_return answer.error().message();
            if (answer->view() != text)
                co_return "number " + std::to_string(i) + " comes back otherwise";
            break;
        }
    }
    const auto support = carrier.association().explain(post::Feature::unreliable);
    if (support.level != post::Support::Level::native) co_return support.reason;
    // What QUIC acknowledges is acked.
    const auto fate = co_await post::timeout(carrier.deliver("last", unreliable), 5s);
    if (!fate) co_return "the last: " + fate.error().message();
    if (fate->kind != post::Fate::Kind::acked) co_return "the last is not acked";
    carrier.finish();
    co_return "";
}

int ask(std::string_view host, std::uint16_t port, const std::string& authority,
        const std::string& alpn, std::size_t count, std::size_t bytes) {
    post::Context context;
    post::Remote remote(host, port);
    remote.set_server_name("localhost");
    auto carrier = context.initiate(
        remote, {.policy = quic, .trust = post::Trust::authorities_file(authority), .alpn = alpn});
    std::string wrong = "it never ended";
    [](post::Carrier of, std::size_t messages, std::size_t size,
       std::string& result) -> post::Task<> {
        result = co_await play(std::move(of), messages, size);
    }(std::move(carrier), count, bytes, wrong);
    context.run();
    if (!wrong.empty()) throw std::runtime_error(wrong);
    std::printf("ok %zu datagrams %zu bytes\n", count, bytes);
    return 0;
}

}  // namespace

int main(int count, char** values) {
    const std::vector<std::string> arguments(values + 1, values + count);
    try {
        if (arguments.size() == 5 && arguments[0] == "server")
            return serve(number<std::uint16_t>(arguments[1]), arguments[2], arguments[3],
                         arguments[4]);
        if (arguments.size() == 7 && arguments[0] == "client")
            return ask(arguments[1], number<std::uint16_t>(arguments[2]), arguments[3],
                       arguments[4], number<std::size_t>(arguments[5]),
                       number<std::size_t>(arguments[6]));
        throw std::invalid_argument(
            "usage: server PORT CERT KEY ALPN | client HOST PORT CA ALPN COUNT BYTES");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "failed: %s\n", error.what());
        return 1;
    }
}
