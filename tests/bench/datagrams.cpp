// Plain datagrams from the server to the client. Each begins with its number; the client says the
// highest that it has, and the sender stays so far below the size of the receiver's buffer that
// nothing is lost.
#include "datagrams.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "datagram_window.hpp"
#include "driver.hpp"
#include "meter.hpp"
#include "post_ends.hpp"

namespace post::bench {

namespace {

const Policy datagrams{.security = Security::none, .stacks = {Stack::udp}};

// Goes on for as long as its Carrier.
class Sender : public std::enable_shared_from_this<Sender> {
public:
    explicit Sender(Carrier carrier) : carrier_(std::move(carrier)) {}

    void begin() {
        carrier_.ready([self = shared_from_this()](Carrier&, const InMessage& message) {
            InMessage said(message);
            self->acked_ = number_of(said.view());
            self->pump();
            return true;
        });
        pump();
    }

private:
    void pump() {
        while (sent_ - acked_ < datagram_window) {
            ++sent_;
            std::memcpy(content_.data(), &sent_, sizeof sent_);
            carrier_.send(std::string_view(content_));
        }
    }

    Carrier carrier_;
    std::string content_ = std::string(datagram_size, 'x');
    std::uint64_t sent_ = 0;
    std::uint64_t acked_ = 0;
};

}  // namespace

void serve_datagrams(const ServerEnd& end) {
    Context context(context_options(end.waiting, end.protection));
    context.on_unhandled([](const Error&) {});
    Listener listener = context.listen({.address = *Address::parse("127.0.0.1")},
                                       {.policy = datagrams});
    listener.accept([](Carrier carrier) {
        std::make_shared<Sender>(std::move(carrier))->begin();
        return true;
    });
    end.announce(listener.port());
    Driver(context, end.waiting).run();
}

void measure_datagrams(const ClientEnd& end) {
    Context context(context_options(end.waiting, end.protection));
    Driver driver(context, end.waiting);
    Carrier carrier = context.initiate(Remote(*Address::parse("127.0.0.1", end.settings.port)),
                                       {.policy = datagrams});
    std::uint64_t messages = 0;
    std::uint64_t said = 0;
    carrier.send(number(0));
    carrier.ready([&](Carrier& self, InMessage message) {
        if (++messages == 1) driver.stop();
        const std::uint64_t highest = number_of(message.view());
        if (highest - said >= datagram_batch) self.send(number(said = highest));
        return true;
    });
    driver.run();
    driver.run_for(end.settings.warm_up);
    const std::uint64_t before = messages;
    const Meter meter(end);
    driver.run_for(end.settings.seconds);
    const auto used = meter.used();
    if (messages == before) throw std::runtime_error("nothing arrived");
    report_datagrams(end, static_cast<double>(messages - before), used);
}

}  // namespace post::bench
