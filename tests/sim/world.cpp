// How a World goes on: drivers are turned until none is due, then the clock jumps to whatever comes
// next. The packets' half of a World is in network.cpp.
#include "tests/sim/world.hpp"

#include <algorithm>
#include <cassert>

#include "tests/sim/host_io.hpp"

namespace post::sim {

namespace {

std::string seconds(Duration duration) {
    return std::to_string(std::chrono::duration<double>(duration).count()) + " s";
}

}  // namespace

World::World(std::uint64_t seed, const WorldLimits& limits)
    : seed_(seed), limits_(limits), ambient_(timeline_, seed) {}

World::~World() {
    assert(ios_.empty() && "an Io outlives its World");
    const bool failed = test_failed() || std::uncaught_exceptions() > exceptions_;
    if (recorder_ && (failed || keep_record_)) recorder_->write(seed_);
}

std::uint64_t World::enter(HostIo& io) {
    ios_[next_io_] = &io;
    return next_io_++;
}

void World::leave(HostIo& io) {
    ios_.erase(io.id());
    for (const auto& entry : drivers_)
        if (entry->io == io.id()) entry->io = 0, entry->driver.io = nullptr, entry->gone = true;
    sweep();
}

HostIo* World::find_io(std::uint64_t id) const {
    const auto found = ios_.find(id);
    return found == ios_.end() ? nullptr : found->second;
}

DriverId World::add(Driver driver) {
    auto entry = std::make_unique<Entry>();
    entry->id = DriverId{next_driver_++};
    entry->rank = static_cast<std::size_t>(-1);
    if (driver.io) {
        const auto& io = dynamic_cast<const HostIo&>(*driver.io);
        entry->io = io.id();
        entry->rank = io.host().index();
    }
    entry->driver = std::move(driver);
    const auto place = std::upper_bound(
        drivers_.begin(), drivers_.end(), entry->rank,
        [](std::size_t rank, const auto& other) { return rank < other->rank; });
    const DriverId id = entry->id;
    drivers_.insert(place, std::move(entry));
    return id;
}

void World::remove(DriverId driver) {
    for (const auto& entry : drivers_)
        if (entry->id == driver) entry->gone = true;
    sweep();
}

// A driver may be removed out of its own turn: it is erased when nobody is being turned.
void World::sweep() {
    if (!current_) std::erase_if(drivers_, [](const auto& entry) { return entry->gone; });
}

bool World::run_until(const std::function<bool()>& done, Duration limit) {
    const Instant end = limit < never - now() ? now() + limit : never;
    kick();
    if (done()) return true;
    for (;;) {
        while (turn_round(nullptr, &done))
            if (done()) return true;
        const Instant next = next_time();
        if (next > end || next == never) {
            if (end == never) throw Stuck("nothing will ever happen, after " + seconds(elapsed()));
            timeline_.advance_to(end);
            turns_this_instant_ = 0;
            return done();
        }
        advance_to(next);
        if (done()) return true;
    }
}

void World::run_for(Duration duration) {
    run_until([] { return false; }, duration);
}

bool World::run_until_quiet(Duration limit) {
    return run_until([this] { return settled(); }, limit);
}

// Until all have been turned after a kick, nobody knows what they are up to.
bool World::settled() const {
    return quiet() && std::none_of(drivers_.begin(), drivers_.end(),
                                   [this](const auto& entry) { return due(*entry); });
}

void World::wait(HostIo& io, Instant until) {
    while (!io.ready() && now() < until) {
        if (turn_round(&io)) continue;
        const Instant next = std::min(next_time(&io), until);
        if (next == never)
            throw Stuck("after " + seconds(elapsed()) + ": " +
                        io.host().addresses()[0].ip_string() +
                        " waits, and nothing will ever happen");
        advance_to(next);
    }
}

bool World::turn_round(const HostIo* asleep, const std::function<bool()>* done) {
    bool turned = false;
    // By index: a turn may add drivers. The new ones are kicked and get their turn in this round
    // or the next, always the same.
    for (std::size_t i = 0; i < drivers_.size(); ++i) {
        Entry& entry = *drivers_[i];
        if ((asleep && entry.io == asleep->id()) || !due(entry)) continue;
        turn(entry);
        turned = true;
        if (done && (*done)()) break;
    }
    sweep();
    return turned;
}

bool World::due(const Entry& entry) const {
    if (entry.gone || entry.running) return false;
    if (entry.kicked || entry.driver.deadline() <= now()) return true;
    if (entry.io == 0) return entry.seen != happenings_;
    const HostIo* io = find_io(entry.io);
    return io && io->ready();
}

void World::turn(Entry& entry) {
    count_turns(1, &entry);
    entry.kicked = false;
    if (HostIo* io = find_io(entry.io)) io->clear_wake();
    // Whatever throws out of a turn leaves the World able to go on.
    struct Running {
        World& world;
        Entry& entry;
        Entry* outer;
        Running(World& w, Entry& e) : world(w), entry(e), outer(std::exchange(w.current_, &e)) {
            entry.running = true;
        }
        ~Running() {
            entry.running = false;
            world.current_ = outer;
        }
    };
    const Running running(*this, entry);
    entry.driver.turn();
    // Its own turn is no news to itself, but it is to the others.
    if (entry.io != 0) ++happenings_;
    entry.seen = happenings_;
}

Instant World::next_time(const HostIo* asleep) const {
    Instant next = timeline_.next();
    for (const auto& entry : drivers_) {
        if (entry->gone || entry->running || (asleep && entry->io == asleep->id())) continue;
        next = std::min(next, entry->driver.deadline());
    }
    return next;
}

void World::advance_to(Instant when) {
    when = std::max(when, now());  // a deadline may be as early as Instant::min()
    if (when - Timeline::start > limits_.lifetime)
        throw Stuck("the next event is at " + seconds(when - Timeline::start) +
                    ", beyond the lifetime of this World");
    if (when > now()) turns_this_instant_ = 0;
    const std::uint64_t events = timeline_.advance_to(when);
    happenings_ += events;
    count_turns(events, nullptr);
}

void World::count_turns(std::uint64_t turns, const Entry* entry) {
    turns_this_instant_ += turns;
    if (turns_this_instant_ <= limits_.turns_an_instant) return;
    turns_this_instant_ = 0;
    std::string who = "the events";
    if (entry) {
        const HostIo* io = find_io(entry->io);
        who = "driver " + std::to_string(entry->id.value());
        if (io) who += " of " + io->host().addresses()[0].ip_string();
        if (entry->driver.deadline() <= now())
            who += ", whose deadline stays in the past";
        else if (io && io->ready())
            who += ", which leaves its input untouched";
    }
    throw Stuck("time stands still at " + seconds(elapsed()) + " after " +
                std::to_string(limits_.turns_an_instant) + " turns; the last: " + who);
}

void World::kick() {
    for (const auto& entry : drivers_) entry->kicked = true;
}

}  // namespace post::sim
