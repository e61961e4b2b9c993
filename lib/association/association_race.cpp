// How a client comes to its connection: the race says what is looked up and tried, each attempt is
// a leaf, and the first that is established becomes the association's transient. The others are
// told that they have lost.
#include <algorithm>

#include "lib/association/standby.hpp"

namespace post::core {

namespace {

// A leaf has nothing to say but its handshake, and its last word.
struct Nothing final : Supply {
    Outgoing* next() override { return nullptr; }
    void packed(CarrierId, std::uint64_t) override {}
    void packed_alone(CarrierId, NicenessClass, Sequence) override {}
    void blocked(CarrierId) override {}
};

}  // namespace

void Association::attach(std::unique_ptr<Mapping> mapping) {
    stack_ = mapping->stack();
    mapping_ = std::move(mapping);
    trace_begin(*mapping_, attempt_);
    if (state_ == State::fresh) state_ = State::connecting;
}

void Association::attach(AttemptId attempt, std::unique_ptr<Mapping> mapping) {
    if (leaves_.empty() && !mapping_) stack_ = mapping->stack();
    trace_begin(*mapping, attempt);
    leaves_.push_back({attempt, std::move(mapping)});
}

void Association::begin_race(Instant now) {
    race_ = std::make_unique<Race>();
    Race::Options options = options_.race;
    const Remote& remote = *options_.remote;
    const bool lost = options.out && options.out->error;
    if (!remote.complete() && !lost) {
        resolution_ = std::make_unique<Resolution>();
        resolution_->begin(remote, {.dane = options_.dane, .seed = options_.race_id});
        options.svcb = !resolution_->answered().services;
    }
    race_->begin(now, remote, options);
    if (traces()) trace(traced::RaceBegan{remote.string()});
    if (!resolution_ || !resolution_->complete()) return;
    Answer answer;
    answer.error = resolution_->error();
    tell_race(now, answer, remote.host());
}

std::optional<Want> Association::poll_want(Instant now) {
    if (auto wanted = standby_ ? standby_->poll(now) : std::nullopt) return *std::move(wanted);
    if (!racing() || !options_.remote) return std::nullopt;
    if (!race_ && continuity_ && now < continuity_->retry) return std::nullopt;
    if (!race_) begin_race(now);
    if (resolution_)
        if (auto lookup = resolution_->poll_lookup()) {
            if (traces()) trace(traced::Asked{lookup->question, lookup->name});
            return *std::move(lookup);
        }
    if (auto next = race_->next(now)) {
        trace_attempt(next->attempt);
        return *next;
    }
    fail_if_exhausted();
    return std::nullopt;
}

void Association::handle_answer(Instant now, QueryId query, const Answer& answer, bool complete) {
    if (!racing() || !resolution_) return;
    now_ = now;
    const std::string host = traces() ? resolution_->asked(query) : std::string();
    resolution_->handle_answer(query, answer, complete);
    tell_race(now, answer, host);
}

void Association::tell_race(Instant now, const Answer& answer, const std::string& host) {
    std::vector<Endpoint> endpoints = resolution_->poll_endpoints();
    if (traces())
        trace(traced::Answered{answer.kind, host, endpoints.size(), answer.cached, answer.error});
    race_->handle_resolved(now, std::move(endpoints), answer.error, answer.kind,
                           resolution_->answered(), resolution_->complete());
    fail_if_exhausted();
}

bool Association::raced() const {
    return options_.role == Role::client && race_ && race_->establishment().attempts.size() > 1;
}

// Which connection.

const Association::Leaf* Association::leaf(AttemptId attempt) const {
    const auto at = std::find_if(leaves_.begin(), leaves_.end(),
                                 [&](const Leaf& one) { return one.attempt == attempt; });
    return at == leaves_.end() ? nullptr : &*at;
}

Association::Leaf* Association::leaf(AttemptId attempt) {
    return const_cast<Leaf*>(static_cast<const Association*>(this)->leaf(attempt));
}

Mapping* Association::mapping(AttemptId attempt) {
    if (is_active(attempt)) return mapping_.get();
    Leaf* const found = leaf(attempt);
    return found && !found->leaving ? found->mapping.get() : nullptr;
}

bool Association::has(AttemptId attempt) const { return is_active(attempt) || leaf(attempt); }

bool Association::leaving(AttemptId attempt) const {
    const Leaf* found = leaf(attempt);
    return found && found->leaving;
}

// Input.

void Association::handle_input(Instant now, AttemptId attempt, const Datagrams& datagrams) {
    Mapping* const to = mapping(attempt);
    if (!to) return;
    now_ = now;
    to->handle_input(now, datagrams);
    if (racing()) handle_heard(now, attempt);
    drain(now, attempt);
}

void Association::handle_heard(Instant now, AttemptId attempt) {
    if (race_ && leaf(attempt)) race_->handle_progress(now, attempt);
}

void Association::handle_end(Instant now, AttemptId attempt) {
    Mapping* const to = mapping(attempt);
    if (!to) return;
    now_ = now;
    to->handle_end(now);
    drain(now, attempt);
}

void Association::handle_link(Instant now, AttemptId attempt, const LinkNews& news) {
    Mapping* const to = mapping(attempt);
    if (!to) return;
    now_ = now;
    to->handle_link(now, news);
    drain(now, attempt);
}

std::optional<LinkWant> Association::poll_link(AttemptId attempt) {
    if (is_active(attempt)) return mapping_->poll_link();
    Leaf* const from = leaf(attempt);
    return from ? from->mapping->poll_link() : std::nullopt;
}

void Association::handle_trouble(Instant now, AttemptId attempt, const Address& remote,
                                 std::error_code code) {
    Mapping* const to = mapping(attempt);
    if (!to) return;
    now_ = now;
    to->handle_trouble(now, remote, code);
    drain(now, attempt);
}

void Association::handle_failure(Instant now, AttemptId attempt, const Error& error) {
    if (standby_ && standby_->is(attempt)) return standby_->handle_failure(now, error);
    if (!racing() || !race_) return;
    now_ = now;
    if (race_->handle_failure(now, attempt, error)) trace_attempt(attempt);
    fail_if_exhausted();
}

void Association::fail_if_exhausted() {
    if (!racing() || !race_ || !race_->exhausted()) return;
    if (pause_race()) return;
    end_ = race_->report();
    // Resolution knows best why there was nothing to try.
    if (resolution_ && race_->establishment().attempts.empty())
        if (Error nothing = resolution_->error()) end_ = std::move(nothing);
    if (traces()) trace(traced::RaceLost{end_});
    after_failure();
}

// Leaves.

void Association::drain(Instant now, AttemptId attempt) {
    if (is_active(attempt))
        drain_mapping(now);
    else if (Leaf* const found = leaf(attempt))
        drain_leaf(now, *found);
}

// Its first event says whether it has won or failed.
void Association::drain_leaf(Instant now, Leaf& leaf) {
    if (leaf.leaving) return;
    if (standby_ && standby_->is(leaf.attempt)) return standby_->drain(now, leaf);
    leaf.mapping->poll_events(shared_.arrived);
    if (shared_.arrived.empty()) return;
    if (auto* lost = std::get_if<event::Lost>(&shared_.arrived.front())) {
        leaf.leaving = true;
        const Error error = std::move(lost->error);
        shared_.arrived.clear();
        trace_end(*leaf.mapping, leaf.attempt, error);
        return handle_failure(now, leaf.attempt, error);
    }
    win(now, leaf);
    handle_arrived(now);
}

void Association::drain_leaves(Instant now) {
    for (std::size_t i = 0; i < leaves_.size() && racing(); ++i) drain_leaf(now, leaves_[i]);
}

void Association::win(Instant now, Leaf& winner) {
    race_->handle_won(now, winner.attempt);
    for (std::size_t i = 0; i < race_->establishment().attempts.size(); ++i)
        if (race_->establishment().attempts[i].result != Establishment::Result::failed)
            trace_attempt(AttemptId{static_cast<std::uint8_t>(i)});
    resolution_.reset();
    const AttemptId attempt = winner.attempt;
    auto mapping = std::move(winner.mapping);
    auto flight = std::move(winner.early);
    std::erase_if(leaves_, [](const Leaf& one) { return !one.mapping; });
    // It was looked for beside the one in use.
    if (mapping_) break_off(now, Error(Errc::replaced, {}, Stage::established));
    attempt_ = attempt;
    mapping_ = std::move(mapping);
    flight_ = std::move(flight);
    stack_ = mapping_->stack();
    close_leaves(Error(Errc::lost_the_race));
}

void Association::close_leaves(const Error& error) {
    for (Leaf& leaf : leaves_) {
        if (standby_ && standby_->is(leaf.attempt)) continue;  // it goes when nobody wants it
        if (std::exchange(leaf.leaving, true)) continue;
        trace_end(*leaf.mapping, leaf.attempt, error);
        leaf.mapping->close(error);
    }
}

void Association::time_leaves(Instant now) {
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
        Leaf& one = leaves_[i];
        if (one.leaving || one.mapping->deadline() > now) continue;
        if (standby_ && standby_->is(one.attempt)) continue;
        one.mapping->handle_timeout(now);
        drain_leaf(now, one);
        if (!racing()) return;
    }
}

Instant Association::race_deadline() const {
    Instant first = joining_ ? std::min(choice_due_, joining_->reopen_by) : choice_due_;
    if (!racing()) return first;
    if (race_) first = std::min(first, race_->deadline());
    for (const Leaf& leaf : leaves_)
        if (!leaf.leaving && !(standby_ && standby_->is(leaf.attempt)))
            first = std::min(first, leaf.mapping->deadline());
    return first;
}

Datagrams Association::transmit_leaf(Instant now, AttemptId attempt, std::span<std::byte> space) {
    Leaf* const from = leaf(attempt);
    if (!from) return {};
    if (standby_ && standby_->is(attempt) && !from->leaving)
        return standby_->poll_transmit(now, *from->mapping, space);
    Nothing nothing;
    const bool early = state_ == State::connecting && !from->leaving &&
                       from->mapping->sends_early();
    const Datagrams run = early ? transmit_early(now, *from, space)
                                : from->mapping->poll_transmit(now, nothing, space);
    if (!run.empty() || run.end || !from->leaving) return run;
    std::erase_if(leaves_, [&](const Leaf& one) { return one.attempt == attempt; });
    if (state_ == State::closing && !mapping_ && leaves_.empty()) after_failure();
    return {};
}

}  // namespace post::core
