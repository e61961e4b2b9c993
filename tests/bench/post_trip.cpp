// Round trips and forks.
#include "post_trip.hpp"

#include <algorithm>
#include <stdexcept>

#include "driver.hpp"
#include "meter.hpp"
#include "post_ends.hpp"
#include "trips.hpp"

namespace post::bench {

namespace {

const std::string content(64, 'x');

// Forks a Carrier for a request, and again as soon as its answer is there.
class Forks {
public:
    explicit Forks(Carrier parent) : parent_(std::move(parent)) {}

    Carrier& parent() { return parent_; }
    void open() {
        Carrier fork = parent_.fork();
        fork.send(content, {.final = true});
        fork.ready([this](Carrier&, const InMessage&) {
            ++answered;
            open();
            return true;  // until the server's end has come too
        });
    }
    std::uint64_t answered = 0;

private:
    Carrier parent_;
};

}  // namespace

void measure_trip(const ClientEnd& end) {
    Context context(context_options(end.waiting, end.protection));
    Driver driver(context, end.waiting);
    Carrier carrier = connect(context, driver, end);
    Trips trips;
    carrier.ready([&](Carrier& from, const InMessage&) {
        trips.end();
        trips.begin();
        from.send(content);
        return true;
    });
    trips.begin();
    carrier.send(content);
    driver.run_for(end.settings.warm_up);
    trips.clear();
    const Meter meter(end);
    driver.run_for(end.settings.seconds);
    trips.report(end, meter.used());
}

void measure_fork(const ClientEnd& end) {
    constexpr int outstanding = 100;
    Context context(context_options(end.waiting, end.protection));
    Driver driver(context, end.waiting);
    Forks forks(connect(context, driver, end));
    forks.parent().send(content);  // a fork follows its parent
    forks.parent().ready([&](Carrier&, const InMessage&) {
        for (int i = 0; i < outstanding; ++i) forks.open();
        return true;
    });
    driver.run_for(end.settings.warm_up);
    forks.answered = 0;
    const Meter meter(end);
    driver.run_for(end.settings.seconds);
    const auto used = meter.used();
    if (forks.answered == 0) throw std::runtime_error("no fork was answered");
    const auto answered = static_cast<double>(forks.answered);
    end.report("rate", answered / used.wall / 1e3, "k/s");
    end.report("rate of CPU time", answered / std::max(used.server, used.client) / 1e3, "k/s");
    end.report("server", used.server / answered * 1e9, "CPU ns");
    end.report("client", used.client / answered * 1e9, "CPU ns");
}

}  // namespace post::bench
