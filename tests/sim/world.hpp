// World: a simulated network in virtual time, under the public API. Hosts with addresses, links
// between them, names; Contexts on the hosts through Host::make_io(). One seed gives one course of
// events, byte for byte; while a World exists the clock and the randomness of the whole test
// program are its own (tests/sim/ambient.hpp).
//
//     sim::World world{seed()};
//     auto& client = world.host("10.0.0.1");
//     auto& server = world.host("10.0.0.2");
//     world.link(client, server, {.delay = 20ms, .rate = 10'000'000, .loss = 0.02});
//     world.name("server.test", {"10.0.0.2"});
//     ... a Context on client.make_io(), another on server.make_io(); world.drive() for both ...
//     CHECK(world.run_until([&] { return got == "hello"; }, 5s));
//
// A host reaches those that it has a link to, and itself; nothing is forwarded. All Io objects and
// whatever holds them end before the World.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <post/function.hpp>
#include <post/time.hpp>

#include "lib/io/io.hpp"
#include "tests/sim/ambient.hpp"
#include "tests/sim/digest.hpp"
#include "tests/sim/host.hpp"
#include "tests/sim/link.hpp"
#include "tests/sim/names.hpp"
#include "tests/sim/recorder.hpp"
#include "tests/sim/timeline.hpp"

namespace post::sim {

// Something that is turned when it is due: at its deadline, or when its Io has input or was woken;
// once at the beginning of every run, too, since the test itself may have given it work. Without
// an Io it is turned after everything that happens. Those of a host created earlier come first.
struct Driver {
    std::function<void()> turn;  // never blocks
    std::function<Instant()> deadline;
    const Io* io = nullptr;  // when it is destroyed, so is the Driver
};
using DriverId = Strong<struct DriverTag, std::uint64_t>;

// The World cannot go on: turns without end while time stands still, nothing left to wait for, or
// an end of time that is too far away. Says where and who.
class Stuck : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct WorldLimits {
    std::uint64_t turns_an_instant = 100'000;  // turns and events while the clock stands still
    Duration lifetime = std::chrono::hours(24);
    Duration router_delay = std::chrono::milliseconds(1);  // until "unreachable" comes back
};

class World {
public:
    explicit World(std::uint64_t seed, const WorldLimits& limits = {});
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    // The host with this address, made when it is new.
    Host& host(std::string_view ip);
    // Links two hosts, both directions alike or each its own way; again: changes the options.
    Link& link(Host& a, Host& b, const LinkOptions& both = {});
    Link& link(Host& a, Host& b, const LinkOptions& there, const LinkOptions& back);
    // A link of its own for one pair of addresses, before the one of their hosts.
    Link& link(std::string_view a, std::string_view b, const LinkOptions& both = {});
    // Gives a name its addresses, or a way to fail.
    void name(std::string_view name, const std::vector<std::string>& addresses,
              const NameOptions& options = {}) {
        names_.set(name, addresses, options);
    }
    // Everything else that the name service says.
    Names& names() { return names_; }
    // The NAT in front of a host forgets: packets come from new ports from now on, or from a new
    // address too; what is sent to the old ones vanishes.
    void rebind(Host& host) { host.rebind({}); }
    void rebind(Host& host, std::string_view ip) { host.rebind(claim(ip, host)); }

    DriverId add(Driver driver);
    void remove(DriverId driver);
    // Drives anything with a Context's turn() and deadline() over the Io that was made for it. A
    // turn that says there is more to do gets another one.
    template <class Context> DriverId drive(Context& context, const Io& io) {
        return add({[this, &context] {
                        if (context.turn()) turn_again();
                    },
                    [&context] { return context.deadline(); }, &io});
    }
    // Inside a driver's turn: it wants another one, at the same instant.
    void turn_again() {
        if (current_) current_->kicked = true;
    }

    // Goes on until `done` holds, which is asked after every turn: true; or for `limit`: false.
    bool run_until(const std::function<bool()>& done, Duration limit);
    void run_for(Duration duration);
    // Goes on until nothing is under way: no packet, no event, no driver's deadline.
    bool run_until_quiet(Duration limit);
    bool quiet() const { return next_time() == never; }
    // Does something at its time, counted from the start of the World or from now.
    void at(Duration since_start, Function<void()> action) {
        timeline_.at(Timeline::start + since_start, std::move(action));
    }
    void after(Duration delay, Function<void()> action) {
        timeline_.at(now() + delay, std::move(action));
    }

