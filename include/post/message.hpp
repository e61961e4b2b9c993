// Messages: what is sent and received, and what becomes of it (paper II.B, draft 2.2, RFC 9622, 9).
// A message has 0 bytes up to what the receiver's Carrier takes (Carrier::largest_message); a
// longer one ends the Carrier with message_too_large when its header arrives there. Who receives in
// parts (ReceiveParts) has no limit, nor has who sends what is made on the way (Generated).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <post/boxed.hpp>
#include <post/bytes.hpp>
#include <post/error.hpp>
#include <post/function.hpp>
#include <post/ids.hpp>
#include <post/path.hpp>
#include <post/properties.hpp>
#include <post/result.hpp>
#include <post/time.hpp>
#include <post/udp.hpp>

namespace post {

// The bytes of a message at the call of send: views are copied by the call and need not live
// longer; what is moved in is held, uncopied when it is 2 KiB or more, until the message is
// settled.
class Content {
public:
    Content(const char* text) : view_(text) {}
    Content(std::string_view text) : view_(text) {}
    Content(const std::string& text) : view_(text) {}
    Content(std::span<const std::byte> bytes)
        : view_(reinterpret_cast<const char*>(bytes.data()), bytes.size()) {}
    Content(std::string&& text) : Content(Bytes(std::move(text))) {}
    Content(std::vector<std::byte>&& bytes) : Content(Bytes(std::move(bytes))) {}
    Content(Bytes bytes) : owned_(std::move(bytes)), view_(owned_.view()) {}

