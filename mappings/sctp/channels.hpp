// Channels: all Carriers of an SCTP association: Carriers to streams and back, frames in and frames
// out, windows, openings and resets. It knows no packet; what it says it says to the Socket.
//
// With a Post peer stream 0 carries what concerns the whole association, in both directions, and
// every Carrier a stream of its own. With a plain peer a stream is a data channel (over DTLS, where
// DCEP opens it), or just a stream, which its first message opens.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "mappings/mapping.hpp"
#include "mappings/sctp/channel.hpp"
#include "mappings/sctp/socket.hpp"
#include "mappings/wire/inbox.hpp"
#include "mappings/wire/rate_limit.hpp"
#include "mappings/wire/ring.hpp"

namespace post::sctp {

class Channels {
public:
    struct Options {
        Role role = Role::client;
        Limits limits;
        bool dcep = true;  // streams are opened by DCEP
        bool even = true;  // our stream ids are (RFC 8832, 6; RFC 9623, 10.6)
    };
    // `blocks` outlive it.
    Channels(const Options& options, wire::ReceiveBlocks& blocks);
    Channels(const Channels&) = delete;
    Channels& operator=(const Channels&) = delete;

    // The association is up. The socket outlives the calls.
    void establish(Socket& socket, bool post, const notice::Up& up);

    // Commands.

    void reset(CarrierId carrier, const Error& reason);
    void stop(CarrierId carrier, const Error& reason);
    void extend_window(CarrierId carrier, std::uint64_t bytes);
    void extend_budget(std::uint64_t bytes);

    // Input. False: the peer broke a rule, violation() says which, and the association must end.

    bool on_message(const Message& message, Instant now);
    bool on_notice(const Notice& notice);
    const Error& violation() const { return violation_; }
    // A plain peer: whether what was received and is not taken leaves room for more.
    bool has_room() const { return post_ || total_received_ + partial_bytes_ < total_allowed_; }

    // Whether the peer may add so many of its streams (or of ours): as many again as it uses, and
    // as many as there are the other way.
    bool may_add(std::uint32_t count, bool its) const;

    // Output: says what there is to say until nothing more leaves at once.
    void fill(Supply& supply);

    // Views.

    std::uint64_t send_window(CarrierId carrier) const;
    std::uint64_t window_beyond(CarrierId carrier, std::uint64_t reserve);
    // All that usrsctp was given is acknowledged.
    bool dry() const { return dry_; }
    bool quiet() const { return dry_ && !rest_ && waiting_.empty() && control_.empty(); }
    wire::Inbox& inbox() { return inbox_; }

private:
    // How far something begun went: said whole; not, for want of room in the association; not, for
    // want of a window.
    enum class Progress : std::uint8_t { done, full, blocked };
    // Parts of a plain peer's long message, by its stream, and by what tells it from another one
    // that may be under way there.
    struct Partial {
        std::vector<std::byte> bytes;
        bool dropped = false;
    };
    using Partials = std::map<std::pair<StreamId, bool>, Partial>;

    // channels.cpp
    Channel* find(CarrierId carrier) const;
    Channel* at(StreamId stream) const;
    Channel& add(CarrierId carrier, CarrierKind kind, bool ours);
    static std::uint32_t name_size(const core::Boxed<ChannelInfo>& info);
    void forget(Channel& channel);
    void give_up(Channel& channel, std::uint64_t code);
    void on_dry();
    bool on_reset(const notice::Reset& reset);
    bool on_incoming_reset(Channel& channel);
    void place(Channel& channel, StreamId stream);
    std::optional<StreamId> free_stream();
    void freed(StreamId stream) { used_below_ = std::min<std::uint32_t>(used_below_, stream); }
    void find_streams();
    void add_streams();
    void grow(const notice::Streams& streams);
    void close_sending(Channel& channel);
    void ask_for_resets();
    void settle(Channel& channel);
    void wake(Channel& channel);
    // Whether its half of a stream is there, and not still being reset for the one before it.
    bool can_say(const Channel& channel) const {
        return channel.stream && (channel.said || !resetting_[*channel.stream]);
    }
    bool violate(std::string detail, Errc code = Errc::protocol_violation);
    std::uint64_t wire_code(const Error& reason) const;