    std::uint64_t seed() const { return seed_; }
    Instant now() const { return timeline_.now(); }
    Duration elapsed() const { return now() - Timeline::start; }

    // Of every packet that was sent and that arrived: time, addresses, ECN mark and bytes.
    std::uint64_t digest() const { return digest_.value(); }
    // Sees every packet at its sending, after the NAT, and what becomes of it.
    using Observer = std::function<void(const Packet&, Verdict)>;
    void observe(Observer observer) { observers_.push_back(std::move(observer)); }
    // Leaves NAME.pcap.txt with all packets when the World ends in a failed test. keep_record()
    // leaves it in any case.
    void record(std::string name) { recorder_.emplace(std::move(name)); }
    void keep_record() { keep_record_ = true; }

    // For Host and HostIo.
    std::uint64_t enter(HostIo& io);
    void leave(HostIo& io);
    HostIo* find_io(std::uint64_t id) const;
    Address claim(std::string_view ip, Host& host);
    bool has_link(const Host& from, const Address& source, const Address& to) const;
    // Of the first link on the way, with the IP header; 0: there is none.
    std::size_t mtu(const Host& from, const Address& to) const;
    void send(Host& from, Packet packet);
    void resolve(HostIo& io, const Io::Lookup& lookup);
    void wait(HostIo& io, Instant until);

private:
    struct Entry {
        DriverId id;
        std::size_t rank = 0;  // the host's; those without come last
        std::uint64_t io = 0;
        Driver driver;
        std::uint64_t seen = 0;  // happenings_ at its last turn
        bool kicked = true;      // to be turned whatever its deadline
        bool running = false;
        bool gone = false;
    };
    struct Route {
        Host* host = nullptr;
        Direction* direction = nullptr;
        Direction* reverse = nullptr;
    };

    // Turns everybody who is due once; `asleep` waits and is left out. True when anybody was.
    bool turn_round(const HostIo* asleep, const std::function<bool()>* done = nullptr);
    bool due(const Entry& entry) const;
    void turn(Entry& entry);
    void sweep();
    bool settled() const;
    Instant next_time(const HostIo* asleep = nullptr) const;
    void advance_to(Instant when);
    void count_turns(std::uint64_t turns, const Entry* entry);
    void kick();

    Link& make_link(const LinkOptions& there, const LinkOptions& back);
    Host* owner(const Address& ip) const;
    Route route(const Host& from, const Address& source, const Address& to) const;
    void unreachable(Host& from, const Packet& packet, int error, Duration delay);
    void arrive(Host& host, Packet packet);
    void note(const char* what, const Packet& packet);

    std::uint64_t seed_;
    WorldLimits limits_;
    Timeline timeline_;
    ambient::Scope ambient_;
    Names names_;
    Digest digest_;
    std::vector<Observer> observers_;
    std::optional<Recorder> recorder_;
    bool keep_record_ = false;
    int exceptions_ = std::uncaught_exceptions();

    std::vector<std::unique_ptr<Host>> hosts_;
    std::map<Address, Host*> owners_;  // without ports
    std::vector<std::unique_ptr<Link>> links_;
    // The pair is in the order in which link() was called: `there` is from the first to the second.
    std::map<std::pair<std::size_t, std::size_t>, Link*> host_links_;
    std::map<std::pair<Address, Address>, Link*> address_links_;
    std::vector<Direction::Arrival> arrivals_;

    std::map<std::uint64_t, HostIo*> ios_;
    std::uint64_t next_io_ = 1;
    std::vector<std::unique_ptr<Entry>> drivers_;  // in their order
    std::uint64_t next_driver_ = 1;
    Entry* current_ = nullptr;      // the innermost turn under way; a turn may wait() for others
    std::uint64_t happenings_ = 0;  // events and turns, for drivers without an Io
    std::uint64_t turns_this_instant_ = 0;
};

}  // namespace post::sim
