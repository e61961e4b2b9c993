// Association: the relation between two endpoints that all Carriers between them share (draft 2.3).
// It connects on the first use, hands the mapping what its outbox holds, keeps what arrives in its
// inbox, and tells the layer above by values. It knows Carriers by id and mappings by contract; no
// protocol, no socket, no clock.
//
// A client's connection is the winner of a race (association_race.cpp): its leaves are tried side
// by side until one of them is established.
//
//   fresh -> connecting -> established -> closing -> gone
//                   ^         v
//                   +---- dormant (association_dormancy.cpp)
#pragma once

#include <limits>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include <post/association.hpp>
#include <post/message.hpp>

#include "lib/association/association_options.hpp"
#include "lib/association/continuity.hpp"
#include "lib/association/dormancy.hpp"
#include "lib/association/early_flight.hpp"
#include "lib/association/events.hpp"
#include "lib/association/inbox.hpp"
#include "lib/association/lane.hpp"
#include "lib/association/outbox.hpp"
#include "lib/association/race.hpp"
#include "lib/association/shared.hpp"
#include "lib/association/trace.hpp"
#include "mappings/mapping.hpp"

namespace post::core {

struct Parked;
class EarlyAttach;

class Association final : private Supply {
public:
    using Options = AssociationOptions;
    using NewCarrier = core::NewCarrier;
    enum class State : std::uint8_t { fresh, dormant, connecting, established, closing, gone };

    Association(const Options& options, Shared& shared);
    // One that was put away, as it was.
    Association(AssociationId id, Parked&& parked, const Bounds& bounds, Shared& shared);
    ~Association() override;

    // Commands, by Carriers that the layer above opened or adopted.

    CarrierId open(const NewCarrier& carrier);
    // The layer above takes a Carrier of the peer's, or does not.
    void adopt(CarrierId carrier, Tag tag);
    void refuse(CarrierId carrier);
    // Starts connecting; send and announced forks do so by themselves.
    void activate() {
        if (state_ <= State::dormant) begin();
    }
    // The connection is let go as soon as nothing is on its way; happened::Dormant says so. Or why
    // it never will be.
    Error deactivate();
    void stay();  // it is not, if it was to be
    // One that rests can be put away in little memory (association_parking.cpp), when all that it
    // had to tell was heard. It is good for nothing afterwards.
    bool may_park();
    Parked park();
    // Something is asked of the Carrier other than sending.
    void want(CarrierId carrier);
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
    static Error datagram_error(const DatagramOptions& options);
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
    // Gives its connection away (Mapping::release), if nothing was sent or received that is not
    // settled.
    std::optional<LinkId> release(CarrierId carrier);
    // Nothing will come any more; with the reason.
    std::optional<Error> received_all(CarrierId carrier) const;
    // In good order: our direction is drained until `linger` has passed, the other is discarded.
    void close(Instant now, CarrierId carrier);
    void abort(CarrierId carrier, const Error& error);
    // Closes the transient; all that is open ends with `error`.
    void shut(const Error& error);
    // The peer shall open no further Carriers.
    void retire() {
        if (mapping_) mapping_->retire();
    }
    // Closes the transient when no Carrier is left, without waiting for the idle time.
    void shut_if_idle();

    // Its connection goes to another path (Mapping::move).
    void move(Instant now, const Move& move) {
        now_ = now;
        if (moves()) mapping_->move(now, move);
    }
    // Continuity (association_continuity.cpp), for the root.

    // By which name the peer may find it again, once, when that is known.
    std::optional<AssociationName> poll_name();
    // Of a fresh client's connection: the association that it says it belongs to, once.
    std::optional<Attach> poll_attach() { return std::exchange(wish_, std::nullopt); }
    // What of the connection goes to that one; nothing is left behind. None: it is lost already.
    std::optional<Husk> give_up_connection();
    // Whether such a connection is one of this association's. What is not known here is not quicker
    // refused than what is not proved.
    static bool proves(const Association* known, const Association& fresh, const Attach& attach);
    // A number for the connection, and the connection, whose predecessor ends.
    AttemptId free_attempt() const;
    void attach(Instant now, AttemptId attempt, Husk husk);
    // Another leaf of a race that has begun with early data (association_joining.cpp): whose
    // connection it shall become, once; and that association then has it, unless it waits for none.
    std::optional<AssociationId> poll_join();
    bool awaits_choice() const { return joining_ && joining_->owner && !chosen_; }
    void join(Instant now, AttemptId attempt, Husk husk);
    // No other connection of the client's takes our place: its Carriers are the application's.
    void choose();

