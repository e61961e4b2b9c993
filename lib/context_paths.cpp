// The paths of the root: which interfaces there are, which of them a race may use, and where the
// sockets of a candidate are bound.
#include "lib/context_paths.hpp"

#include <algorithm>

#include "lib/context_root.hpp"

namespace post {

Result<std::vector<Interface>> Context::interfaces() { return anchor_->root->interfaces(); }

namespace core {

namespace {

constexpr std::size_t most_own = 1024;

bool binds(const Preferences& preferences) {
    return std::any_of(preferences.interfaces.begin(), preferences.interfaces.end(),
                       [](const InterfacePreference& each) {
                           return each.preference == Preference::require ||
                                  each.preference == Preference::prohibit;
                       });
}

Error wrong(const char* text) { return Error(Errc::invalid_argument, {}, Stage::call, text); }

}  // namespace

Result<void> Root::check(const Local& local) {
    if (local.interfaces.size() > most_paths) return wrong("Local::interfaces are at most 16");
    for (const std::string& named : local.interfaces)
        if (named.empty()) return wrong("an empty name is in Local::interfaces");
    if (local.dscp > 63) return wrong("Local::dscp is 0 to 63");
    if (local.last_port == 0) return {};
    if (local.port == 0 || local.last_port < local.port)
        return wrong("Local::last_port is not below Local::port, which has to be named");
    if (local.of > 1) return wrong("a port that is shared is one alone: Local::last_port is 0");
    return {};
}

Result<std::vector<Interface>> Root::interfaces() {
    find_interfaces();
    if (interfaces_error_) return interfaces_error_;
    return interfaces_;
}

// Asks again only when something may have changed. What is remembered of a network ends with it:
// the next one may have the same name and gateway, and be another.
void Root::find_interfaces() {
    bool changed = io_->poll_interfaces_changed();
    changed |= std::exchange(look_wanted_, false);
    if (interfaces_version_ != 0 && !changed) return;
    auto found = io_->interfaces();
    interfaces_error_ = found ? Error() : found.error();
    const std::vector<Interface> before = std::exchange(
        interfaces_, found ? *std::move(found) : std::vector<Interface>());
    if (interfaces_version_ != 0 && interfaces_ == before) return;
    ++interfaces_version_;
    for (const Interface& old : before) {
        const std::string network = old.network();
        if (std::none_of(interfaces_.begin(), interfaces_.end(),
                         [&](const Interface& each) { return each.network() == network; }))
            memory_.forget(network), moved_ = io_->wall_time();
    }
    drop_lost_ports();
}

// Those of addresses that are gone: nobody can use them.
void Root::drop_lost_ports() {
    for (std::size_t i = ports_.size(); i-- > 0;) {
        Port& port = *ports_[i];
        if (!port.kept || port.interface == 0) continue;
        const auto here = [&](const Interface& each) {
            return each.index == port.interface && is_named(each, port.local.ip_string());
        };
        if (std::any_of(interfaces_.begin(), interfaces_.end(), here)) continue;
        port.kept = false;
        close_port_if_idle(port);
    }
}

void Root::add_paths(Race::Options& race, const InitiateOptions& options) {
    find_interfaces();
    // That of the best default route is the network of who is bound to none.
    if (!interfaces_.empty()) race.network = interfaces_.front().network();
    const Local& local = options.local;
    if (!PathSelection::needed(local, options.policy, preferences_)) return;
    auto selection = select_paths(interfaces_, options.policy, preferences_, local);
    Race::Options::Out out;
    out.refused = std::move(selection.refused);
    out.error = std::move(selection.error);
    if (out.error && interfaces_error_) out.error.cause = interfaces_error_.cause;
    out.choice = local.source;
    out.from = local.address;
    if (local.address.is_any()) out.from = {};
    for (const Interface& each : interfaces_)
        for (const Interface::Source& source : each.sources)
            if (out.own.size() < most_own) out.own.push_back(source.address);
    for (Interface& each : selection.chosen) {
        std::string network = each.network();
        out.paths.push_back({std::move(each), std::move(network), {}, {}});
    }
    race.out = std::move(out);
}

// Between initiate and the first message the machine may have moved.
void Root::renew_paths(Association& association, Setup& setup) {
    find_interfaces();
    if (std::exchange(setup.interfaces, interfaces_version_) == interfaces_version_) return;
    const Remote& remote = *association.options().remote;
    auto race = race_options(remote, setup.options);
    if (!race) return;
    steer(remote, setup.options, *race);
    association.race_by(*std::move(race));
}

// The doors of a listener: none of its own where the system decides.
Result<std::vector<std::uint32_t>> Root::listen_on(const Local& local, const Policy& policy) {
    const bool named = !local.interfaces.empty();
    if (!named && !binds(policy.preferences) && !binds(preferences_))
        return std::vector<std::uint32_t>{0};
    find_interfaces();
    const auto selection = select_paths(interfaces_, policy, preferences_, local);
    if (selection.error) return selection.error;
    std::vector<std::uint32_t> doors;
    for (const Interface& each : selection.chosen) doors.push_back(each.index);
    return doors;
}

// Port 0: of any number.
Result<Address> Root::source(const Local& local, const LocalPath& path, const Address& remote) {
    Address from = path.source.family != Address::Family::none ? path.source : local.address;
    if (from.family == Address::Family::none)
        from = remote.family == Address::Family::v6 ? Address::any_v6() : Address::any_v4();
    if (from.family != remote.family)
        return Error(Errc::no_route, {}, Stage::connect,
                     "the Local's address is of the other family");
    from.port = 0;
    return from;
}

Io::Outlet Root::outlet(const Local& local, const LocalPath& path) {
    return {.interface = path.index, .source = local.source, .dscp = local.dscp};
}

// What the report is to say of a socket that is not where it should be.
void Root::note_path(Association& association, AttemptId attempt, const LocalPath& path,
                     SocketId socket) {
    if (path.index == 0 || io_->bound(socket)) return;
    association.note(attempt, "the system does not bind it to " + path.interface +
                                  ", only to its address: routes decide where it leaves");
}

// 0: nothing is known.
std::size_t Root::payload_limit(const Address& remote, std::size_t mtu) {
    if (mtu == 0) return io_->payload_limit(remote);
    const std::size_t headers = remote.family == Address::Family::v6 ? 48 : 28;
    return mtu <= headers ? 0 : std::min(mtu - headers, largest_run);
}

}  // namespace core

}  // namespace post