    std::size_t size() const { return view_.size(); }
    std::string_view view() const { return view_; }
    // The content as Bytes: what was moved in itself, or a copy of what was viewed.
    Bytes take() && { return owned_.empty() ? Bytes(view_) : std::move(owned_); }

private:
    Bytes owned_;
    std::string_view view_;
};

// Content that is made while it is sent: a file, a generator; for messages larger than memory (RFC
// 9622, 9.2.3). At most about 1 MiB is made ahead of what is in packets.
struct Generated {
    // How long the message is, bytes.
    std::uint64_t size = 0;
    // The next bytes, from `offset` on: 1 to `most` of them. Called from a turn of the Context, in
    // order, until all have come or the message has its fate. An error, or an exception, is the end
    // of the message: it fails, and the receiver hears that there is no more. So do no bytes at
    // all, and more than `most`: invalid_argument. With a plain peer that has seen the beginning
    // the Carrier ends too.
    Function<Result<Bytes>(std::uint64_t offset, std::size_t most)> produce;
    // Called when the peer has more of it: how many bytes from the beginning on (with a Post peer
    // about every 256 KiB). May be empty.
    Function<void(std::uint64_t delivered)> progress{};
};

// How a message is received in parts (RFC 9622, 9.3): as they come, and not whole.
struct ReceiveParts {
    std::size_t minimum = 1;           // bytes, 1 to 1 MiB; only the end of a message has less
    std::size_t maximum = 256 * 1024;  // bytes
};

// What the application says of one message.
struct SendOptions {
    // Yields to messages of the same Carrier with a smaller niceness (draft 2.2.2), also while it
    // is on its way in chunks. Across classes there is no order. Default 0: the most urgent; from
    // 63 on all share the receiver's last class.
    Niceness niceness = 0;
    // How long it is worth sending (draft 2.2.1, RFC 9622, 9.1.3.1), counted from send() until its
    // last byte is in a packet; zero: for ever; negative: invalid_argument. When it ends first the
    // fate is expired, and the receiver never shows a part. To a plain peer of SCTP it counts until
    // the peer has it (RFC 7496).
    Duration lifetime{};
    // False: it may be given out before messages of its Carrier and niceness that were sent before
    // it (RFC 9622, 9.1.3.3), and overtake them when its deadline is earlier.
    bool ordered = true;
    // False: it may be lost, and is not sent again then (RFC 9622, 9.1.3.7). That is leave, and no
    // duty: only one that is unordered, not the last, and fits into one packet as a whole goes in a
    // QUIC DATAGRAM (RFC 9221), where the peer takes such and knows the Carrier already; else it is
    // reliable. It obeys niceness and congestion control, waits while its Carrier is held back, and
    // uses up no window: a receiver without room drops it. Lost or dropped, its fate is expired. A
    // plain peer gets the content alone; what comes from one is a message of the open Carrier of
    // the Association with the lowest id; without any it is dropped. To a plain peer of SCTP it is
    // so of every message whatever its length and order (RFC 7496), from then on when the peer has
    // taken the data channel (RFC 8832, 6).
    bool reliable = true;
    // What it has to come after (draft 2.2.3): messages that were sent before, on any Carrier of
    // the Association. It leaves behind them, and the peer's library gives it out when they are
    // there; with a peer that cannot, it leaves when they are acknowledged. They inherit its
    // niceness and deadline; it expires when one of them fails or expires. One that was never sent
    // is invalid_argument.
    Antecedents antecedents{};
    // Receiving it twice does no harm (draft 2.2.4). The receiver sees the mark; nothing else rests
    // on it today.
    bool idempotent = false;
    // It must not wait to be sent together with others (draft 2.2.5). It overtakes nothing and
    // obeys congestion control.
    bool immediate = false;
    // The last message of our direction: like finish() behind it (RFC 9622, 9.1.3.5).
    bool final = false;
    // It is a string, and not bytes (RFC 8831, 6.6: a data channel tells the two apart); nobody
    // looks whether it is UTF-8. Bytes stay what they are.
    bool text = false;
    Properties properties{};
    // On udp and udp_lite what the headers of its datagram say; elsewhere nothing (Feature::
    // datagram_options).
    core::Boxed<DatagramOptions> datagram{};
};

// A message as one value: content and what is said of it (draft, Appendix A).
struct OutMessage {
    Content content;
    SendOptions options;
};

// What became of a message (RFC 9622, 9.2.2). `sent` comes at most once and before the others; of
// acked, expired and failed every message gets exactly one, also when its Carrier, Association or
// Context is closed. Told from a turn of the Context, never from inside send().
struct Fate {
    enum class Kind : std::uint8_t {
        sent,     // its last byte is in a packet
        acked,    // the peer's library holds it whole, ready for its receiver (Association::explain
                  // says what it means with a plain peer)
        expired,  // its lifetime ended first; nothing of it is shown to the receiver. Or it need
                  // not be reliable, and was lost or dropped
        failed,   // see error; maybe_delivered when the peer could have got it all the same
    };
    Kind kind = Kind::failed;
    MessageId message;             // what send answered; of one not accepted, the Carrier alone
    Error error;                   // of expired and failed
    bool maybe_delivered = false;  // of failed: it was in a packet, whole or in part; of expired:
                                   // its packet counts as lost, but may only be late
};
using OnFate = Function<void(const Fate&)>;

// A received message: whole, or a part of one where parts were asked for (ReceiveParts). Bytes of
// small messages lie in blocks shared with their neighbours; those of large ones are the receive
// buffers themselves, in segments. It is a value of its own: it may be kept, moved to another
// thread, and outlive its Carrier and Context.
class InMessage {
public:
    InMessage() = default;
    InMessage(Bytes content, Niceness niceness, Sequence sequence)
        : content_(std::move(content)), sequence_(sequence), niceness_(niceness) {}

    // Bytes, of this part where it is one.
    std::size_t size() const { return content_.size() + (rest_ ? rest_->size : 0); }
    // All bytes in one piece. A message of several segments is copied together by the first call;
    // view() stays valid as long as the message.
    const Bytes& content() &;
    Bytes content() &&;
    std::string_view view() { return content().view(); }
    // Calls visit(const Bytes&) for each segment in order, without copying any.
    template <class Visit> void segments(Visit&& visit) const {
        if (!content_.empty()) visit(content_);
        if (rest_)
            for (std::size_t i = rest_->first; i < rest_->segments.size(); ++i)
                visit(rest_->segments[i]);
    }