    // Hot standby (standby.hpp), for the root. From now on a client keeps one.
    void keep_standby(Duration redundant_below);
    // A fresh client's connection was believed to be one; what came on it, for whom; the answer.
    void stand_by(AssociationId owner);
    std::optional<AssociationId> poll_copies(std::vector<Piece>& copies);
    std::vector<Delivered> take_copies(Instant now, std::vector<Piece>&& copies);
    void answer_copies(std::vector<Delivered>&& known);

    // Input, from the root.

    // It is about to race, and may still be told how.
    bool will_race() const { return racing() && options_.remote && !race_; }
    // It looks for a connection, be it beside one that is in use.
    bool racing() const {
        return state_ == State::connecting || (continuity_ && continuity_->doubting);
    }
    void race_by(Race::Options race);
    // It holds something that may be early data: on all leaves of its race, or on one only, for
    // peers who do not know that two are of one race.
    bool has_early(bool every_leaf) const;
    // What else the race's report is to say of an attempt.
    void note(AttemptId attempt, const std::string& text) {
        if (race_) race_->note(attempt, text);
    }
    // The connection of a client that a listener takes.
    void attach(std::unique_ptr<Mapping> mapping);
    // The attempt that was asked for is under way, or could not even be begun.
    void attach(AttemptId attempt, std::unique_ptr<Mapping> mapping);
    void handle_failure(Instant now, AttemptId attempt, const Error& error);
    // `complete`: the lookup has no further answer.
    void handle_answer(Instant now, QueryId query, const Answer& answer, bool complete);
    void handle_timeout(Instant now);
    // Each with the attempt that the connection began as.
    void handle_input(Instant now, AttemptId attempt, const Datagrams& datagrams);
    // Something of the peer's host was heard: TCP is up, or a first packet came.
    void handle_heard(Instant now, AttemptId attempt);
    void handle_end(Instant now, AttemptId attempt);
    void handle_trouble(Instant now, AttemptId attempt, const Address& remote,
                        std::error_code code);
    void handle_link(Instant now, AttemptId attempt, const LinkNews& news);

    // Output, to the root.

    std::optional<Want> poll_want(Instant now);
    // What shall become of the byte streams (Mapping::poll_link).
    std::optional<LinkWant> poll_link(AttemptId attempt);
    // Once a turn before poll_transmit: what was taken is promised again.
    void prepare(Instant now);
    Datagrams poll_transmit(Instant now, AttemptId attempt, std::span<std::byte> space);
    // Whether there is a connection that began as this attempt; and whether it is only waiting to
    // say its last word.
    bool has(AttemptId attempt) const;
    AttemptId attempt() const { return attempt_; }  // that the one in use began as
    bool leaving(AttemptId attempt) const;
    // What the peer gave for later connections since the last call, 16 of it at most.
    using Keepsake = std::variant<event::Ticket, event::Token>;
    std::vector<Keepsake> take_keepsakes() { return std::exchange(keepsakes_, {}); }
    // Moves out all that happened, in order.
    void poll_events(std::vector<Happened>& events);
    Instant deadline() const;

    // Views.

