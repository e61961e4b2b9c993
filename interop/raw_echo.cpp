// A raw QUIC echo on post: Carriers with an ALPN of the application's own, that is, streams without
// any framing. The other half of deno_echo.ts, with the same command line.
//
//   raw_echo server PORT CERT KEY ALPN
//       Listens (PORT 0: any) and prints "listening PORT". Sends what comes on a Carrier back on
//       it, and ends it when the peer ends it. Goes on until it is killed.
//   raw_echo client HOST PORT CA ALPN STREAMS BYTES
//       Opens STREAMS Carriers of one Association, sends BYTES on each, and compares what comes
//       back. Prints "ok STREAMS streams BYTES bytes"; else "failed: why" on stderr and exit 1.
//       The certificate of CA must be made out to "localhost".
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <post/post.hpp>

#include "number.hpp"

namespace {

const post::Policy quic{.stacks = {post::Stack::quic}};

// Byte i of stream s; the same formula is in deno_echo.ts, so that a mixed-up stream shows.
char pattern(std::size_t stream, std::size_t i) {
    return static_cast<char>((i * 31 + stream * 17 + 7) & 0xff);
}

// The server's end of one Carrier: one message after the other, and the next only when the last
// was accepted, so that a client which does not read is not read either.
class Echo {
public:
    explicit Echo(post::Carrier carrier) : carrier_(std::move(carrier)) {}

    static void go_on(std::shared_ptr<Echo> self) {
        auto& carrier = self->carrier_;
        carrier.receive().then([self = std::move(self)](post::Result<post::InMessage> message) {
            if (message) {
                self->send(self, std::move(*message).content());
            } else if (message.error() == post::Errc::carrier_closed) {
                self->carrier_.finish();
            } else {
                std::fprintf(stderr, "carrier: %s\n", message.error().message().c_str());
            }
        });
    }

private:
    void send(std::shared_ptr<Echo> self, post::Bytes bytes) {
        carrier_.send(std::move(bytes)).then([self](post::Result<post::MessageId> sent) {
            if (sent)
                go_on(self);
            else
                std::fprintf(stderr, "carrier: %s\n", sent.error().message().c_str());
        });
    }

    post::Carrier carrier_;
};

int serve(std::uint16_t port, const std::string& certificates, const std::string& key,
          const std::string& alpn) {
    post::Context context;
    auto listener = context.listen(
        {.port = port, .identity = post::Identity::from_files(certificates, key)},
        {.policy = quic, .alpn = {alpn}});
    listener.accept([](post::Carrier carrier) {
        Echo::go_on(std::make_shared<Echo>(std::move(carrier)));
        return true;
    });
    std::printf("listening %u\n", unsigned{listener.port()});
    std::fflush(stdout);
    context.run();
    return 0;
}

// The client's end: sends in pieces of odd size, so that they do not fall together with packets or
// buffers, and compares while it still sends.
class Question {
public:
    Question(post::Carrier carrier, std::size_t stream, std::size_t bytes)
        : carrier_(std::move(carrier)), stream_(stream), bytes_(bytes) {
        send();
        receive();
    }

    post::Carrier& carrier() { return carrier_; }
    bool done() const { return done_; }
    const std::string& failure() const { return failure_; }

private:
    static constexpr std::size_t piece = 50'021;

    void send() {
        if (sent_ == bytes_) return carrier_.finish();
        std::string bytes(std::min(piece, bytes_ - sent_), '\0');
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern(stream_, sent_ + i);
        sent_ += bytes.size();
        carrier_.send(std::move(bytes)).then([this](post::Result<post::MessageId> accepted) {
            if (accepted)
                send();
            else
                fail(accepted.error().message());
        });
    }

    void receive() {
        carrier_.receive().then([this](post::Result<post::InMessage> message) {
            if (message) return compare(message->view());
            if (message.error() != post::Errc::carrier_closed)
                return fail(message.error().message());
            if (got_ != bytes_)
                return fail(std::to_string(got_) + " bytes of " + std::to_string(bytes_) +
                            " came back");
            done_ = true;
        });
    }

    void compare(std::string_view bytes) {
        for (const char byte : bytes)
            if (byte != pattern(stream_, got_++))
                return fail("byte " + std::to_string(got_ - 1) + " is wrong");
        receive();
    }

    void fail(const std::string& why) {
        if (failure_.empty()) failure_ = "stream " + std::to_string(stream_) + ": " + why;
    }

    post::Carrier carrier_;
    std::size_t stream_;
    std::size_t bytes_;
    std::size_t sent_ = 0;
    std::size_t got_ = 0;
    bool done_ = false;
    std::string failure_;
};

int ask(std::string_view host, std::uint16_t port, const std::string& authority,
        const std::string& alpn, std::size_t streams, std::size_t bytes) {
    post::Context context;
    post::Remote remote(host, port);
    remote.set_server_name("localhost");
    std::vector<std::unique_ptr<Question>> questions;
    for (std::size_t i = 0; i < streams; ++i) {
        auto carrier = i == 0 ? context.initiate(remote,
                                                 {.policy = quic,
                                                  .trust = post::Trust::authorities_file(authority),
                                                  .alpn = alpn})
                              : questions[0]->carrier().fork();
        questions.push_back(std::make_unique<Question>(std::move(carrier), i, bytes));
    }
    context.run();
    for (const auto& question : questions) {
        if (!question->failure().empty()) throw std::runtime_error(question->failure());
        if (!question->done()) throw std::runtime_error("a stream was left without an end");
    }
    std::printf("ok %zu streams %zu bytes\n", streams, bytes);
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
            "usage: server PORT CERT KEY ALPN | client HOST PORT CA ALPN STREAMS BYTES");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "failed: %s\n", error.what());
        return 1;
    }
}