    // As its sender said; with a plain peer 0, counted and false.
    Niceness niceness() const { return niceness_; }
    Sequence sequence() const { return sequence_; }
    bool idempotent() const { return idempotent_; }
    // The sender said that nothing follows.
    bool final() const { return final_; }
    // Its sender said that it is a string.
    bool text() const { return text_; }
    // It is what a plain peer's stream gave in one go: where it begins and ends means nothing.
    bool raw() const { return raw_; }
    // Names and values that its sender gave it beside the content; of a message in parts with the
    // first.
    const Properties& properties() const { return properties_; }

    // Where this part begins in its message; 0 of a whole one.
    std::uint64_t offset() const { return rest_ ? rest_->offset : 0; }
    // Bytes of the whole message; unknown_total in parts before the last one of a message whose
    // sender did not say (HTTP without content-length).
    static constexpr std::uint64_t unknown_total = (std::uint64_t{1} << 62) - 1;
    std::uint64_t total() const { return rest_ && rest_->total ? rest_->total : size(); }
    // Nothing more of this message follows: it is whole, or the last part, or cut().
    bool last() const { return cut() || offset() + size() == total(); }
    // Parts of it were given out, and its sender gave up the rest (its lifetime ended). It has no
    // bytes.
    bool cut() const { return rest_ && rest_->cut; }

    // Whom it is from, and the way it came, as it was then; with a Responder, which has many peers,
    // and, whom it is from, on udp and udp_lite. Elsewhere Carrier::association() knows.
    std::optional<Address> remote() const;
    std::optional<Path> path() const;
    // On udp and udp_lite: what its datagram said; nullptr elsewhere.
    const DatagramInfo* datagram() const { return datagram_ ? &*datagram_ : nullptr; }
    // It came with the first flight, before its sender had proved that it is there and means it now
    // (0-RTT): somebody may have recorded it, and may play it to a server that has forgotten it.
    // Only where ListenOptions::early_data says so, and only messages that are idempotent().
    bool early() const { return early_; }

    // For the library: adds the next bytes of a message that comes in parts.
    void append(Bytes segment);
    void mark(bool idempotent, bool final) {
        idempotent_ = idempotent;
        final_ = final;
    }
    void mark_raw() { raw_ = true; }
    void mark_text() { text_ = true; }
    void mark_early() { early_ = true; }
    void describe(Properties properties) { properties_ = std::move(properties); }
    // Takes the first bytes away, as a part of a message of `total` bytes.
    InMessage take_front(std::size_t bytes, std::uint64_t total);
    // What is left when parts of it were given out and nothing follows.
    void cut_short(std::uint64_t total);
    void come_by(const Path& path);
    // What is left when parts of it were given out and its length becomes known.
    void end_at(std::uint64_t total) {
        if (rest_ && rest_->total) rest_->total = total;
    }
    void come_as(core::Boxed<DatagramInfo> datagram) { datagram_ = std::move(datagram); }

private:
    // What only large messages, and parts, have: what comes behind content_.
    struct Rest {
        std::vector<Bytes> segments;
        std::size_t first = 0;  // those before it are taken
        std::size_t size = 0;
        std::uint64_t offset = 0;
        std::uint64_t total = 0;  // of parts
        bool cut = false;
        core::Boxed<Path> path;  // of those that a Responder gets
    };

    Bytes content_;
    core::Boxed<Rest> rest_;
    Properties properties_;
    core::Boxed<DatagramInfo> datagram_;
    Sequence sequence_;
    Niceness niceness_;
    bool idempotent_ = false;
    bool final_ = false;
    bool raw_ = false;
    bool text_ = false;
    bool early_ = false;
};

}  // namespace post
