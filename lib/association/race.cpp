// One timer: the next attempt begins when it ends, and news moves it.
#include "lib/association/race.hpp"

#include <algorithm>

#include "lib/policy/stacks.hpp"

namespace post::core {

namespace {

constexpr Duration least_least_spacing = std::chrono::milliseconds(10);

}  // namespace

void Race::begin(Instant now, const Remote& remote, const Options& options) {
    *this = {};
    options_ = options;
    options_.least_spacing = std::max(options_.least_spacing, least_least_spacing);
    data_.remote = remote.string();
    data_.began = now;
    if (options_.out && options_.out->error) {
        resolved_ = true;
        data_.resolved = now;
        arrange_again();
        return end_if_over(now);
    }
    if (!remote.complete()) return;
    resolved_ = true;
    data_.resolved = now;
    first_endpoint_ = now;
    add({Endpoint{.address = remote.address(), .from = "the Remote itself"}});
    for (const Remote& other : remote.others())
        add({Endpoint{.address = other.address(), .from = "the Remote itself"}});
    arrange_again();
    end_if_over(now);
}

std::optional<Connect> Race::next(Instant now) {
    if (deadline() > now) return std::nullopt;
    Candidate candidate = std::move(candidates_.front());
    candidates_.erase(candidates_.begin());
    const AttemptId id{static_cast<std::uint8_t>(options_.first_attempt + data_.attempts.size())};
    Connect connect{id, candidate.stack, candidate.endpoint.address, std::move(candidate.path)};
    data_.attempts.push_back({.stack = candidate.stack,
                              .remote = candidate.endpoint.address,
                              .from = std::move(candidate.endpoint.from),
                              .reason = std::move(candidate.reason),
                              .started = now,
                              .path = connect.path.interface,
                              .source = connect.path.source});
    spaced_ = now + options_.least_spacing;
    // What does not race is given up only when it fails.
    next_ = row(candidate.stack).races ? now + attempt_delay(options_) : never;
    failed_ = false;
    return connect;
}

Instant Race::deadline() const {
    if (over_ || !may_try_next()) return never;
    if (data_.attempts.empty()) return start_of_first();
    return std::max(next_, spaced_);
}

// Happy Eyeballs v3, 4.2: addresses of the preferred family and SVCB are waited for, and the others
// not longer than the resolution delay.
Instant Race::start_of_first() const {
    const bool v6 = options_.preferred == Address::Family::v6;
    const bool preferred = v6 ? answered_.aaaa : answered_.a;
    if (resolved_ || (preferred && (answered_.services || !options_.svcb))) return first_endpoint_;
    return first_endpoint_ == never ? never : first_endpoint_ + options_.resolution_delay;
}

// An insecure candidate waits until no secure one is left, or may come.
bool Race::may_try_next() const {
    if (candidates_.empty() || data_.attempts.size() >= most) return false;
    if (candidates_.front().secure) return true;
    const bool secure_left = std::any_of(
        data_.attempts.begin(), data_.attempts.end(), [](const auto& attempt) {
            return attempt.result == Establishment::Result::under_way && row(attempt.stack).secure;
        });
    return (resolved_ || options_.stacks.empty()) && !secure_left;
}

void Race::handle_resolved(Instant now, std::vector<Endpoint> endpoints, const Error& error,
                           RecordKind kind, const Resolution::Answered& answered, bool complete) {
    if (over_ || resolved_) return;
    if (data_.answers.size() < most_recorded)
        data_.answers.push_back({to_string(kind), now, endpoints.size(), error});
    answered_ = answered;
    add(std::move(endpoints));
    arrange_again();
    if (!candidates_.empty() && first_endpoint_ == never) first_endpoint_ = now;
    if (complete) {
        resolved_ = true;
        data_.resolved = now;
    }
    end_if_over(now);
}

void Race::handle_progress(Instant now, AttemptId id) {
    Establishment::Attempt* attempt = under_way(id);
    if (!attempt || attempt->heard != never) return;
    attempt->heard = now;
    attempt->stage = Stage::handshake;
    if (failed_) return;
    // That took a round trip. What is left takes another, or two: hello retry, cookies (6.1).
    const Duration rest = std::clamp(2 * std::min(now - attempt->started, Options::most_delay),
                                     Options::least_delay, Options::most_delay);
    next_ = std::max(next_, now + rest);
}

bool Race::handle_failure(Instant now, AttemptId id, const Error& error) {
    Establishment::Attempt* attempt = under_way(id);
    if (!attempt) return false;
    attempt->result = Establishment::Result::failed;
    attempt->ended = now;
    attempt->error = error;
    attempt->error.candidate = attempt->remote;
    if (error.stage != Stage::none) attempt->stage = error.stage;
    next_ = now;
    failed_ = true;
    end_if_over(now);
    return true;
}

void Race::handle_won(Instant now, AttemptId id) {
    Establishment::Attempt* winner = under_way(id);
    if (!winner) return;
    for (Establishment::Attempt& attempt : data_.attempts) {
        if (attempt.result != Establishment::Result::under_way) continue;
        attempt.result = Establishment::Result::lost;
        attempt.ended = now;
    }
    winner->result = Establishment::Result::won;
    winner->stage = Stage::established;
    if (winner->heard == never) winner->heard = now;
    candidates_.clear();
    data_.ended = now;
    over_ = true;
}

void Race::note(AttemptId id, const std::string& text) {
    if (Establishment::Attempt* attempt = under_way(id)) attempt->reason += "; " + text;
}

std::optional<Connect> Race::beside(AttemptId attempt, Stack stack, const Address& remote) const {
    const Order order = arrange(endpoints_, options_);
    const Candidate* best = nullptr;
    const auto there = [&](const Candidate& one) {
        return one.endpoint.address.family == remote.family && one.endpoint.address.ip == remote.ip;
    };
    for (const Candidate& one : order.candidates)
        if (one.stack == stack && (!best || (!there(*best) && there(one)))) best = &one;
    if (!best) return std::nullopt;
    return Connect{attempt, stack, best->endpoint.address, best->path};
}

bool Race::exhausted() const { return over_ && !data_.winner(); }

Error Race::report() const {
    if (options_.out && options_.out->error) return options_.out->error;
    Error worst;
    std::string text = "could not reach " + data_.remote + "; tried:";
    const auto add_line = [&](const Error& error, const std::string& before) {
        text += "\n  " + before + error.message();
        if (!worst || error.stage > worst.stage) worst = error;
    };
    for (const Establishment::Answer& answer : data_.answers)
        if (answer.error) add_line(answer.error, "");
    for (const Establishment::Attempt& attempt : data_.attempts)
        if (attempt.error)
            add_line(attempt.error,
                     to_string(attempt.stack) +
                         (attempt.path.empty() ? std::string() : " over " + attempt.path) + ": ");
    // Somewhere, but not from here.
    const bool astray = std::any_of(data_.refused.begin(), data_.refused.end(),
                                    [](const auto& each) { return !each.path.empty(); });
    if (!worst)
        worst = unspoken_ ? Error(Errc::alpn_mismatch, {}, Stage::resolve)
                : data_.refused.empty() || endpoints_.empty() || astray
                    ? Error(Errc::no_route, {}, Stage::resolve)
                    : Error(Errc::resolve_failed, {}, Stage::resolve);
    const bool nothing = data_.attempts.empty() && data_.answers.empty();
    if (nothing && data_.refused.empty()) return worst;
    if (data_.attempts.empty())
        for (const Establishment::Refused& refused : data_.refused)
            text += "\n  not " +
                    (refused.remote.family == Address::Family::none ? std::string()
                                                                    : refused.remote.string()) +
                    (refused.stack ? std::string(" ") + to_string(*refused.stack) : "") +
                    (refused.path.empty() ? std::string() : " over " + refused.path) + ": " +
                    refused.reason;
    if (!worst.detail.empty()) text += "\n" + worst.detail.string();
    worst.detail = Bytes(std::move(text));
    return worst;
}

Establishment::Attempt* Race::under_way(AttemptId id) {
    const auto index = static_cast<std::size_t>(id.value()) - options_.first_attempt;
    if (over_ || index >= data_.attempts.size()) return nullptr;
    Establishment::Attempt& attempt = data_.attempts[index];
    return attempt.result == Establishment::Result::under_way ? &attempt : nullptr;
}

void Race::add(std::vector<Endpoint>&& endpoints) {
    for (Endpoint& endpoint : endpoints) {
        const auto known = std::find_if(
            endpoints_.begin(), endpoints_.end(), [&](const Endpoint& each) {
                return each.address == endpoint.address && each.from == endpoint.from;
            });
        // Half of the places at most to one family, so that the other one finds some.
        const auto of_family = std::count_if(
            endpoints_.begin(), endpoints_.end(),
            [&](const Endpoint& each) { return each.address.family == endpoint.address.family; });
        if (known != endpoints_.end())
            *known = std::move(endpoint);
        else if (static_cast<std::size_t>(of_family) < most_endpoints / 2)
            endpoints_.push_back(std::move(endpoint));
    }
}

// The complete list is put in order again, so that a late answer's addresses stand where they would
// have stood had they come early (Happy Eyeballs v3, 7).
void Race::arrange_again() {
    std::vector<Begun> begun;
    for (const Establishment::Attempt& attempt : data_.attempts)
        begun.push_back({attempt.stack, attempt.remote, attempt.path});
    Order order = arrange(endpoints_, options_, begun);
    candidates_ = std::move(order.candidates);
    data_.refused.clear();
    if (options_.out)
        for (const PathSelection::Refused& each : options_.out->refused)
            if (data_.refused.size() < most_recorded)
                data_.refused.push_back({{}, {}, each.reason, each.interface});
    unspoken_ = false;
    for (Order::Refused& refused : order.refused) {
        unspoken_ |= refused.unspoken;
        if (data_.refused.size() < most_recorded)
            data_.refused.push_back({refused.stack, refused.remote, std::move(refused.reason),
                                     std::move(refused.path)});
    }
}

bool Race::any_under_way() const {
    return std::any_of(data_.attempts.begin(), data_.attempts.end(), [](const auto& attempt) {
        return attempt.result == Establishment::Result::under_way;
    });
}

void Race::end_if_over(Instant now) {
    const bool left = !candidates_.empty() && data_.attempts.size() < most;
    if (!resolved_ || left || any_under_way()) return;
    over_ = true;
    data_.ended = now;
}

}  // namespace post::core
