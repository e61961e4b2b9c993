// An Association on a mapping that a test plays by hand: events are pushed in, what the association
// says and commands comes out as short words.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/association/association.hpp"
#include "tests/unit/words.hpp"

namespace post::test {

// What an association hands down, as a word.
inline std::string word(const Outgoing& out) {
    struct {
        std::string operator()(const Piece& piece) const {
            return std::to_string(piece.carrier.value()) + " " + piece.bytes.string();
        }
        std::string operator()(const Open& open) const {
            return "open " + std::to_string(open.carrier.value()) +
                   (open.parent ? " of " + std::to_string(open.parent->value()) : "");
        }
        std::string operator()(const Finish& finish) const {
            return "finish " + std::to_string(finish.carrier.value());
        }
        std::string operator()(const Skip& skip) const {
            return "skip " + std::to_string(skip.carrier.value());
        }
        std::string operator()(const Abandon& abandon) const {
            return "abandon " + std::to_string(abandon.carrier.value());
        }
        std::string operator()(const Settings&) const { return "settings"; }
        std::string operator()(const Chosen&) const { return "chosen"; }
        std::string operator()(const Attach& attach) const {
            return (attach.early ? "attach early " : "attach ") + std::to_string(attach.epoch);
        }
        std::string operator()(const Refuse& refuse) const {
            return "refuse " + std::to_string(refuse.carrier.value());
        }
        std::string operator()(const Delivered& delivered) const {
            return "delivered " + std::to_string(delivered.carrier.value()) + " below " +
                   std::to_string(delivered.watermark.value());
        }
    } words;
    return std::visit(words, out);
}

// What the scripted mapping was told and is to tell; outlives it.
struct Script {
    std::vector<Event> events;
    Words said;                      // pulled from the supply
    Words commands;                  // reset, stop, close
    std::vector<CarrierId> no_room;  // these are reported as blocked when they open
    bool pulls = true;               // poll_transmit takes all that there is
    bool alone = false;              // what may travel alone does
    bool quiet = true;
    Instant heard = never;
    std::uint8_t secret = 0;  // what both ends of the handshake share; 0: it is not secured
    bool over = false;
    Instant deadline = never;
    bool early = false;  // it pulls before it is established
};

class ScriptedMapping final : public Mapping {
public:
    explicit ScriptedMapping(Script& script) : script_(script) {}

    void reset(CarrierId carrier, Error) override { command("reset", carrier); }
    void stop(CarrierId carrier, Error) override { command("stop", carrier); }
    void extend_window(CarrierId, std::uint64_t) override {}
    void extend_budget(std::uint64_t) override {}
    void keep_alive(bool) override {}
    void close(Error reason) override {
        script_.commands.push_back("close " + reason.code.message());
        closing_ = true;
    }
    void handle_input(Instant, const Datagrams&) override {}
    void handle_timeout(Instant) override { script_.deadline = never; }
    void handle_trouble(Instant, const Address&, std::error_code) override {}
    Datagrams poll_transmit(Instant, Supply& supply, std::span<std::byte>) override {
        if (closing_) script_.over = true;
        if (!script_.pulls || closing_) return {};
        while (Outgoing* out = supply.next()) {
            script_.said.push_back(word(*out));
            if (const auto* piece = std::get_if<Piece>(out)) {
                if (script_.alone && !piece->marks.reliable)
                    supply.packed_alone(piece->carrier, piece->niceness, piece->sequence);
                else
                    supply.packed(piece->carrier, 1);
            }
            if (const auto* open = std::get_if<Open>(out))
                for (CarrierId carrier : script_.no_room)
                    if (carrier == open->carrier) supply.blocked(carrier);
        }
        return {};
    }
    void poll_events(std::vector<Event>& events) override {
        for (Event& event : std::exchange(script_.events, {})) events.push_back(std::move(event));
    }
    Instant deadline() const override { return script_.deadline; }
    std::uint64_t send_window(CarrierId) const override { return 0; }
    Path path() const override { return {}; }
    bool quiet() const override { return script_.quiet; }
    Stack stack() const override { return Stack::quic; }
    bool sends_early() const override { return script_.early; }
    Instant heard() const override { return script_.heard; }
    bool over() const override { return script_.over; }
    std::optional<ContinuityKey> continuity_key(const AssociationName& name) const override {
        if (script_.secret == 0) return std::nullopt;
        ContinuityKey key{};
        key[0] = script_.secret;
        key[1] = name[0];
        return key;
    }
    std::optional<ContinuityProof> prove(const ContinuityKey& key, Role role,
                                         std::uint64_t epoch) const override {
        if (script_.secret == 0) return std::nullopt;
        ContinuityProof proof = key;
        proof[2] = script_.secret;
        proof[3] = static_cast<std::uint8_t>(role);
        proof[4] = static_cast<std::uint8_t>(epoch);
        return proof;
    }

