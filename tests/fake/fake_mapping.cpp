// The fake's behaviour: what a transport does, without one.
#include "tests/fake/fake_mapping.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "mappings/framing/error_codes.hpp"

namespace post::test {

namespace {

constexpr std::size_t datagram_size = 1 + sizeof(std::uint64_t);

template <class... Handlers> struct Overloaded : Handlers... { using Handlers::operator()...; };
template <class... Handlers> Overloaded(Handlers...) -> Overloaded<Handlers...>;

std::size_t index_of(Role role) { return role == Role::client ? 0 : 1; }
std::size_t index_of(bool one_way) { return one_way ? 1 : 0; }

}  // namespace

struct FakeWire::Entry {
    std::vector<FakeMapping::Word> words;
};

FakeWire::FakeWire() = default;
FakeWire::~FakeWire() = default;

FakeMapping::FakeMapping(std::shared_ptr<FakeWire> wire, const FakeOptions& options, Instant now)
    : wire_(std::move(wire)), options_(options), started_(now), now_(now), last_heard_(now) {
    granted_[0] = granted_[1] = options.limits.carriers;
}

FakeMapping::~FakeMapping() = default;

// Commands.

void FakeMapping::reset(CarrierId id, Error reason) {
    auto row = carriers_.find(id);
    if (state_ != State::established || row == carriers_.end() || !row->second.may_send()) return;
    auto& carrier = row->second;
    carrier.send_over = true;
    carrier.begun.clear();
    if (alone_ && alone_->carrier == id) alone_.reset();
    if (!carrier.opened) {
        std::erase(waiting_, id);
        events_.push_back(event::Ended{id});
        carriers_.erase(row);
        return;
    }
    control_.push_back(GiveUp{id, framing::to_wire(reason)});
}

void FakeMapping::stop(CarrierId id, Error reason) {
    auto row = carriers_.find(id);
    if (state_ != State::established || row == carriers_.end() || !row->second.opened) return;
    if (row->second.ours && row->second.kind == CarrierKind::one_way) return;
    if (!row->second.receive_done) control_.push_back(WantNoMore{id, framing::to_wire(reason)});
}

void FakeMapping::extend_window(CarrierId id, std::uint64_t bytes) {
    auto row = carriers_.find(id);
    if (row == carriers_.end() || row->second.receive_done) return;
    row->second.receive_window += bytes;
    control_.push_back(Window{id, bytes});
}

void FakeMapping::extend_budget(std::uint64_t bytes) {
    if (state_ == State::established) control_.push_back(Budget{bytes});
}

void FakeMapping::close(Error reason) {
    if (state_ == State::closing || state_ == State::over) return;
    control_.clear();
    control_.push_back(Close{framing::to_wire(reason), reason.detail});
    state_ = State::closing;
    mute_ = true;
}

// Input.

void FakeMapping::handle_input(Instant now, const Datagrams& datagrams) {
    heard_at_ = now_ = std::max(now_, now);
    auto& entries = wire_->entries_[1 - index_of(options_.role)];
    for (auto rest = datagrams; !rest.empty(); rest = rest.after(1)) {
        auto datagram = rest.front();
        std::uint64_t number = 0;
        if (datagram.size() != datagram_size || datagram[0] != std::byte{0x50}) continue;
        std::memcpy(&number, datagram.data() + 1, sizeof number);
        if (number < next_expected_ || !entries.count(number)) continue;
        early_.insert(number);
        while (!early_.empty() && *early_.begin() == next_expected_ &&
               (state_ == State::handshaking || state_ == State::established)) {
            early_.erase(early_.begin());
            auto words = std::move(entries[next_expected_].words);
            entries.erase(next_expected_);
            last_heard_ = now_;
            heard_ = true;
            bool worth_an_ack = false;
            for (const auto& word : words) {
                worth_an_ack = worth_an_ack || !std::holds_alternative<Ack>(word);
                apply(word);
            }
            if (worth_an_ack) control_.push_back(Ack{next_expected_});
            ++next_expected_;
        }
    }
}

void FakeMapping::handle_timeout(Instant now) {
    now_ = std::max(now_, now);
    if (deadline() > now_) return;
    if (ping_at() <= now_ && now_ < last_heard_ + options_.limits.idle_timeout) {
        control_.push_back(Ping{});
        pinged_ = now_;
        return;
    }
    bool handshake = state_ == State::handshaking;
    lose(Error(handshake ? Errc::handshake_timeout : Errc::connection_lost, {},
               handshake ? Stage::handshake : Stage::established));
    state_ = State::over;
}

void FakeMapping::handle_trouble(Instant now, const Address& remote, std::error_code code) {
    now_ = std::max(now_, now);
    if (state_ != State::handshaking || heard_ || remote != options_.remote) return;
    if (code.value() != ECONNREFUSED) return;
    lose(Error(Errc::refused_port, code, Stage::connect));
    state_ = State::over;
}

void FakeMapping::apply(const Word& word) {
    std::visit(
        Overloaded{
            [&](const Hello& hello) {
                budget_ = hello.limits.budget;
                peer_window_ = hello.limits.carrier_window;
                streams_left_ = streams_left_one_way_ = hello.limits.carriers;
                if (hello.answer) {
                    control_.push_back(Confirm{});
                    established();
                } else {
                    control_.push_back(Hello{options_.limits, true});
                }
            },
            [&](const Confirm&) { established(); },
            [&](const Say& said) { say(said.value); },
            [&](const SayAlone& said) { arrive_alone(said.piece); },
            [&](const GiveUp& given) {
                auto row = carriers_.find(given.carrier);
                if (row == carriers_.end() || row->second.receive_done) return;
                row->second.receive_done = true;
                events_.push_back(event::Reset{given.carrier, framing::from_wire(given.code)});
                maybe_end(given.carrier);
            },
            [&](const WantNoMore& wanted) {
                auto row = carriers_.find(wanted.carrier);
                if (row == carriers_.end() || !row->second.may_send()) return;
                row->second.send_over = true;
                row->second.begun.clear();
                if (alone_ && alone_->carrier == wanted.carrier) alone_.reset();
                events_.push_back(event::Stopped{wanted.carrier, framing::from_wire(wanted.code)});
                control_.push_back(GiveUp{wanted.carrier, wanted.code});
            },
            [&](const Window& window) {
                auto row = carriers_.find(window.carrier);
                if (row == carriers_.end()) return;
                row->second.window += window.more;
                if (std::exchange(row->second.blocked, false))
                    events_.push_back(event::Unblocked{window.carrier});
            },
            [&](const Budget& budget) { budget_ += budget.more; },
            [&](const Carriers& carriers) {
                (carriers.one_way ? streams_left_one_way_ : streams_left_) += carriers.more;
                open_waiting();
            },
            [&](const Ping&) {},
            [&](const Ack& ack) { acknowledge(ack.entry); },
            [&](const Close& closed) {
                auto error = framing::closed_from_wire(closed.code);
                if (!closed.text.empty())
                    error.detail = Bytes("the peer says: " + closed.text.string());
                lose(error);
                state_ = State::over;
            },
        },
        word);
}

void FakeMapping::say(const Outgoing& value) {
    std::visit(Overloaded{
                   [&](const Open& open) {
                       auto& carrier = carriers_[open.carrier];
                       carrier.kind = open.kind;
                       carrier.opened = carrier.known = true;
                       carrier.window = peer_window_;
                       carrier.receive_window = options_.limits.carrier_window;
                       auto kind = index_of(open.kind == CarrierKind::one_way);
                       ++open_[kind];
                       // Like the real ones: who uses half of his grant gets twice as much.
                       if (open_[kind] * 2 > granted_[kind] &&
                           granted_[kind] < options_.limits.most_carriers) {
                           auto more = std::min(granted_[kind],
                                                options_.limits.most_carriers - granted_[kind]);
                           granted_[kind] += more;
                           control_.push_back(Carriers{kind == 1, more});
                       }
                       auto shown = open;
                       if (!options_.post) shown.parent.reset();
                       events_.push_back(event::Opened{shown});
                   },
                   [&](const Piece& piece) { arrive(piece); },
                   [&](const Finish& finish) {
                       auto row = carriers_.find(finish.carrier);
                       if (row == carriers_.end() || row->second.receive_done) return;
                       row->second.receive_done = true;
                       events_.push_back(event::Finished{finish.carrier});
                       maybe_end(finish.carrier);
                   },
                   [&](const auto& other) {
                       if (options_.post) events_.push_back(other);
                   },
               },
               value);
}

void FakeMapping::arrive(Piece piece) {
    auto row = carriers_.find(piece.carrier);
    if (row == carriers_.end() || row->second.receive_done) return;
    row->second.receive_window -= piece.bytes.size();
    if (!options_.post) {
        if (piece.bytes.empty()) return;
        piece.niceness = NicenessClass{0};
        piece.sequence = Sequence{row->second.arrivals++};
        piece.offset = 0;
        piece.total = piece.bytes.size();
        piece.marks = {};
    }
    events_.push_back(event::Arrived{std::move(piece)});
}

void FakeMapping::acknowledge(std::uint64_t entry) {
    auto row = in_flight_.find(entry);
    if (row == in_flight_.end()) return;
    auto sent = std::move(row->second);
    in_flight_.erase(row);
    if (!options_.post)
        for (const auto& [id, pieces] : sent.pieces) events_.push_back(event::Acked{id, pieces});
    settle_alone(sent);
    for (auto id : sent.ended) {
        auto found = carriers_.find(id);
        if (found == carriers_.end()) continue;
        found->second.send_done = true;
        maybe_end(id);
    }
}

void FakeMapping::maybe_end(CarrierId id) {
    auto& carrier = carriers_.at(id);
    bool sends = carrier.ours || carrier.kind != CarrierKind::one_way;
    bool receives = !carrier.ours || carrier.kind != CarrierKind::one_way;
    if ((sends && !carrier.send_done) || (receives && !carrier.receive_done)) return;
    if (!carrier.ours) {
        auto kind = index_of(carrier.kind == CarrierKind::one_way);
        --open_[kind];
        control_.push_back(Carriers{kind == 1, 1});
    }
    carriers_.erase(id);
    events_.push_back(event::Ended{id});
}

void FakeMapping::lose(Error error) {
    error.candidate = options_.remote;
    events_.push_back(event::Lost{std::move(error)});
}

// Output.

Datagrams FakeMapping::poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) {
    now_ = std::max(now_, now);
    if (state_ == State::over || space.size() < datagram_size) return {};
    if (!greeted_ && options_.role == Role::client && state_ == State::handshaking)
        control_.push_back(Hello{options_.limits, false});
    greeted_ = true;

    std::vector<Word> words;
    Sent sent;
    while (!control_.empty()) {
        if (auto* given = std::get_if<GiveUp>(&control_.front()))
            sent.ended.push_back(given->carrier);
        words.push_back(std::move(control_.front()));
        control_.pop_front();
    }
    if (state_ == State::established && in_flight_.size() < options_.datagrams_in_flight)
        fill(supply, words, sent);
    if (state_ == State::closing) state_ = State::over;
    if (words.empty()) return {};

    auto side = index_of(options_.role);
    auto number = wire_->next_[side]++;
    bool only_acks = std::all_of(words.begin(), words.end(), [](const Word& word) {
        return std::holds_alternative<Ack>(word);
    });
    if (!only_acks) in_flight_[number] = std::move(sent);
    wire_->entries_[side][number].words = std::move(words);

    Datagrams run;
    run.local = options_.local;
    run.remote = options_.remote;
    run.segment = datagram_size;
    space[0] = std::byte{0x50};
    std::memcpy(space.data() + 1, &number, sizeof number);
    run.bytes = space.first(datagram_size);
    return run;
}

