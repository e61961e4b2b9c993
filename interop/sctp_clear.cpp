// SCTP right over UDP on post (RFC 6951), with plain peers: nothing is secured, so it is for tests.
//
//   sctp_clear server SCTP_PORT UDP_PORT
//       Prints "listening". Sends back what comes on a stream. Goes on until it is killed.
//   sctp_clear sink SCTP_PORT UDP_PORT
//       The same, but sends nothing back: prints "took N messages, B bytes" when a stream ends.
//   sctp_clear pour HOST SCTP_PORT UDP_PORT STREAMS BYTES
//       Sends ten messages of up to BYTES on each of STREAMS streams to whoever takes them, and
//       waits until all are acknowledged. Prints "ok N messages"; else as client.
//   sctp_clear client HOST SCTP_PORT UDP_PORT STREAMS BYTES
//       Sends ten messages of up to BYTES on each of STREAMS streams to an echo server, and
//       compares what comes back. Prints "ok STREAMS streams"; else "failed: why" and exit 1.
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include <post/coro.hpp>
#include <post/post.hpp>

#include "number.hpp"

namespace {

using std::chrono_literals::operator""s;

post::Policy policy() { return {post::Security::none, {post::Stack::sctp_udp}}; }

post::Task<> echo(post::Carrier carrier) {
    int count = 0;
    while (auto message = co_await carrier.receive()) {
        ++count;
        co_await carrier.send(std::move(*message).content());
    }
    std::printf("echoed %d\n", count);
    std::fflush(stdout);
}

post::Task<> sink(post::Carrier carrier) {
    std::uint64_t count = 0, bytes = 0;
    while (auto message = co_await carrier.receive()) {
        ++count;
        bytes += message->size();
    }
    std::printf("took %llu messages, %llu bytes\n", static_cast<unsigned long long>(count),
                static_cast<unsigned long long>(bytes));
    std::fflush(stdout);
}

int serve(std::uint16_t sctp_port, std::uint16_t udp_port,
          post::Task<> (*with)(post::Carrier) = echo) {
    post::Context context;
    auto listener = context.listen(
        {.port = sctp_port, .identity = post::Identity::self_signed("localhost")},
        {.policy = policy(), .alpn = {"echo"}, .sctp = {.udp_port = udp_port}});
    listener.accept([with](post::Carrier carrier) {
        with(std::move(carrier));
        return true;
    });
    std::printf("listening\n");
    std::fflush(stdout);
    context.run();
    return 0;
}

post::Task<> ask(post::Carrier& carrier, char kind, std::size_t bytes) {
    for (std::size_t i = 1; i <= 10; ++i) {
        const std::string content(bytes * i / 10, static_cast<char>(kind + i));
        co_await carrier.send(content);
        auto back = co_await carrier.receive();
        if (!back) throw std::runtime_error(back.error().message());
        if (back->view() != content)
            throw std::runtime_error(std::to_string(content.size()) + " bytes came back as " +
                                     std::to_string(back->size()) + ", or others");
    }
}

int meet(const std::string& host, std::uint16_t sctp_port, std::uint16_t udp_port, int streams,
         std::size_t bytes) {
    post::Context context;
    std::string failure = "nothing was heard";
    auto run = [&](post::Carrier first) -> post::Task<> {
        std::vector<post::Carrier> carriers;
        try {
            for (int i = 1; i < streams; ++i) carriers.push_back(first.fork());
            carriers.push_back(std::move(first));
            for (auto& carrier : carriers) co_await ask(carrier, 'a', bytes);
            failure.clear();
        } catch (const std::exception& error) {
            failure = error.what();
        }
        context.stop();
    };
    run(context.initiate(post::Remote(host, sctp_port),
                         {.policy = policy(), .alpn = "echo", .sctp = {.udp_port = udp_port}}));
    context.run();
    context.shutdown(1s);
    if (!failure.empty()) throw std::runtime_error(failure);
    std::printf("ok %d streams\n", streams);
    return 0;
}

int pour(const std::string& host, std::uint16_t sctp_port, std::uint16_t udp_port, int streams,
         std::size_t bytes) {
    post::Context context;
    int waits = 0, acked = 0;
    std::string failure;
    {
        std::vector<post::Carrier> carriers;
        carriers.push_back(
            context.initiate(post::Remote(host, sctp_port),
                             {.policy = policy(), .alpn = "pour", .sctp = {.udp_port = udp_port}}));
        for (int i = 1; i < streams; ++i) carriers.push_back(carriers.front().fork());
        for (auto& carrier : carriers) {
            for (std::size_t i = 1; i <= 10; ++i) {
                ++waits;
                carrier.send(std::string(bytes * i / 10, 'p'), {}, [&](const post::Fate& fate) {
                    if (fate.kind == post::Fate::Kind::sent) return;
                    if (fate.kind == post::Fate::Kind::acked) ++acked;
                    if (fate.error) failure = fate.error.message();
                    if (--waits == 0) context.stop();
                });
            }
        }
        context.run();
    }
    context.shutdown(1s);
    if (!failure.empty()) throw std::runtime_error(failure);
    std::printf("ok %d messages\n", acked);
    return 0;
}

}  // namespace

int main(int count, char** values) {
    const std::vector<std::string> arguments(values + 1, values + count);
    try {
        if (arguments.size() == 3 && arguments[0] == "server")
            return serve(number<std::uint16_t>(arguments[1]), number<std::uint16_t>(arguments[2]));
        if (arguments.size() == 3 && arguments[0] == "sink")
            return serve(number<std::uint16_t>(arguments[1]), number<std::uint16_t>(arguments[2]),
                         sink);
        if (arguments.size() == 6 && (arguments[0] == "client" || arguments[0] == "pour"))
            return (arguments[0] == "client" ? meet : pour)(
                arguments[1], number<std::uint16_t>(arguments[2]),
                number<std::uint16_t>(arguments[3]), number<int>(arguments[4]),
                number<std::size_t>(arguments[5]));
        throw std::invalid_argument(
            "usage: server|sink SCTP_PORT UDP_PORT | client|pour HOST SCTP_PORT UDP_PORT STREAMS "
            "BYTES");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "failed: %s\n", error.what());
        return 1;
    }
}