    State state() const { return state_; }
    Activity activity() const;
    AssociationId id() const { return options_.id; }
    const Options& options() const { return options_; }
    const std::string& alpn() const { return alpn_; }
    // The handshake went on where an earlier one was.
    bool resumed() const { return resumed_; }
    // Its messages have the fields of HTTP, or will.
    bool fields() const { return stack_ == Stack::http3 || options_.fields; }
    // Its connection can go to another path.
    bool moves() const { return state_ == State::established && mapping_ && mapping_->moves(); }
    bool links() const { return mapping_ && mapping_->links(); }
    bool plain() const { return plain_; }
    const Bytes& peer_identity() const { return peer_identity_; }
    // What is known of how it was established, or not; nullptr: a listener took it.
    const Establishment* establishment() const { return race_ ? &race_->establishment() : nullptr; }
    // What the name service says of certificates there, while it connects.
    Resolution::Certificates certificates(const Address& remote,
                                          Resolution::Transport transport) const {
        return resolution_ ? resolution_->certificates(remote, transport)
                           : Resolution::Certificates{};
    }
    std::size_t carriers() const { return lanes_.size(); }
    std::optional<Path> path() const;
    // The standby, when it is ready; and where it is, or why there is none.
    const Mapping* standby() const;
    std::string explain_standby() const;
    std::uint64_t max_message_size() const { return peer_largest_; }
    Stack stack() const { return stack_; }
    // Before it is established: as one may expect it of the stack that is tried first.
    Support explain(Feature feature) const;
    // The same for one Carrier, which may have less.
    Support explain(CarrierId carrier, Feature feature) const;
    bool has(CarrierId carrier) const { return lanes_.contains(carrier); }
    // What its opener called it; nullptr: nothing.
    const ChannelInfo* channel(CarrierId carrier) const;
    // Of all Carriers that the layer above knows.
    std::vector<Tag> tags() const;
    // The tag of the Carrier that this one was forked from; no_tag when it is not known (yet).
    Tag parent(CarrierId carrier) const;

private:
    // A connection beside the one in use: it races, or it is over but for its last word.
    struct Leaf {
        AttemptId attempt;
        std::unique_ptr<Mapping> mapping;
        bool leaving = false;
        std::unique_ptr<EarlyFlight> early{};
    };
    struct EarlySupply;
    class Standby;
    class Standing;

    // Supply.
    Outgoing* next() override;
    Run more(std::uint64_t room) override;
    void packed(CarrierId carrier, std::uint64_t pieces) override;
    void packed_alone(CarrierId carrier, NicenessClass niceness, Sequence sequence) override;
    void refused(CarrierId carrier, NicenessClass niceness, Sequence sequence,
                 const Error& reason) override;
    void blocked(CarrierId carrier) override;