bool FakeMapping::fill(Supply& supply, std::vector<Word>& words, Sent& sent) {
    std::size_t size = 0;
    for (;;) {
        while (!association_.empty()) {
            words.push_back(Say{std::move(association_.front())});
            association_.pop_front();
        }
        std::vector<CarrierId> ids;
        for (const auto& [id, carrier] : carriers_)
            if (!carrier.begun.empty() && carrier.opened && !carrier.blocked) ids.push_back(id);
        for (auto id : ids)
            if (!fill_carrier(id, supply, words, sent, size)) return true;
        if (alone_ && !fill_alone(supply, words, sent, size)) return true;
        if (budget_ == 0) return true;
        auto* outgoing = supply.next();
        if (auto* piece = outgoing ? std::get_if<Piece>(outgoing) : nullptr)
            piece->bytes = piece->bytes.held();
        if (outgoing == nullptr) return true;
        begin(std::move(*outgoing), supply);
    }
}

// False when the datagram is full, or the budget is spent.
bool FakeMapping::fill_carrier(CarrierId id, Supply& supply, std::vector<Word>& words, Sent& sent,
                               std::size_t& size) {
    auto& carrier = carriers_.at(id);
    while (!carrier.begun.empty()) {
        auto& front = carrier.begun.front();
        auto* piece = std::get_if<Piece>(&front);
        if (piece == nullptr) {
            if (std::holds_alternative<Finish>(front)) {
                carrier.send_over = true;
                sent.ended.push_back(id);
            }
            if (std::holds_alternative<Open>(front)) sent.opened.push_back(id);
            words.push_back(Say{std::move(front)});
            carrier.begun.pop_front();
            continue;
        }
        auto left = piece->bytes.size() - carrier.piece_sent;
        auto step = std::min<std::uint64_t>(
            {left, carrier.window, budget_, datagram_content - size});
        if (step == 0 && left > 0) {
            if (carrier.window > 0) return false;
            carrier.blocked = true;
            supply.blocked(id);
            return true;
        }
        Piece part(*piece);
        part.offset += carrier.piece_sent;
        part.bytes = piece->bytes.slice(static_cast<std::size_t>(carrier.piece_sent),
                                        static_cast<std::size_t>(step));
        words.push_back(Say{std::move(part)});
        carrier.window -= step;
        budget_ -= step;
        size += static_cast<std::size_t>(step);
        carrier.piece_sent += step;
        if (step < left) continue;
        carrier.piece_sent = 0;
        carrier.begun.pop_front();
        ++sent.pieces[id];
        supply.packed(id, 1);
    }
    return size < datagram_content;
}