    // channels_receive.cpp
    void refuse_message(StreamId stream);
    void drop_partial(StreamId stream);
    bool on_whole(const Label& label, std::span<const std::byte> bytes);
    bool on_dcep(StreamId stream, std::span<const std::byte> bytes);
    bool on_channel_open(StreamId stream, const ChannelOpen& open);
    void close_unopened(StreamId stream);
    bool makes_room(Channel& channel);
    Channel& open_plain(StreamId stream, const ChannelOpen& open);
    bool on_raw(const Label& label, std::span<const std::byte> bytes);
    void gather(Partial& partial, StreamId stream, std::span<const std::byte> bytes);
    void drop(Partials& partials, StreamId stream);
    bool on_content(Channel& channel, std::span<const std::byte> bytes, bool text);
    bool on_wide(std::span<const std::byte> bytes);
    bool ends_here(framing::Decoder& decoder, Bytes& input);
    bool on_frames(StreamId stream, std::span<const std::byte> bytes);
    bool on_open(StreamId stream, std::span<const std::byte> bytes);
    bool on_carrier_frame(Channel& channel, framing::Frame&& frame);
    bool account(Channel& channel, std::uint64_t bytes);
    bool on_piece(Channel& channel, Piece&& piece);
    bool on_alone(std::span<const std::byte> bytes);
    bool on_credit(const framing::Credit& credit);
    Channel* known(CarrierId carrier);
    void raise(Channel& channel, std::uint64_t limit);
    void release(Channel& channel);
    bool on_given_up(const framing::GivenUp& given_up);
    bool on_unwanted(const framing::Unwanted& unwanted);
    bool pass_on(Event&& event) {
        inbox_.add(std::move(event));
        return true;
    }
    bool violate_as(const Error& error) {
        if (!violation_) violation_ = error;
        return false;
    }

    // channels_send.cpp
    bool room();
    bool say(const Label& label, std::span<const std::byte> bytes, const Bytes& owner = {});
    bool say_rest();
    bool say_held();
    void say_or_hold(const Label& label, std::span<const std::byte> bytes);
    template <class Value> void say_wide(const Value& value);
    void say_credit();
    void begin(Outgoing& outgoing, Supply& supply);
    void begin_carrier(const Open& open, Supply& supply);
    void advance(Channel& channel, Supply& supply);
    void keep_lent(Channel& channel);
    void block(Channel& channel, Supply& supply);
    Label label(const Channel& channel, std::uint32_t ppid) const;
    Progress write(Channel& channel, Outgoing& outgoing, Supply& supply);
    template <class Value> void write_frame(Channel& channel, const Value& value);
    Progress write_open(Channel& channel, const Open& open);
    void begin_piece(Piece& piece, Supply& supply);
    Progress write_piece(Channel& channel, Piece& piece, Supply& supply);
    void append_frame(Channel& channel, const Piece& piece);
    std::size_t add_run(Channel& channel, const Piece& first, Supply& supply);
    bool goes_alone(const Channel& channel, const Piece& piece);
    Progress say_alone(const Channel& channel, const Piece& piece, Supply& supply);
    Progress write_raw(Channel& channel, Piece& piece, Supply& supply);
    bool put_together(Channel& channel, Piece& piece);
    bool may_be_lost(const Channel& channel, const Piece& piece, Label& label) const;

    // A message that leaves when there is room again.
    struct Held {
        Label label;
        std::vector<std::byte> bytes;
    };
    // Of messages that travel alone, until it is known what became of them.
    struct Flight {
        CarrierId carrier;
        NicenessClass niceness;
        Sequence sequence;
    };
    // What usrsctp has not taken yet of a message that it has begun.
    struct Rest {
        Label label;
        Bytes bytes;
    };

