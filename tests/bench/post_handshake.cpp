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

}  // namespace

void measure_handshake(const ClientEnd& end) {
    constexpr int outstanding = 16;
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
    const auto done = static_cast<double>(handshakes.done);
    end.report("rate", done / used.wall / 1e3, "k/s");
    if (used.server > 0) end.report("rate per server core", done / used.server / 1e3, "k/s");
    end.report("server", used.server / done * 1e6, "CPU us");
    end.report("client", used.client / done * 1e6, "CPU us");
}

}  // namespace post::bench