void FakeMapping::begin(Outgoing outgoing, Supply& supply) {
    std::visit(Overloaded{
                   [&](Open& open) {
                       auto& carrier = carriers_[open.carrier];
                       carrier.kind = open.kind;
                       carrier.ours = true;
                       carrier.window = peer_window_;
                       carrier.receive_window = options_.limits.carrier_window;
                       carrier.begun.push_back(open);
                       carrier.opened = take_stream(open.kind == CarrierKind::one_way);
                       if (carrier.opened) return;
                       waiting_.push_back(open.carrier);
                       supply.blocked(open.carrier);
                   },
                   [&](auto& value) {
                       using Value = std::remove_reference_t<decltype(value)>;
                       constexpr bool of_association = std::is_same_v<Value, Settings> ||
                                                       std::is_same_v<Value, Chosen> ||
                                                       std::is_same_v<Value, Refuse> ||
                                                       std::is_same_v<Value, Attach> ||
                                                       std::is_same_v<Value, Delivered>;
                       constexpr bool plain = std::is_same_v<Value, Piece> ||
                                              std::is_same_v<Value, Finish>;
                       if (!plain && !options_.post) return;
                       if constexpr (of_association) {
                           association_.push_back(value);
                       } else {
                           auto row = carriers_.find(value.carrier);
                           if (row == carriers_.end() || !row->second.may_send()) return;
                           if constexpr (std::is_same_v<Value, Piece>)
                               if (wait_alone(value)) return;
                           row->second.begun.push_back(value);
                       }
                   },
               },
               outgoing);
}

