// Association: the relation between two endpoints that all Carriers between them share (draft 2.3).
// It connects on the first use, hands the mapping what its outbox holds, keeps what arrives in its
// inbox, and tells the layer above by values. It knows Carriers by id and mappings by contract; no
// protocol, no socket, no clock.
//
//   fresh -> connecting -> established -> closing -> gone
#pragma once

#include <limits>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include <post/association.hpp>
#include <post/message.hpp>
#include <post/policy.hpp>

#include "lib/association/attempts.hpp"
#include "lib/association/events.hpp"
#include "lib/association/inbox.hpp"
#include "lib/association/lane.hpp"
#include "lib/association/outbox.hpp"
#include "mappings/mapping.hpp"

namespace post::core {

using Lanes = std::unordered_map<CarrierId, Lane>;

// What all associations of a Context share.
struct Shared {
    static constexpr std::size_t most_spare = 256;
    Charge charge;
    Pool<OutWork> out_works;
    Pool<InWork> in_works;
    SmallBlocks sent;                           // small contents that are sent
    SmallBlocks received;                       // and such that came
    std::vector<Lanes::node_type> spare_lanes;  // of Carriers that are gone
    std::uint64_t outstanding = 0;              // messages without a fate
    std::uint64_t draining = 0;                 // Carriers that were closed and are not over

    // What is sent, as it is held until it is settled.
    Bytes keep(Content&& content) {
        if (content.size() >= SmallBlocks::largest) return std::move(content).take();
        return sent.keep(std::as_bytes(std::span(content.view())));
    }
};

class Association final : private Supply {
public:
    struct Options {
        AssociationId id;
        Role role = Role::client;
        std::optional<Remote> remote{};
        Bounds bounds{};
        std::array<std::uint8_t, 16> name{};  // random; goes into SETTINGS
    };
    struct NewCarrier {
        Tag tag = no_tag;
        std::optional<CarrierId> parent{};
        CarrierKind kind = CarrierKind::messages;
        Priority priority{};
        std::uint32_t weight = 1;
        bool announce = false;
        core::Boxed<ChannelInfo> channel{};
    };
    enum class State : std::uint8_t { fresh, connecting, established, closing, gone };

    Association(const Options& options, Shared& shared);
    ~Association() override;

    // Commands, by Carriers that the layer above opened or adopted.

    CarrierId open(const NewCarrier& carrier);
    // The layer above takes a Carrier of the peer's, or does not.
    void adopt(CarrierId carrier, Tag tag);
    void refuse(CarrierId carrier);
    // Starts connecting; send and announced forks do so by themselves.
    void activate() {
        if (state_ == State::fresh) begin();
    }
    bool writable(CarrierId carrier, Niceness niceness = {}) const;
    // Takes the message when nothing speaks against it and the budget has room; nothing else has
    // happened when it does not, and the answer is false.
    bool send_if_writable(Instant now, CarrierId carrier, Content& content,
                          const SendOptions& options, FateToken on_fate, Sequence& sequence);
    // Takes the message, whatever the budget: the caller asked writable. Its place among those of
    // its Carrier and class, or why not.
    // `fed` bytes of a message that has no content yet are asked for by happened::Wanted.
    Result<Sequence> send(Instant now, CarrierId carrier, Content content,
                          const SendOptions& options, FateToken on_fate, std::uint64_t fed = 0);
    // The next bytes of such a message; an error is its end.
    void feed(const MessageId& message, Result<Bytes> bytes);
    // Why a send of so many bytes would fail, apart from the budget.
    Error send_error(CarrierId carrier, std::uint64_t size) const;
    // What is wrong with what is said of a message.
    Error terms_error(const SendOptions& options) const;
    // What is wrong with what a Carrier shall be called, or be opened with.
    static Error channel_error(const ChannelInfo& channel);
    void starve(CarrierId carrier, Niceness niceness = {});
    void want_fates(CarrierId carrier, bool wanted);
    void finish(CarrierId carrier);
    std::optional<InMessage> take(CarrierId carrier);
    std::optional<InMessage> take_part(CarrierId carrier, std::uint64_t minimum,
                                       std::uint64_t maximum);
    // The longest message that the Carrier takes.
    void largest_message(CarrierId carrier, std::uint64_t bytes);
    // Its bytes are to have an order and no boundaries; or why they cannot.
    Error morph(CarrierId carrier);
    // Nothing will come any more; with the reason.
    std::optional<Error> received_all(CarrierId carrier) const;
    // In good order: our direction is drained until `linger` has passed, the other is discarded.
    void close(Instant now, CarrierId carrier);
    void abort(CarrierId carrier, const Error& error);
    // Closes the transient; all that is open ends with `error`.
    void shut(const Error& error);
    // Closes the transient when no Carrier is left, without waiting for the idle time.
    void shut_if_idle();

    // Input, from the root.

    void attach(std::unique_ptr<Mapping> mapping);
    void handle_resolved(const std::vector<Address>& addresses, const Error& error, bool complete);
    // The candidate that was asked for could not even be tried.
    void handle_failure(const Error& error);
    void handle_input(Instant now, const Datagrams& datagrams);
    void handle_timeout(Instant now);
    void handle_end(Instant now);
    void handle_trouble(Instant now, const Address& remote, std::error_code code);

    // Output, to the root.

