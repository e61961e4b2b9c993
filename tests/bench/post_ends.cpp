// The server that all post rows share, and the way to it.
#include "post_ends.hpp"

#include <malloc.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include <post/coro.hpp>
#include <post/stream.hpp>

namespace post::bench {

namespace {

using namespace std::chrono_literals;

// Large enough for whatever a row asks for; idle ends are never closed meanwhile.
Bounds bounds() {
    Bounds bounds;
    bounds.idle_timeout = 10min;
    bounds.carriers = 1ULL << 21;
    return bounds;
}

Policy policy(const std::string& stack) {
    if (stack == "sctp-dtls") return {.stacks = {Stack::sctp_dtls}};
    if (stack == "sctp-udp") return {.security = Security::none, .stacks = {Stack::sctp_udp}};
    return {.stacks = {stack == "tls" ? Stack::tls : Stack::quic}};
}

// A UDP port for the benchmark alone.
SctpOptions sctp_options(std::size_t payload) {
    SctpOptions options;
    options.largest_payload = payload;
    options.udp_port = 9898;
    return options;
}

QuicOptions quic_options(std::size_t payload) {
    QuicOptions options;
    options.largest_payload = payload;
    return options;
}

// Sends the same message again and again. It lives as long as its Carrier takes messages: the
// operation that waits for room holds it.
class Stream : public std::enable_shared_from_this<Stream> {
public:
    Stream(Carrier carrier, std::size_t size)
        : carrier_(std::move(carrier)), content_(std::string(size, 'x')) {}

    void pump() {
        for (;;) {
            Sending sending = content_.size() < copied ? carrier_.send(content_.view())
                                                       : carrier_.send(content_);
            if (sending.ready()) {
                if (!sending.get()) return;
                continue;
            }
            return std::move(sending).then([self = shared_from_this()](Result<MessageId> sent) {
                if (sent) self->pump();
            });
        }
    }

private:
    static constexpr std::size_t copied = 2048;  // smaller content is copied by send in any case
    Carrier carrier_;
    Bytes content_;
};

// The same by a coroutine.
Task<> stream(Carrier carrier, std::size_t size) {
    const std::string content(size, 'x');
    while (co_await carrier.send(content)) {}
}

// Messages of 1 MiB, as fast as they go, and behind or between them an urgent one for each "now".
// It lives as long as its Carrier.
class Bulk : public std::enable_shared_from_this<Bulk> {
public:
    Bulk(Carrier carrier, Niceness niceness) : carrier_(std::move(carrier)), niceness_(niceness) {}

    void begin() {
        carrier_.ready([self = shared_from_this()](Carrier& carrier, const InMessage&) {
            self->urgent_.emplace(carrier.send(stamp()));
            return true;
        });
        pump();
    }

private:
    void pump() {
        for (;;) {
            Sending sending = carrier_.send(content_, {.niceness = niceness_});
            if (sending.ready() && !sending.get()) return;
            if (sending.ready()) continue;
            return std::move(sending).then([self = shared_from_this()](Result<MessageId> sent) {
                if (sent) self->pump();
            });
        }
    }

    Carrier carrier_;
    Niceness niceness_;
    Bytes content_{std::string(1 << 20, 'x')};
    std::optional<Sending> urgent_;  // it may have to wait for room
};

// Writes the same bytes to a Stream again and again, for as long as it takes them.
Task<> write_all(post::Stream stream, std::size_t size) {
    const Bytes content(std::string(size, 'x'));
    while (co_await stream.write(content)) {}
}

// The number behind the verb; none: the request is another one.
std::optional<std::size_t> number_behind(std::string_view verb, std::string_view request) {
    if (!request.starts_with(verb)) return std::nullopt;
    std::size_t number = 0;
    std::from_chars(request.data() + verb.size(), request.data() + request.size(), number);
    return number;
}

bool answer(Carrier& carrier, InMessage message) {
    const std::string_view request = message.view();
    if (const auto size = number_behind("stream ", request)) {
        std::make_shared<Stream>(std::move(carrier), *size)->pump();
        return false;
    }
    if (const auto size = number_behind("coroutine ", request)) {
        stream(std::move(carrier), *size);
        return false;
    }
    if (const auto niceness = number_behind("bulk ", request)) {
        std::make_shared<Bulk>(std::move(carrier), static_cast<std::uint32_t>(*niceness))->begin();
        return true;
    }
    if (request == "now") {
        carrier.send(stamp());
        return true;
    }
    if (request == "heap") {
        carrier.send(std::to_string(static_cast<std::uint64_t>(heap_bytes())));
        return true;
    }
    const bool final = message.final();
    carrier.send(std::move(message).content(), {.final = final});
    return true;  // until the peer's end has come too
}

}  // namespace

namespace {

void serve(const ServerEnd& end, Carrier::OnCarrier accept) {
    const Identity identity = Identity::self_signed("localhost");
    Context context(context_options(end.waiting, end.protection));
    context.on_unhandled([](const Error&) {});  // clients go as they like
    ListenOptions options;
    options.bounds = bounds();
    options.quic = quic_options(end.payload);
    options.sctp = sctp_options(end.payload);
    options.policy = policy(end.settings.stack);
    Listener listener = context.listen(
        {.address = *Address::parse("127.0.0.1"), .identity = identity}, options);
    listener.accept(std::move(accept));
    end.announce(listener.port(), identity.pin());
    Driver(context, end.waiting).run();
}

}  // namespace

void serve_post(const ServerEnd& end) {
    serve(end, [](Carrier carrier) {
        carrier.accept([](Carrier fork) {
            fork.ready(answer);
            return true;
        });
        carrier.ready(answer);
        return true;
    });
}

void serve_stream(const ServerEnd& end) {
    serve(end, [](Carrier carrier) {
        write_all(carrier.as_stream().value(), 1 << 20);
        return true;
    });
}

ContextOptions context_options(Waiting waiting, std::string_view protection) {
    ContextOptions options;
    if (protection == "gnutls") options.packet_protection = PacketProtection::gnutls;
    if (protection == "ipsec-mb") options.packet_protection = PacketProtection::ipsec_mb;
    if (waiting == Waiting::spinning) options.spin = 50us;
    return options;
}

Carrier initiate(Context& context, const ClientEnd& end, const std::string& name,
                 std::uint64_t number) {
    InitiateOptions options;
    options.quic = quic_options(end.payload);
    options.sctp = sctp_options(end.payload);
    options.policy = policy(end.settings.stack);
    options.trust = Trust::pinned(end.settings.pin);
    options.bounds = bounds();
    options.bounds.carriers += number;
    Remote remote(*Address::parse("127.0.0.1", end.settings.port));
    remote.set_server_name(name);
    return context.initiate(std::move(remote), options);
}

Carrier connect(Context& context, Driver& driver, const ClientEnd& end) {
    Carrier carrier = initiate(context, end);
    carrier.activate().then([&](Result<void> made) {
        std::move(made).value();
        driver.stop();
    });
    driver.run();
    return carrier;
}

std::string stamp() {
    std::string content(stamped_size, 'u');
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    std::memcpy(content.data(), &now, sizeof now);
    return content;
}

double seconds_since(std::string_view stamped) {
    std::chrono::steady_clock::rep then{};
    std::memcpy(&then, stamped.data(), sizeof then);
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(now - std::chrono::steady_clock::duration(then)).count();
}

double heap_bytes() {
    const auto info = ::mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
}

}  // namespace post::bench