    std::optional<ContinuityProof> prove_early(const ContinuityKey& key,
                                               std::uint64_t epoch) const override {
        auto proof = script_.early ? prove(key, Role::client, epoch) : std::nullopt;
        if (proof) (*proof)[5] = 1;
        return proof;
    }

private:
    void command(const char* verb, CarrierId carrier) {
        script_.commands.push_back(std::string(verb) + " " + std::to_string(carrier.value()));
    }
    Script& script_;
    bool closing_ = false;
};

class AssociationRig {
public:
    explicit AssociationRig(Role role = Role::client, const Bounds& bounds = {},
                            EarlyGuard* guard = nullptr)
        : association(options(role, bounds, guard), shared) {}
    AssociationRig(const AssociationRig&) = delete;
    AssociationRig& operator=(const AssociationRig&) = delete;

    // Attaches the mapping and completes the handshake.
    void establish(bool post = true, bool settings = true) {
        association.activate();
        while (association.poll_want(now)) {}
        association.attach(std::make_unique<ScriptedMapping>(script));
        tell(event::Established{post ? "post" : "raw", post, {}});
        if (post && settings) peer_settings();
        turn();
        script.said.clear();
        happened();
    }
    CarrierId open(std::optional<CarrierId> parent = {}, CarrierKind kind = CarrierKind::messages,
                   bool announce = false) {
        const CarrierId made = association.open({.tag = next_tag_++,
                                                 .parent = parent,
                                                 .kind = kind,
                                                 .priority = {},
                                                 .announce = announce});
        association.want_fates(made, true);
        return made;
    }
    void send(CarrierId carrier, const char* text, const SendOptions& options = {}) {
        (void)association.send(now, carrier, text, options, core::no_fate);
    }
    void peer_settings(std::uint64_t largest_message = 1 << 24) {
        Settings settings;
        settings.largest_message = largest_message;
        tell(settings);
    }
    void tell(Event event) { script.events.push_back(std::move(event)); }
    void peer_opens(std::uint64_t carrier, std::optional<CarrierId> parent = {},
                    CarrierKind kind = CarrierKind::messages) {
        tell(event::Opened{{CarrierId{carrier}, parent, kind}});
    }
    void peer_sends(std::uint64_t carrier, std::uint64_t sequence, const char* text) {
        Piece piece;
        piece.carrier = CarrierId{carrier};
        piece.sequence = Sequence{sequence};
        piece.bytes = Bytes(text);
        piece.total = piece.bytes.size();
        tell(event::Arrived{piece});
    }
    void peer_has(CarrierId carrier, std::uint64_t below) {
        Delivered said;
        said.carrier = carrier;
        said.watermark = Sequence{below};
        tell(said);
    }
    // One turn as the root makes it.
    void turn() {
        if (association.deadline() <= now) association.handle_timeout(now);
        association.handle_input(now, {}, {});
        association.prepare(now);
        std::byte space[1];
        (void)association.poll_transmit(now, {}, space);
        association.poll_events(events_);
    }
    // Turns at every deadline until `end`; the number of turns.
    int run_until(Instant end) {
        int turns = 0;
        for (turn(); association.deadline() <= end && turns < 1000; ++turns) {
            now = std::max(now, association.deadline());
            turn();
        }
        now = end;
        turn();
        return turns;
    }
    // What the association told since the last call.
    Words happened() {
        Words words;
        for (const core::Happened& event : std::exchange(events_, {})) words.push_back(name(event));
        return words;
    }
    // What went down since the last call.
    Words said() {
        turn();
        return std::exchange(script.said, {});
    }
    Words commands() { return std::exchange(script.commands, {}); }

    Instant now{std::chrono::seconds(100)};
    core::Shared shared;
    Script script;
    core::Association association;
    std::vector<Error> errors;  // of Over and Gone, in order

private:
    static core::Association::Options options(Role role, const Bounds& bounds, EarlyGuard* guard) {
        core::Association::Options options;
        options.id = AssociationId{1};
        options.role = role;
        if (role == Role::client) options.remote = Remote("post://192.0.2.1:4433");
        options.bounds = bounds;
        options.race.stacks = {Stack::quic};
        options.guard = guard;
        return options;
    }
    std::string name(const core::Happened& event) {
        using namespace core::happened;
        const auto number = [](auto value) { return std::to_string(value); };
        if (const auto* opened = std::get_if<Opened>(&event))
            return "opened " + number(opened->carrier.value()) + " of " +
                   number(association.parent(opened->carrier));
        if (const auto* readable = std::get_if<Readable>(&event))
            return "readable " + number(readable->carrier);
        if (const auto* writable = std::get_if<Writable>(&event))
            return "writable " + number(writable->carrier);
        if (const auto* progress = std::get_if<Progress>(&event)) {
            constexpr const char* names[] = {"sent ", "acked ", "expired ", "failed "};
            return names[static_cast<std::size_t>(progress->fate.kind)] +
                   number(progress->carrier) + "#" +
                   number(progress->fate.message.sequence.value());
        }
        if (std::holds_alternative<Active>(event)) return "active";
        if (std::holds_alternative<Changed>(event)) return "changed";
        if (const auto* over = std::get_if<Over>(&event)) {
            errors.push_back(over->error);
            return "over " + number(over->carrier);
        }
        errors.push_back(std::get<Gone>(event).error);
        return "gone";
    }

    core::Tag next_tag_ = 1;
    std::vector<core::Happened> events_;
};

}  // namespace post::test
