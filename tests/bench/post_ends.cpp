// The server that all post rows share, and the way to it.
#include "post_ends.hpp"

#include <malloc.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>

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

std::size_t stream_size(std::string_view request) {
    constexpr std::string_view verb = "stream ";
    std::size_t size = 0;
    if (request.starts_with(verb))
        std::from_chars(request.data() + verb.size(), request.data() + request.size(), size);
    return size;
}

bool answer(Carrier& carrier, InMessage message) {
    const std::string_view request = message.view();
    if (const std::size_t size = stream_size(request)) {
        std::make_shared<Stream>(std::move(carrier), size)->pump();
        return false;
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

void serve_post(const ServerEnd& end) {
    const Identity identity = Identity::self_signed("localhost");
    Context context(context_options(end.waiting, end.protection));
    context.on_unhandled([](const Error&) {});  // clients go as they like
    ListenOptions options;
    options.bounds = bounds();
    options.quic = quic_options(end.payload);
    Listener listener = context.listen(
        {.address = *Address::parse("127.0.0.1"), .identity = identity}, options);
    listener.accept([](Carrier carrier) {
        carrier.accept([](Carrier fork) {
            fork.ready(answer);
            return true;
        });
        carrier.ready(answer);
        return true;
    });
    end.announce(listener.port(), identity.pin());
    Driver(context, end.waiting).run();
}

ContextOptions context_options(Waiting waiting, std::string_view protection) {
    ContextOptions options;
    if (protection == "gnutls") options.packet_protection = PacketProtection::gnutls;
    if (protection == "ipsec-mb") options.packet_protection = PacketProtection::ipsec_mb;
    if (waiting == Waiting::spinning) options.spin = 50us;
    return options;
}

Carrier initiate(Context& context, const ClientEnd& end, const std::string& name) {
    InitiateOptions options;
    options.quic = quic_options(end.payload);
    options.trust = Trust::pinned(end.settings.pin);
    options.bounds = bounds();
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

double heap_bytes() {
    const auto info = ::mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
}

}  // namespace post::bench