    std::optional<Want> poll_want();
    // Once a turn before poll_transmit: what was taken is promised again.
    void prepare(Instant now);
    Datagrams poll_transmit(Instant now, std::span<std::byte> space);
    // Of that, only the last words of attempts that failed: before the next one begins, where each
    // has a connection of its own.
    Datagrams poll_leaving(Instant now, std::span<std::byte> space);
    // Moves out all that happened, in order.
    void poll_events(std::vector<Happened>& events);
    Instant deadline() const;

    // Views.

    State state() const { return state_; }
    AssociationId id() const { return options_.id; }
    const Options& options() const { return options_; }
    const std::string& alpn() const { return alpn_; }
    bool plain() const { return plain_; }
    const Bytes& peer_identity() const { return peer_identity_; }
    std::size_t carriers() const { return lanes_.size(); }
    std::optional<Path> path() const;
    Stack stack() const { return stack_; }
    Support explain(Feature feature) const;
    bool has(CarrierId carrier) const { return lanes_.contains(carrier); }
    // What its opener called it; nullptr: nothing.
    const ChannelInfo* channel(CarrierId carrier) const;
    // The tag of the Carrier that this one was forked from; no_tag when it is not known (yet).
    Tag parent(CarrierId carrier) const;

private:
    // Supply.
    Outgoing* next() override;
    Run more(std::uint64_t room) override;
    void packed(CarrierId carrier, std::uint64_t pieces) override;
    void packed_alone(CarrierId carrier, NicenessClass niceness, Sequence sequence) override;
    void blocked(CarrierId carrier) override;

    Lane* find(CarrierId carrier) {
        return last_ && last_->id() == carrier ? last_ : look_up(carrier);
    }
    Lane* look_up(CarrierId carrier);
    const Lane* find(CarrierId carrier) const;
    Lane& make(CarrierId carrier);
    void begin();
    Outgoing* open_for(Lane& lane);
    void drain_mapping(Instant now);
    void relieve_budget();
    void handle(Instant now, event::Arrived& event);
    void handle(Instant now, event::ArrivedRun& event);
    void handle(Instant now, event::Established& event);
    void handle(Instant now, event::Opened& event);
    void handle(Instant now, event::Finished& event);
    void handle(Instant now, event::Reset& event);
    void handle(Instant now, event::Stopped& event);
    void handle(Instant now, event::Acked& event);
    void handle(Instant now, event::Unblocked& event);
    void handle(Instant now, event::Ended& event);
    void handle(Instant now, event::Lost& event);
    void handle(Instant now, event::ArrivedAlone& event);
    void handle(Instant now, event::SettledAlone& event);
    void handle(Instant now, Skip& skip);
    void handle(Instant now, Abandon& abandon);
    void handle(Instant now, Settings& settings);
    void handle(Instant now, Refuse& refuse);
    void handle(Instant now, Delivered& delivered);
    Sequence take_in(Instant now, Lane& lane, Content&& content, const SendOptions& options,
                     FateToken on_fate);
    Sequence take_in_rare(Lane& lane, Bytes bytes, const SendOptions& options, Instant deadline,
                          FateToken on_fate, std::uint64_t fed = 0);
    void know_peer(std::uint64_t features);
    bool look_up(Instant now, const Extras& extras, Inbox::After& after);
    bool cut_too_large(Lane& lane);
    void forget_done();
    bool alone() const;
    void close_gaps();
    bool give_up_unheard(Instant until);
    void violation(std::string_view what);
    void cut(Lane& lane, const Error& error);
    void fail_all(const Error& error);
    void after_failure();
    bool forget_if_over(Lane& lane);
    void offer(Lane& lane);
    void relieve();

    // How many Carrier ids a peer may leave out in front of one that a message comes after.
    static constexpr std::uint64_t unopened_forks = 65536;
    // How long a peer may acknowledge packets and say no DELIVERED.
    static constexpr Duration delivered_patience = std::chrono::seconds(30);

    Options options_;
    Shared& shared_;
    State state_ = State::fresh;
    Attempts attempts_;
    std::unique_ptr<Mapping> mapping_;
    std::vector<std::unique_ptr<Mapping>> leaving_;  // lost, with a last word still to be said
    Lanes lanes_;
    Outbox outbox_;
    Inbox inbox_;
    std::uint64_t next_carrier_;
    std::list<Outgoing> control_;
    Ring<std::pair<Instant, CarrierId>> lingering_;  // closed ones, by when to cut them
    // Their streams are over, and not all of their messages settled: by when they have to be.
    Ring<std::pair<Instant, CarrierId>> unheard_;
    std::vector<CarrierId> closed_early_;  // before they were opened: the peer shall stop them
    std::vector<CarrierId> blocked_;       // for want of a stream
    std::vector<CarrierId> held_;          // the peer's Carriers, until its SETTINGS are here
    std::vector<Event> arrived_;
    std::vector<Happened> events_;
    Outgoing out_;
    Lane* last_ = nullptr;  // the lane of the last piece: most are followed by one of the same
    std::string alpn_;
    Bytes peer_identity_;
    Error end_;
    Instant now_{};
    Instant idle_since_ = never;
    Instant heard_{};  // when the peer last said DELIVERED, or had nothing to say
    Instant stall_check_ = never;
    std::uint64_t chunk_ = 0;
    std::uint64_t peer_largest_ = std::numeric_limits<std::uint64_t>::max();  // message, bytes
    std::uint64_t peer_features_ = 0;
    Stack stack_ = Stack::quic;
    bool plain_ = false;
    bool alone_ = false;     // the transport takes messages that travel alone
    bool messages_ = false;  // plain peers: the transport has messages itself
    bool chosen_ = false;    // the peer's SETTINGS are here
    bool traffic_ = false;
};

}  // namespace post::core
