// Requests and downloads through the public interface.
#include "post_http3.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <stdexcept>
#include <string>

#include <post/http.hpp>
#include <post/post.hpp>

#include "driver.hpp"
#include "meter.hpp"
#include "post_ends.hpp"

namespace post::bench {

namespace {

using namespace std::chrono_literals;

constexpr int outstanding = 100;
// As large an answer as nobody waits for.
constexpr std::uint64_t endless = std::uint64_t{1} << 50;

std::uint64_t number_of(std::string_view target) {
    std::uint64_t number = 0;
    if (target.starts_with('/'))
        std::from_chars(target.data() + 1, target.data() + target.size(), number);
    return number;
}

void answer(Carrier& carrier, std::uint64_t size) {
    static const Bytes content(std::string(1 << 20, 'x'));
    if (size <= content.size()) {
        carrier.send(content.slice(0, size), {.final = true});
        return;
    }
    carrier.send(Generated{.size = size,
                           .produce = [](std::uint64_t, std::size_t most) -> Result<Bytes> {
                               return content.slice(0, std::min(most, content.size()));
                           }},
                 {.final = true});
}

// A connection to that server, and the URL of a path.
class Client {
public:
    explicit Client(const ClientEnd& end)
        : context_(context_options(end.waiting, end.protection)),
          driver_(context_, end.waiting),
          base_("https://127.0.0.1:" + std::to_string(end.settings.port)) {
        options_.policy = {.stacks = {Stack::http3}};
        options_.quic.largest_payload = end.payload;
        options_.trust = Trust::pinned(end.settings.pin);
        options_.bounds.idle_timeout = 10min;
    }
    Carrier ask(const std::string& path) { return context_.initiate(base_ + path, options_); }
    Driver& driver() { return driver_; }

private:
    Context context_;
    Driver driver_;
    std::string base_;
    InitiateOptions options_;
};

// Asks again as soon as it is answered. What is forked asks nothing itself, and so stays.
class Requests {
public:
    explicit Requests(Carrier parent) : parent_(std::move(parent)) {}

    void begin() {
        parent_.activate().then([this](Result<void> made) {
            std::move(made).value();
            for (int i = 0; i < outstanding; ++i) ask();
        });
    }
    std::uint64_t answered = 0;

private:
    void ask() {
        Carrier request = parent_.fork();
        request.send("", {.final = true});
        request.ready([this](Carrier&, const InMessage& reply) {
            if (reply.size() != 64) throw std::runtime_error("an answer of another length");
            ++answered;
            ask();
            return true;
        });
    }

    Carrier parent_;
};

}  // namespace

void serve_http3(const ServerEnd& end) {
    const Identity identity = Identity::self_signed("localhost");
    Context context(context_options(end.waiting, end.protection));
    context.on_unhandled([](const Error&) {});  // clients go as they like
    ListenOptions options;
    options.policy = {.stacks = {Stack::http3}};
    options.quic.largest_payload = end.payload;
    options.bounds.idle_timeout = 10min;
    options.bounds.carriers = outstanding + 1;
    Listener listener = context.listen(
        {.address = *Address::parse("127.0.0.1"), .identity = identity}, options);
    listener.accept([](Carrier carrier) {
        carrier.ready([](Carrier& self, const InMessage& request) {
            answer(self, number_of(http::field(request.properties(), ":path")));
            return true;
        });
        return true;
    });
    end.announce(listener.port(), identity.pin());
    Driver(context, end.waiting).run();
}

void measure_http3_download(const ClientEnd& end) {
    Client client(end);
    Carrier carrier = client.ask("/" + std::to_string(endless));
    std::uint64_t received = 0;
    carrier.send("", {.final = true});
    carrier.ready(ReceiveParts{}, [&](Carrier&, const InMessage& part) {
        received += part.size();
        return true;
    });
    client.driver().run_for(end.settings.warm_up);
    const std::uint64_t before = received;
    const Meter meter(end);
    client.driver().run_for(end.settings.seconds);
    const auto used = meter.used();
    if (received == before) throw std::runtime_error("nothing arrived");
    report_bulk(end, static_cast<double>(received - before), used);
}

void measure_http3_requests(const ClientEnd& end) {
    Client client(end);
    Requests requests(client.ask("/64"));
    requests.begin();
    client.driver().run_for(end.settings.warm_up);
    requests.answered = 0;
    const Meter meter(end);
    client.driver().run_for(end.settings.seconds);
    const auto used = meter.used();
    if (requests.answered == 0) throw std::runtime_error("no request was answered");
    const auto answered = static_cast<double>(requests.answered);
    end.report("rate", answered / used.wall / 1e3, "k/s");
    end.report("rate of CPU time", answered / std::max(used.server, used.client) / 1e3, "k/s");
    end.report("server", used.server / answered * 1e9, "CPU ns");
    end.report("client", used.client / answered * 1e9, "CPU ns");
}

}  // namespace post::bench
