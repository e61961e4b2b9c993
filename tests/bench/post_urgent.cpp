// The client asks for an urgent message when it has got the one before.
#include "post_urgent.hpp"

#include <stdexcept>

#include "driver.hpp"
#include "post_ends.hpp"
#include "statistics.hpp"

namespace post::bench {

namespace {

struct Phase {
    std::string name;
    std::uint32_t niceness;  // of the bulk
    bool own_carrier;        // the urgent ones take the bulk's
};

std::vector<double> delays(const ClientEnd& end, const Phase& phase) {
    Context context(context_options(end.waiting, end.protection));
    Driver driver(context, end.waiting);
    Carrier bulk = connect(context, driver, end);
    Carrier other = bulk.fork();
    Carrier& asked = phase.own_carrier ? bulk : other;
    std::vector<double> seconds;
    bool began = false;
    bulk.send("bulk " + std::to_string(phase.niceness));
    const auto take = [&](Carrier&, InMessage message) {
        const bool urgent = message.size() == stamped_size;
        if (urgent) seconds.push_back(seconds_since(message.view()));
        if (urgent || !std::exchange(began, true)) asked.send("now");
        return true;
    };
    bulk.ready(take);
    other.ready(take);
    driver.run_for(end.settings.warm_up);
    seconds.clear();
    driver.run_for(end.settings.seconds / 4);
    if (seconds.empty()) throw std::runtime_error("no urgent message arrived");
    return seconds;
}

}  // namespace

void measure_urgent(const ClientEnd& end) {
    const Phase phases[] = {{"same Carrier, bulk nice", 1, true},
                            {"same Carrier, all alike", 0, true},
                            {"other Carrier, bulk nice", 1, false},
                            {"other Carrier, all alike", 0, false}};
    for (const Phase& phase : phases) {
        const auto seconds = delays(end, phase);
        end.report(phase.name + " p50", quantile(seconds, 0.5) * 1e6, "us");
        end.report(phase.name + " p99", quantile(seconds, 0.99) * 1e6, "us");
    }
}

}  // namespace post::bench
