// The crowd. Each Association and each Carrier of it has carried one message there and back, so
// that both ends have all of its state, and then rests.
#include "post_idle.hpp"

#include <charconv>
#include <chrono>
#include <vector>

#include "driver.hpp"
#include "meter.hpp"
#include "post_ends.hpp"
#include "trips.hpp"

namespace post::bench {

namespace {

const std::string content(64, 'x');

struct Memory {
    double client_heap = 0;
    double server_heap = 0;
    double client_resident = 0;
    double server_resident = 0;
};

struct Turn {
    double empty = 0;   // seconds of a turn with nothing to do, at the client
    double client = 0;  // CPU seconds of one round trip
    double server = 0;
};

class Crowd {
public:
    explicit Crowd(const ClientEnd& end)
        : end_(end),
          context_(context_options(end.waiting, end.protection)),
          driver_(context_, end.waiting),
          active_(connect(context_, driver_, end)) {
        active_.ready([this](Carrier&, InMessage message) {
            on_answer_(message.view());
            return true;
        });
    }

    // Associations until there are `count`, 64 handshakes at a time.
    void associate(std::size_t count) {
        wanted_ = count;
        for (begun_ = 0, done_ = 0; begun_ < std::min<std::size_t>(count, 64);) associate_one();
        driver_.run();
        rest();
    }
    // Carriers, evenly on all Associations, 256 forks at a time.
    void fork(std::size_t count) {
        wanted_ = count;
        for (begun_ = 0, done_ = 0; begun_ < std::min<std::size_t>(count, 256);) fork_one();
        driver_.run();
        rest();
    }

    Memory memory() {
        Memory memory;
        on_answer_ = [&](std::string_view text) {
            std::uint64_t bytes = 0;
            std::from_chars(text.data(), text.data() + text.size(), bytes);
            memory.server_heap = static_cast<double>(bytes);
            driver_.stop();
        };
        active_.send("heap");
        driver_.run();
        memory.client_heap = heap_bytes();
        memory.client_resident = Process::self().resident_bytes();
        memory.server_resident = end_.server.resident_bytes();
        return memory;
    }

    Turn turn() {
        std::uint64_t trips = 0;
        on_answer_ = [&](std::string_view) {
            ++trips;
            active_.send(content);
        };
        active_.send(content);
        driver_.run_for(end_.settings.warm_up);
        trips = 0;
        const Meter meter(end_);
        driver_.run_for(end_.settings.seconds);
        const auto used = meter.used();
        on_answer_ = [this](std::string_view) { driver_.stop(); };
        driver_.run();
        const auto count = static_cast<double>(trips);
        return {empty_turn(), used.client / count, used.server / count};
    }

private:
    void associate_one() {
        associations_.push_back(
            initiate(context_, end_, "name" + std::to_string(++begun_) + ".example"));
        Carrier& carrier = associations_.back();
        carrier.send(content);
        // The handle stays with us: the callback goes, the Carrier does not.
        Operation<InMessage> answer = carrier.receive();
        std::move(answer).then([this](Result<InMessage> message) {
            std::move(message).value();
            if (++done_ == wanted_) driver_.stop();
            if (begun_ < wanted_) associate_one();
        });
    }

    void fork_one() {
        Carrier fork = associations_[begun_++ % associations_.size()].fork();
        fork.send(content);
        fork.ready([this](Carrier&, const InMessage&) {
            if (++done_ == wanted_) driver_.stop();
            if (begun_ < wanted_) fork_one();
            return true;
        });
    }

    // Until the last acknowledgements are there.
    void rest() { driver_.run_for(std::min(1.0, end_.settings.seconds)); }

    double empty_turn() {
        constexpr int turns = 1000;
        const double before = Process::self().cpu_seconds();
        for (int i = 0; i < turns; ++i) context_.turn();
        return (Process::self().cpu_seconds() - before) / turns;
    }

    const ClientEnd& end_;
    Context context_;
    Driver driver_;
    Carrier active_;
    std::vector<Carrier> associations_;
    Function<void(std::string_view)> on_answer_;
    std::size_t wanted_ = 0;
    std::size_t begun_ = 0;
    std::size_t done_ = 0;
};

void report(const ClientEnd& end, const std::string& what, const Memory& before,
            const Memory& after, std::size_t count) {
    const auto each = [&](std::string_view name, double Memory::*part) {
        end.report(what + ": " + std::string(name),
                   (after.*part - before.*part) / static_cast<double>(count), "bytes");
    };
    each("client's heap", &Memory::client_heap);
    each("client resident", &Memory::client_resident);
    each("server's heap", &Memory::server_heap);
    each("server resident", &Memory::server_resident);
}

void report(const ClientEnd& end, const std::string& when, const Turn& turn) {
    end.report("empty turn" + when, turn.empty * 1e9, "CPU ns");
    end.report("client, a trip" + when, turn.client * 1e6, "CPU us");
    end.report("server, a trip" + when, turn.server * 1e6, "CPU us");
}

}  // namespace

void measure_idle(const ClientEnd& end) {
    const std::size_t associations = end.settings.associations;
    const std::size_t carriers = end.settings.carriers;
    Crowd crowd(end);
    const Turn alone = crowd.turn();
    const Memory empty = crowd.memory();
    crowd.associate(associations);
    const Memory associated = crowd.memory();
    report(end, "Association", empty, associated, associations);
    crowd.fork(carriers);
    report(end, "Carrier", associated, crowd.memory(), carriers);
    report(end, ", alone", alone);
    report(end, ", in the crowd", crowd.turn());
}

}  // namespace post::bench
