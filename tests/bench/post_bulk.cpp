// One Carrier on which the server sends as fast as it can and a callback receives.
#include "post_bulk.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include <post/coro.hpp>
#include <post/stream.hpp>

#include "descriptor.hpp"
#include "driver.hpp"
#include "meter.hpp"
#include "post_ends.hpp"

namespace post::bench {

namespace {

struct Received {
    double bytes = 0;
    double messages = 0;
    std::size_t datagram = 0;
    Meter::Used used;
};

// What arrives, and who wants to hear of the first message.
struct Arrivals {
    Driver& driver;
    std::uint64_t bytes = 0;
    std::uint64_t messages = 0;
    void add(const InMessage& message) {
        bytes += message.size();
        if (++messages == 1) driver.stop();
    }
};

Task<> receive_all(Carrier carrier, Arrivals& arrivals) {
    while (auto message = co_await carrier.receive()) arrivals.add(*message);
}

enum class Way : std::uint8_t { callbacks, coroutines };

Received receive(const ClientEnd& end, std::size_t size, Way way = Way::callbacks) {
    Context context(context_options(end.waiting, end.protection));
    Driver driver(context, end.waiting);
    Carrier carrier = connect(context, driver, end);
    Arrivals arrivals{driver};
    const Association association = carrier.association();
    if (way == Way::coroutines) {
        carrier.send("coroutine " + std::to_string(size));
        receive_all(std::move(carrier), arrivals);
    } else {
        carrier.send("stream " + std::to_string(size));
        carrier.ready([&](Carrier&, const InMessage& message) {
            arrivals.add(message);
            return true;
        });
    }
    driver.run();  // until the first is there
    driver.run_for(end.settings.warm_up);
    const std::uint64_t bytes_before = arrivals.bytes;
    const std::uint64_t messages_before = arrivals.messages;
    const Meter meter(end);
    driver.run_for(end.settings.seconds);
    const auto used = meter.used();
    if (arrivals.messages == messages_before) throw std::runtime_error("nothing arrived");
    const auto paths = association.paths();
    return {static_cast<double>(arrivals.bytes - bytes_before),
            static_cast<double>(arrivals.messages - messages_before),
            paths.empty() ? 0 : paths[0].mtu, used};
}

}  // namespace

void measure_bulk(const ClientEnd& end) {
    const Received received = receive(end, 1 << 20);
    report_bulk(end, received.bytes, received.used);
    end.report("datagram", static_cast<double>(received.datagram), "bytes");
}

void measure_descriptor(const ClientEnd& end) {
    Context context(context_options(end.waiting, end.protection));
    Driver driver(context, end.waiting);
    post::Stream stream = connect(context, driver, end).as_stream().value();
    stream.write("go");
    const Descriptor descriptor(stream.as_descriptor().value(), "as_descriptor");
    std::atomic<std::uint64_t> bytes = 0;
    std::thread reader([&] {
        std::vector<char> buffer(1 << 20);
        for (;;) {
            const ssize_t got = ::read(descriptor.get(), buffer.data(), buffer.size());
            if (got <= 0) return;
            bytes += static_cast<std::uint64_t>(got);
        }
    });
    driver.run_for(end.settings.warm_up);
    const std::uint64_t before = bytes;
    const Meter meter(end);
    driver.run_for(end.settings.seconds);
    const auto used = meter.used();
    const std::uint64_t received = bytes - before;
    ::shutdown(descriptor.get(), SHUT_RDWR);
    reader.join();
    if (received == 0) throw std::runtime_error("nothing arrived");
    report_bulk(end, static_cast<double>(received), used);
}

namespace {

void report_messages(const ClientEnd& end, const Received& received) {
    end.report("rate", received.messages / received.used.wall / 1e6, "M/s");
    end.report("rate of CPU time",
               received.messages / std::max(received.used.server, received.used.client) / 1e6,
               "M/s");
    end.report("sender", received.used.server / received.messages * 1e9, "CPU ns");
    end.report("receiver", received.used.client / received.messages * 1e9, "CPU ns");
}

}  // namespace

template <std::size_t size> void measure_messages(const ClientEnd& end) {
    report_messages(end, receive(end, size));
}

void measure_awaited_messages(const ClientEnd& end) {
    report_messages(end, receive(end, 64, Way::coroutines));
}

template void measure_messages<16>(const ClientEnd&);
template void measure_messages<64>(const ClientEnd&);
template void measure_messages<1024>(const ClientEnd&);
template void measure_messages<16384>(const ClientEnd&);

}  // namespace post::bench