    Lane* find(CarrierId carrier) {
        return last_ && last_->id() == carrier ? last_ : look_up(carrier);
    }
    Lane* look_up(CarrierId carrier);
    const Lane* find(CarrierId carrier) const;
    Lane& make(CarrierId carrier);
    void begin();
    Outgoing* open_for(Lane& lane);
    Outgoing* next_of_stream();
    bool is_active(AttemptId attempt) const { return mapping_ && attempt == attempt_; }
    Leaf* leaf(AttemptId attempt);
    const Leaf* leaf(AttemptId attempt) const;
    // The connection that began as this attempt, and has not ended.
    Mapping* mapping(AttemptId attempt);
    void drain(Instant now, AttemptId attempt);
    void drain_leaf(Instant now, Leaf& leaf);
    void drain_mapping(Instant now);
    void win(Instant now, Leaf& winner);
    void handle_arrived(Instant now);
    void drain_leaves(Instant now);
    void time_leaves(Instant now);
    Instant race_deadline() const;
    bool raced() const;  // more than one leaf was begun
    void close_leaves(const Error& error);
    void fail_if_exhausted();
    void begin_race(Instant now);
    void tell_race(Instant now, const Answer& answer, const std::string& host);
    // association_trace.cpp
    bool traces() const { return shared_.trace.on(); }
    void trace(traced::What what) const { shared_.trace.add(id(), std::move(what)); }
    void trace_attempt(AttemptId attempt) const;
    void trace_begin(const Mapping& mapping, AttemptId attempt) const;
    void trace_established();
    void trace_end(const Mapping& mapping, AttemptId attempt, const Error& error) const;
    void trace_path();
    void trace_carrier(const Lane& lane) const;
    void trace_queued(CarrierId carrier, Niceness niceness, Sequence sequence,
                      std::uint64_t size) const;
    void trace_messages();
    Datagrams transmit_leaf(Instant now, AttemptId attempt, std::span<std::byte> space);
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
    void handle(Instant now, event::Soft& event);
    void handle(Instant now, event::Lost& event);
    void handle(Instant now, event::Moved& event);
    void handle(Instant now, event::PathChanged& event);
    void handle(Instant now, event::ArrivedAlone& event);
    void handle(Instant now, event::SettledAlone& event);
    void handle(Instant now, event::Ticket& event);
    void handle(Instant now, event::Token& event);
    void handle(Instant now, event::Early& event);
    void handle(Instant now, EarlyKey& key);
    void handle(Instant now, Skip& skip);
    void handle(Instant now, Abandon& abandon);
    void handle(Instant now, Settings& settings);
    void handle(Instant now, Chosen& chosen);
    void handle(Instant now, Refuse& refuse);
    void handle(Instant now, Delivered& delivered);
    void handle(Instant now, Attach& attach);
    void handle_early(const Attach& attach);
    // association_continuity.cpp
    bool holds(Instant now, const Event& event);
    void hold(Event&& event);
    void replay();
    void know_key();
    bool mends(const Error& error) const;
    void break_off(Instant now, const Error& cause);
    void leave_connection(const Error& reason);
    void race_again(Instant now);
    void look_for_doubt(Instant now);
    void trust_again();
    void unplug();
    void plug(Instant now);
    void say_ended(CarrierId carrier, std::vector<Delivered>&& known, const Error* error);
    void say_end_again(const Lane& lane);
    Error why_ended(CarrierId carrier) const;
    void say_gaps(const Lane& lane);
    void end_over(Lane& lane, const Refuse& refuse);
    void end_unopened(CarrierId carrier);
    std::uint64_t grant() const;
    bool pause_race();
    bool reopen(Lane& lane, const Open& open);
    void remember_end(const Lane& lane);
    bool begins_again(const Error& error) const;
    static bool is_outage(const Error& error);
    static bool is_withdrawal(const Error& error);
    void start_anew(Instant now, const Error& error);
    AssociationName remembrance();
    void note_remembrance(const AssociationName& said);
    bool never_known() const;
    void forget_client();
    void handle_refusal(Instant now, const Error& error);
    Instant continuity_deadline() const;
    bool time_continuity(Instant now);
    // association_dormancy.cpp
    std::uint64_t rest_feature() const;
    static Options options_of(AssociationId id, const Parked& parked, const Bounds& bounds);
    bool can_rest() const;
    Error why_awake() const;
    bool in_flight() const;
    bool quiet() const;
    bool rests(const Error& lost) const;
    void rest(Instant now);
    bool rest_if_quiet(Instant now);
    void tend_rest(Instant now);
    bool handle_lost_at_rest(Instant now, const Error& error);
    void wake();
    void rise();
    void announce_known();
    bool time_rest(Instant now);
    Instant rest_deadline() const { return dormancy_ ? dormancy_->give_up : never; }
    // association_joining.cpp
    bool holds_early(Instant now, const Event& event);
    bool joins(Instant now, std::uint64_t race);
    bool waits_for_choice(Instant now, const Error& lost);
    void time_joining(Instant now);
    Sequence take_in(Instant now, Lane& lane, Content&& content, const SendOptions& options,
                     FateToken on_fate);
    Sequence take_in_rare(Lane& lane, Bytes bytes, const SendOptions& options, Instant deadline,
                          FateToken on_fate, std::uint64_t fed = 0);
    // association_early.cpp
    void begin_use(Instant now, const std::string& alpn, bool post);
    Settings our_settings(const Mapping& mapping);
    std::vector<EarlyFlight::Message> find_early() const;
    void settle_early(event::Established::Early outcome);
    void adopt_early(EarlyFlight& flight);
    Datagrams transmit_early(Instant now, Leaf& leaf, std::span<std::byte> space);
    void drop_copy(Instant now, Lane& lane, const Piece& piece);
    void know_peer(std::uint64_t features);
    bool look_up(Instant now, const Extras& extras, Inbox::After& after);
    bool cut_too_large(Lane& lane);
    void forget_done();
    bool alone() const;
    void close_gaps();
    void cut_stalled(Instant now);
    OutLane* turn(std::uint64_t& most);
    bool give_up_unheard(Instant until);
    void violation(std::string_view what);
    void cut(Lane& lane, const Error& error);
    void fail_all(const Error& error);
    void after_failure();
    bool forget_if_over(Lane& lane);
    void offer(Lane& lane);
    void relieve();