    // RESET frames that came before the OPEN of their Carrier.
    static constexpr std::size_t most_early = 1024;
    // Labels and protocols of all Carriers that the peer opened, bytes.
    static constexpr std::uint64_t most_names = 4 * 1024 * 1024;

    const Options options_;
    Socket* socket_ = nullptr;
    wire::Inbox inbox_;
    std::unordered_map<CarrierId, std::unique_ptr<Channel>> channels_;
    std::vector<Channel*> streams_;  // by stream id
    std::vector<bool> resetting_;    // by stream id: our half is being reset
    std::uint32_t used_below_ = 0;   // of our half none below it is free
    std::uint32_t out_streams_ = 0;
    std::uint32_t in_streams_ = 0;
    std::uint32_t theirs_ = 0;        // Carriers that the peer opened
    std::vector<Channel*> nameless_;  // wait for a stream id
    std::vector<Channel*> waiting_;   // have something begun that could go
    std::vector<Channel*> credited_;  // were given window that the peer does not know of
    bool attached_ = false;           // the peer said ATTACH
    std::vector<StreamId> resets_;    // wanted, and not asked for yet
    std::unordered_map<CarrierId, std::uint64_t> given_up_early_;
    std::map<StreamId, core::Boxed<ChannelInfo>> announced_;  // by DCEP, and OPEN still to come
    std::uint64_t names_ = 0;
    Partials partial_;       // by whether it is unordered
    Partials text_partial_;  // of those with the deprecated identifiers, by whether it is text
    std::uint64_t partial_bytes_ = 0;
    std::optional<Rest> rest_;
    wire::Ring<Held> control_;
    std::vector<std::byte> scratch_;
    framing::Decoder wide_decoder_;
    framing::Encoder wide_encoder_;
    // Where messages that travel alone do, once there are some: no Carrier's.
    std::optional<StreamId> alone_stream_;
    std::map<std::uint32_t, Flight> flights_;
    std::uint32_t next_context_ = 1;
    std::vector<CarrierId> said_;     // opened by us since all was acknowledged
    std::vector<CarrierId> unacked_;  // plain peers: those with pieces that are not acknowledged
    std::uint64_t fresh_limit_ = 0;   // what the peer takes of a fresh Carrier
    std::uint64_t total_limit_ = 0;   // and of all
    std::uint64_t total_sent_ = 0;
    std::uint64_t total_received_ = 0;
    std::uint64_t total_allowed_ = 0;
    std::uint64_t total_told_ = 0;
    std::uint64_t next_peer_carrier_;       // plain peers
    std::uint32_t asked_ = 0;               // and the last one was
    std::uint32_t add_step_;                // streams that the next request is for, at most
    wire::RateLimit fruitless_{1000, 100};  // resets of what brought nothing whole
    Instant now_{};
    Error violation_;
    bool post_ = false;
    bool dry_ = true;
    bool full_ = false;  // the socket took nothing more
    bool adding_streams_ = false;
    // The peer had seen all that we said when it was asked for more streams.
    bool added_dry_ = false;
    // Resets were asked for, and not answered. usrsctp looks at a request that came before the last
    // data in front of it only when data come again, and keeps all data behind it until then: so
    // something is said when all is acknowledged.
    bool unanswered_ = false;
    bool windows_told_ = false;
    bool stuck_ = false;  // something pulled waits for the peer's budget
};

// Something for the association's stream.
template <class Value> void Channels::say_wide(const Value& value) {
    std::array<std::byte, framing::largest_frame> space;
    const std::size_t size = wide_encoder_.write(space, value);
    control_.push_back({{0, ppid::association}, {space.begin(), space.begin() + size}});
}

}  // namespace post::sctp
