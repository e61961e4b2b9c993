// Handshakes. Two Carriers to the same Remote share an Association, so each goes to another name.
#include "post_handshake.hpp"

#include <memory>
#include <stdexcept>

#include "driver.hpp"
#include "meter.hpp"
#include "post_ends.hpp"

namespace post::bench {

namespace {

class Handshakes {
public:
    Handshakes(Context& context, const ClientEnd& end) : context_(context), end_(end) {}

    void begin() {
        auto carrier = std::make_unique<Carrier>(
            initiate(context_, end_, "name" + std::to_string(++begun_) + ".example"));
        Operation<void> active = carrier->activate();
        std::move(active).then([this, kept = std::move(carrier)](Result<void> made) {
            if (!made) {
                failed_ = true;
                return;
            }
            ++done;
            kept->close();
            begin();
        });
    }
    bool failed() const { return failed_; }
    std::uint64_t done = 0;

private:
    Context& context_;
    const ClientEnd& end_;
    std::uint64_t begun_ = 0;
    bool failed_ = false;
};

// Each of `names` is connected to again and again.
class Resumptions {
public:
    Resumptions(Context& context, const ClientEnd& end) : context_(context), end_(end) {}

    void begin(int name) {
        Carrier carrier = initiate(context_, end_, "name" + std::to_string(name) + ".example",
                                   ++begun_);
        carrier.send("x");
        carrier.ready([this, name](Carrier& made, const InMessage&) {
            ++done;
            resumed += made.association().resumed() ? 1 : 0;
            begin(name);
            return false;  // and closed
        });
    }
    std::uint64_t done = 0;
    std::uint64_t resumed = 0;

private:
    Context& context_;
    const ClientEnd& end_;
    std::uint64_t begun_ = 0;
};

constexpr int outstanding = 16;

void report(const ClientEnd& end, double done, const Meter::Used& used) {
    end.report("rate", done / used.wall / 1e3, "k/s");
    if (used.server > 0) end.report("rate per server core", done / used.server / 1e3, "k/s");
    end.report("server", used.server / done * 1e6, "CPU us");
    end.report("client", used.client / done * 1e6, "CPU us");
}

}  // namespace

void measure_handshake(const ClientEnd& end) {
    Context context(context_options(end.waiting, end.protection));
    Driver driver(context, end.waiting);
    Handshakes handshakes(context, end);
    for (int i = 0; i < outstanding; ++i) handshakes.begin();
    driver.run_for(end.settings.warm_up);
    handshakes.done = 0;
    const Meter meter(end);
    driver.run_for(end.settings.seconds);
    const auto used = meter.used();
    if (handshakes.failed()) throw std::runtime_error("a handshake failed");
    if (handshakes.done == 0) throw std::runtime_error("no handshake was completed");
    report(end, static_cast<double>(handshakes.done), used);
}

void measure_resumed(const ClientEnd& end) {
    Context context(context_options(end.waiting, end.protection));
    Driver driver(context, end.waiting);
    Resumptions resumptions(context, end);
    for (int i = 0; i < outstanding; ++i) resumptions.begin(i);
    driver.run_for(end.settings.warm_up);
    resumptions.done = resumptions.resumed = 0;
    const Meter meter(end);
    driver.run_for(end.settings.seconds);
    const auto used = meter.used();
    if (resumptions.resumed == 0) throw std::runtime_error("nothing was resumed");
    const auto done = static_cast<double>(resumptions.done);
    report(end, done, used);
    end.report("resumed", static_cast<double>(resumptions.resumed) / done * 100, "%");
}

}  // namespace post::bench
