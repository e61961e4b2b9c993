// The moves of the play, and the books.
#include "tests/fake/association_play.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace post::test {

namespace {

const Address client_address = *Address::parse("192.0.2.1", 50000);
const Address server_address = *Address::parse("192.0.2.2", 4433);

void require(bool condition, const char* what) {
    if (!condition) throw std::logic_error(what);
}

}  // namespace

AssociationPlay::Side::Side(Role role, const Bounds& bounds)
    : association(
          {AssociationId{1},
           role,
           role == Role::client ? std::optional<Remote>(Remote(server_address)) : std::nullopt,
           bounds,
           {},
           {.stacks = {Stack::quic}}},
          shared) {}

AssociationPlay::AssociationPlay(std::span<const std::byte> choices) : choices_(choices) {
    const std::size_t world = byte();
    post_ = (world & 3) != 3;
    limits_.carriers = world & 4 ? 2 : 100;
    limits_.carrier_window = 32 * 1024;  // as the inbox has it
    bounds_.unsettled = world & 8 ? 20'000 : 1 << 20;
    bounds_.send_budget = world & 16 ? 4'000 : 1 << 20;
    bounds_.receive_budget = world & 32 ? 256 * 1024 : 1 << 22;
    bounds_.largest_message = 200'000;
    limits_.budget = bounds_.receive_budget;
    client_ = std::make_unique<Side>(Role::client, bounds_);
    server_ = std::make_unique<Side>(Role::server, bounds_);
}

std::size_t AssociationPlay::byte() {
    if (choices_.empty()) return 0;
    const auto value = std::to_integer<std::size_t>(choices_.front());
    choices_ = choices_.subspan(1);
    return value;
}

void AssociationPlay::run() {
    while (!choices_.empty()) step();
    finish();
}

void AssociationPlay::step() {
    const std::size_t choice = byte();
    Side& side = choice & 1 ? *server_ : *client_;
    switch (choice >> 1 & 7) {
        case 0: return turns();
        case 1: return pass(std::chrono::milliseconds(byte()));
        case 2: return turn(side);
        case 3:
            if (choice == 0xff && byte() > 250) cut_ = true;  // a dead link, seldom
            return;
        default: return act(side, choice >> 1 & 7);
    }
}

void AssociationPlay::act(Side& side, std::size_t choice) {
    const auto carrier = pick(side);
    if (!carrier || choice == 4) return open(side);
    if (choice == 5) return send(side, *carrier);
    if (choice == 6) return take(side, *carrier);
    switch (byte() % 8) {
        case 0: std::erase(side.carriers, *carrier); return side.association.close(now_, *carrier);
        case 1:
            std::erase(side.carriers, *carrier);
            return side.association.abort(*carrier, Error(Errc::cancelled));
        case 2: return side.association.finish(*carrier);
        default: return send(side, *carrier);
    }
}

std::optional<CarrierId> AssociationPlay::pick(Side& side) {
    if (side.carriers.empty()) return std::nullopt;
    return side.carriers[byte() % side.carriers.size()];
}

void AssociationPlay::open(Side& side) {
    if (side.gone || side.association.state() >= core::Association::State::closing) return;
    if (&side == server_.get() && !side.connected) return;
    const std::size_t choice = byte();
    core::Association::NewCarrier carrier;
    carrier.tag = side.next_tag++;
    carrier.kind = choice % 8 == 7 ? CarrierKind::one_way : CarrierKind::messages;
    carrier.priority = static_cast<std::uint32_t>(choice >> 3 & 1);
    carrier.announce = (choice >> 4 & 3) == 3;
    if (choice & 64) carrier.parent = pick(side);
    const CarrierId made = side.association.open(carrier);
    side.association.want_fates(made, true);
    side.carriers.push_back(made);
    side.tags[carrier.tag] = made;
}

void AssociationPlay::send(Side& side, CarrierId carrier) {
    const std::size_t choice = byte();
    SendOptions options;
    options.niceness = static_cast<std::uint32_t>(choice & 3);
    if (choice & 4) options.lifetime = std::chrono::milliseconds(1 + byte());
    options.final = (choice & 0xf8) == 0xf8;
    // The class of those that may travel alone, out of order.
    const bool alone = options.niceness == Niceness{3};
    if (alone) options.ordered = options.reliable = false;
    std::size_t size = byte();
    if (choice & 8) size *= choice & 16 ? 700 : 20;
    if (!side.association.writable(carrier)) return side.association.starve(carrier);
    const core::FateToken token = side.next_token++;
    const auto id = side.association.send(
        now_, carrier, Bytes(std::string(size, static_cast<char>('a' + token % 26))), options,
        token);
    if (!id) return;
    side.records[token].alone = alone;
    ++messages_;
}

void AssociationPlay::take(Side& side, CarrierId carrier) {
    for (std::size_t left = byte() % 8; left > 0; --left) {
        auto message = side.association.take(carrier);
        if (!message) return;
        ++delivered_;
        const std::string_view text = message->view();
        require(text.find_first_not_of(text.substr(0, 1)) == std::string_view::npos,
                "a message holds bytes of another one");
        if (message->niceness() == Niceness{3}) {
            require(side.alone.insert({carrier, message->sequence()}).second,
                    "a message came twice");
            continue;
        }
        auto& next = side.next[{carrier, message->niceness().value()}];
        require(message->sequence().value() >= next, "a message came twice or out of order");
        next = message->sequence().value() + 1;
    }
}