    static constexpr std::uint64_t small_channel_message = 16 * 1024;
    // How many Carrier ids a peer may leave out in front of one that a message comes after.
    static constexpr std::uint64_t unopened_forks = 65536;
    static constexpr std::size_t most_keepsakes = 16;
    // How long a client may leave open which connection of its race it keeps (FORMAT.md, 7.1).
    static constexpr Duration choice_patience = std::chrono::seconds(10);
    // How long a peer may acknowledge packets and say no DELIVERED.
    static constexpr Duration delivered_patience = std::chrono::seconds(30);

    Options options_;
    Shared& shared_;
    State state_ = State::fresh;
    std::unique_ptr<Race> race_;              // of a client that has begun
    std::unique_ptr<Resolution> resolution_;  // until it is connected
    std::unique_ptr<Mapping> mapping_;
    AttemptId attempt_;  // that mapping_ began as
    std::vector<Leaf> leaves_;
    Lanes lanes_;
    Outbox outbox_;
    Inbox inbox_;
    std::uint64_t next_carrier_;
    std::list<Outgoing> control_;
    Ring<std::pair<Instant, CarrierId>> lingering_;  // closed ones, by when to cut them
    // Their streams are over, and not all of their messages settled: by when they have to be.
    Ring<std::pair<Instant, CarrierId>> unheard_;
    std::vector<CarrierId> closed_early_;      // before they were opened: the peer shall stop them
    std::vector<CarrierId> blocked_;           // for want of a stream
    std::vector<CarrierId> held_;              // the peer's Carriers, until it has chosen us
    std::optional<std::uint64_t> peers_race_;  // that we are a leaf of, and not chosen in
    Instant choice_due_ = never;
    std::unique_ptr<Continuity> continuity_;  // none: it ends with its connection
    std::unique_ptr<Dormancy> dormancy_;      // it rests, is to rest, or wakes
    std::unique_ptr<Joining> joining_;        // a listener's that heard early data
    std::unique_ptr<Standby> standby_;        // a client's that keeps one
    std::unique_ptr<Standing> standing_;      // a fresh client's that is one
    std::unique_ptr<EarlyAttach> brought_;    // of one that brings early data for another
    std::optional<Attach> wish_;              // of a fresh client's connection
    std::optional<event::Established> met_;   // as what it was established, until it is chosen
    std::vector<Event> unchosen_;             // what came before it was chosen
    std::uint64_t unchosen_bytes_ = 0;
    bool named_ = false;                                // poll_name has an answer
    static constexpr std::uint8_t most_beginnings = 3;  // that broke before the peer said anything
    std::uint8_t beginnings_ = 0;
    bool wished_ = false;
    std::vector<Keepsake> keepsakes_;
    std::vector<Happened> events_;
    Outgoing out_;
    Lane* last_ = nullptr;  // the lane of the last piece: most are followed by one of the same
    std::string alpn_;
    Bytes peer_identity_;
    Error end_;
    core::Boxed<Path> told_path_;  // the one that the trace has
    Instant now_{};
    Instant idle_since_ = never;
    Instant heard_{};  // when the peer last said DELIVERED, or had nothing to say
    Instant stall_check_ = never;
    std::uint64_t chunk_ = 0;  // of a long message goes at a time, as it was found lately
    Instant chunk_until_{};
    std::uint64_t peer_largest_ = std::numeric_limits<std::uint64_t>::max();  // message, bytes
    std::uint64_t peer_features_ = 0;
    Stack stack_ = Stack::quic;
    bool plain_ = false;
    bool alone_ = false;        // the transport takes messages that travel alone
    bool messages_ = false;     // plain peers: the transport has messages itself
    bool datagrams_ = false;    // and each is a datagram
    bool connections_ = false;  // each Carrier is a connection of its own
    bool settings_ = false;     // the peer's are here
    bool chosen_ = false;       // and no other connection takes our place
    bool traffic_ = false;
    bool resumed_ = false;
    bool early_ = false;                        // a server's: until the handshake is complete
    std::size_t early_messages_ = 0;            // that came so
    std::unique_ptr<EarlyFlight> flight_;       // of the leaf that won
    std::vector<EarlyFlight::Message> copied_;  // by any leaf
};

}  // namespace post::core