void FakeMapping::poll_events(std::vector<Event>& events) {
    if (mute_) return;
    events.insert(events.end(), std::move_iterator(events_.begin()),
                  std::move_iterator(events_.end()));
    events_.clear();
}

Instant FakeMapping::deadline() const {
    if (state_ == State::handshaking) return started_ + options_.limits.handshake_timeout;
    if (state_ == State::established)
        return std::min(ping_at(), last_heard_ + options_.limits.idle_timeout);
    return never;
}

Instant FakeMapping::ping_at() const {
    auto every = options_.limits.keep_alive.value_or(options_.limits.idle_timeout / 3);
    if (state_ != State::established || !keep_alive_ || every == Duration::zero()) return never;
    return std::max(last_heard_, pinged_) + every;
}

// Views.

std::uint64_t FakeMapping::send_window(CarrierId id) const {
    if (state_ != State::established) return 0;
    auto row = carriers_.find(id);
    if (row == carriers_.end()) return streams_left_ > 0 ? std::min(peer_window_, budget_) : 0;
    const auto& carrier = row->second;
    if (!carrier.opened || !carrier.may_send()) return 0;
    std::uint64_t begun = 0;
    for (const auto& value : carrier.begun)
        if (auto* piece = std::get_if<Piece>(&value)) begun += piece->bytes.size();
    auto left = std::min(carrier.window, budget_);
    begun -= carrier.piece_sent;
    return left - std::min(left, begun);
}

Path FakeMapping::path() const {
    Path path;
    path.local = options_.local;
    path.remote = options_.remote;
    path.mtu = datagram_content;
    path.in_flight = in_flight_.size() * datagram_content;
    return path;
}

bool FakeMapping::quiet() const {
    if (state_ != State::established) return true;
    if (!in_flight_.empty() || !association_.empty()) return false;
    return std::all_of(carriers_.begin(), carriers_.end(),
                       [](const auto& row) { return row.second.begun.empty(); });
}

}  // namespace post::test