void AssociationPlay::connect(Side& side) {
    if (side.connected) return;
    const bool client = &side == client_.get();
    if (client) {
        const auto want = side.association.poll_want(now_);
        if (!want) return;
    } else if (!client_->connected) {
        return;
    }
    FakeOptions options;
    options.role = client ? Role::client : Role::server;
    options.limits = limits_;
    options.local = client ? client_address : server_address;
    options.remote = client ? server_address : client_address;
    options.post = post_;
    options.datagrams_in_flight = 8;
    options.lost_alone = 5;
    side.association.attach(std::make_unique<FakeMapping>(wire_, options, now_));
    side.connected = true;
}

// One turn as the root makes it.
void AssociationPlay::turn(Side& side) {
    std::vector<core::Happened> events;
    connect(side);
    Side& other = &side == client_.get() ? *server_ : *client_;
    for (auto& bytes : std::exchange(side.arriving, {})) {
        Datagrams run;
        run.segment = bytes.size();
        run.bytes = bytes;
        side.association.handle_input(now_, {}, run);
    }
    if (side.association.deadline() <= now_) side.association.handle_timeout(now_);
    side.association.poll_events(events);
    for (const auto& event : events) tell(side, event);
    side.association.prepare(now_);
    std::byte space[64];
    for (int runs = 0;; ++runs) {
        require(runs < 10'000, "poll_transmit never ends");
        const Datagrams run = side.association.poll_transmit(now_, {}, space);
        if (run.empty()) break;
        if (!cut_) other.arriving.emplace_back(run.bytes.begin(), run.bytes.end());
    }
    events.clear();
    side.association.poll_events(events);
    for (const auto& event : events) tell(side, event);
    std::size_t open = 0;
    for (const auto& [token, record] : side.records) open += record.settled ? 0 : 1;
    require(side.shared.outstanding == open, "the number of messages without a fate is wrong");
    // What comes alone was not promised, but has its share.
    require(side.shared.charge.charged <= bounds_.receive_budget * 9 / 8 + 64 * 1024,
            "more is held than was promised");
}

// Until neither has anything to say.
void AssociationPlay::turns() {
    for (int rounds = 0; rounds < 5000; ++rounds) {
        turn(*client_);
        turn(*server_);
        if (client_->arriving.empty() && server_->arriving.empty()) return;
    }
    throw std::logic_error("the two never fall silent");
}

void AssociationPlay::pass(Duration time) {
    const Instant end = now_ + time;
    for (int wakes = 0;; ++wakes) {
        require(wakes < 5000, "a deadline does not move");
        turns();
        const Instant next = std::min(client_->association.deadline(),
                                      server_->association.deadline());
        if (next > end) break;
        now_ = std::max(now_, next);
    }
    now_ = end;
}

void AssociationPlay::tell(Side& side, const core::Happened& event) {
    using namespace core::happened;
    if (const auto* progress = std::get_if<Progress>(&event)) {
        require(side.records.contains(progress->on_fate), "a fate of no message");
        Record& record = side.records[progress->on_fate];
        require(!record.settled, "a fate after the end");
        if (progress->fate.kind == Fate::Kind::sent) {
            require(!record.sent, "sent twice");
            record.sent = true;
            return;
        }
        require(progress->fate.kind != Fate::Kind::expired || !record.sent || record.alone,
                "expired after sent");
        record.settled = true;
        record.fate = progress->fate.kind;
    } else if (const auto* opened = std::get_if<Opened>(&event)) {
        if (!side.association.has(opened->carrier)) return;  // gone in the meantime
        if (byte() % 8 == 7) return side.association.refuse(opened->carrier);
        const core::Tag tag = side.next_tag++;
        side.association.adopt(opened->carrier, tag);
        side.association.want_fates(opened->carrier, true);
        side.carriers.push_back(opened->carrier);
        side.tags[tag] = opened->carrier;
    } else if (const auto* over = std::get_if<Over>(&event)) {
        require(side.tags.contains(over->carrier), "a Carrier ends twice");
        std::erase(side.carriers, side.tags[over->carrier]);
        side.tags.erase(over->carrier);
    } else if (std::holds_alternative<Gone>(event)) {
        require(!side.gone, "an association ends twice");
        side.gone = true;
    }
}

// All that is open is closed, time passes, and nothing may be left.
void AssociationPlay::finish() {
    turns();
    for (Side* side : {client_.get(), server_.get()})
        for (const CarrierId carrier : std::exchange(side->carriers, {}))
            side->association.close(now_, carrier);
    pass(std::chrono::minutes(2));
    for (Side* side : {client_.get(), server_.get()}) {
        for (const CarrierId carrier : std::exchange(side->carriers, {}))
            side->association.close(now_, carrier);  // opened by the peer meanwhile
    }
    pass(std::chrono::minutes(2));
    for (Side* side : {client_.get(), server_.get()}) {
        require(side->tags.empty(), "a Carrier did not end");
        require(side->shared.outstanding == 0, "a message has no fate");
        require(side->shared.draining == 0, "a Carrier is still draining");
        require(side->shared.charge.charged == 0, "bytes are held by nobody");
        require(side->association.carriers() == 0, "a Carrier is left");
    }
}

}  // namespace post::test
