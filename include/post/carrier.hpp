// Carrier: what messages are sent and received on (paper II.A, draft 2.1). Every Carrier is one
// stream of the Association that all Carriers to the same Remote share; fork() opens the next.
//
// A Carrier is a handle: it moves and does not copy. It belongs to the variable or the coroutine
// that holds it, and dropping it drains and closes; a Carrier with a ready() callback belongs to
// the callback and lives until that returns false or the peer ends. A handle may outlive its
// Context: every call then answers context_closed.
//
// One thread: the one that turns the Context. No callback is ever called from inside the call that
// caused it, so each of them may call anything and destroy anything.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <post/association.hpp>
#include <post/message.hpp>
#include <post/operation.hpp>
#include <post/reuse.hpp>
#include <post/sctp.hpp>

namespace post {

namespace core {
struct CarrierKey {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;  // 0: no Carrier
};
class Carriers;
}  // namespace core

class Carrier;
class Stream;

// The answer of send(): the message's id, known at once while there is room in the send budget, and
// else when there is.
class Sending : public Operation<MessageId> {
public:
    using Operation<MessageId>::Operation;
    Sending(Operation<MessageId>&& operation) : Operation<MessageId>(std::move(operation)) {}
};

class Carrier {
public:
    using OnMessage = Function<bool(Carrier&, InMessage)>;
    using OnCarrier = Function<bool(Carrier)>;
    using OnClosed = Function<void(const Error&)>;
    using OnPath = Function<void(const Path&)>;
    using OnActivity = Function<void(Activity)>;

    static constexpr std::uint32_t largest_weight = 256;

    // Draft 2.1, RFC 9622, 7.4.
    struct ForkOptions {
        Priority priority = 0;  // strict: a Carrier waits for those with a smaller number
        // Among equals, whose messages are as nice and have no deadline: its share of the path, 1
        // to largest_weight.
        std::uint32_t weight = 1;
        bool announce = false;  // true: the peer hears of it now, and not with the first message
        bool one_way = false;   // a Source here and a Sink there
        // What the data channel is called, and what is spoken on it (RFC 8832, 5.1): at most 65535
        // bytes each, of any kind; the peer finds them in label() and protocol(). On a stack
        // without data channels they reach nobody (Feature::label).
        std::string label{};
        std::string protocol{};
        ChannelOptions channel{};  // for plain peers; elsewhere it is said and changes nothing
    };

    Carrier() = default;  // no Carrier
    Carrier(Carrier&& other) noexcept;
    Carrier& operator=(Carrier&& other) noexcept;
    ~Carrier();

    explicit operator bool() const { return key_.generation != 0; }

    // Sending.

    // Sends a message (draft 2.1, RFC 9622, 9.2). The first one activates the Carrier; until that
    // is done messages wait. While there is room in the send budget (Bounds::send_budget bytes that
    // are not yet in a packet, of messages no less urgent than this one) the answer is there at
    // once; else the operation keeps the message until there is room: awaiting it is backpressure,
    // and dropping it then ends the message as failed(would_block). The fates come to `on_fate` if
    // there is one, else to the Carrier's on_fate.
    //
    // Content that was moved in is held, uncopied, until the message has its fate; what was given
    // as a view is copied before the call returns. Errors: carrier_closed (closed, finished, or
    // over: then what ended it), no_return_path (a Sink), invalid_argument (a negative lifetime),
    // context_closed, message_too_large. A message not accepted ends as failed with the same error.
    //
    // Without options it has the Carrier's defaults(); options replace all of them.
    Sending send(Content content, SendOptions options, OnFate on_fate = {});
    Sending send(Content content);
    // Sends a message whose content is made while it is sent.
    Sending send(Generated content, SendOptions options, OnFate on_fate = {});
    Sending send(Generated content);
    Sending send(OutMessage message, OnFate on_fate = {}) {
        return send(std::move(message.content), message.options, std::move(on_fate));
    }
    // Sends a message and answers with its fate: acked, expired or failed, and never an error of
    // its own. Dropping the operation forgets the answer and not the message, except for one that
    // found no room in the send budget yet: that ends as failed(would_block), as with send.
    Operation<Fate> deliver(Content content, SendOptions options);
    Operation<Fate> deliver(Content content);
    // What messages have that are sent without options (RFC 9622, 9.1.3); at first SendOptions{}.
    SendOptions defaults() const;
    void defaults(SendOptions options);
    // True while a send with niceness 0 would be accepted at once (level-triggered). One more
    // message is accepted whatever its length, so that a message may be longer than the budget.
    bool writable() const;
    // The fates of all messages whose send named no callback of its own. Not kept behind: fates of
    // messages that were sent before the first call of on_fate may have passed unheard.
    void on_fate(OnFate on_fate);
    // Our direction ends behind what was sent; receiving goes on. A further send answers
    // carrier_closed. The same as SendOptions::final without a message.
    void finish();

    // Receiving.

    // Messages are given to `on_message` until it returns false or the Carrier ends, in order
    // within each niceness class (draft 2.1). The Carrier's life goes over to the callback: it
    // lives until then, whether or not a handle is left. The Carrier& is lent for the call; moving
    // from it takes it over. Calling ready again replaces the callback, and
    // with an empty one ends it as if it had returned false. What nobody takes is held
    // back at the peer: not calling ready or receive is backpressure.
    void ready(OnMessage on_message);
    // The next message; several may wait, and are answered in their order. The error says why there
    // is none: carrier_closed when the peer finished in good order, else what happened
    // (carrier_reset, connection_lost, ...). Before ready when both are there. The message's Bytes
    // belong to whoever takes it; until then they are charged to the receive budget.
    Operation<InMessage> receive();
    // The same in parts: the next part of a message that has come, be the message whole or not. The
    // parts of one message come in order, and its properties with the first; those of messages of
    // different classes interleave as more urgent ones arrive: InMessage::niceness() and sequence()
    // tell them apart, offset() and last() where they belong. The window follows what is taken, so
    // that a message of any length passes through little memory. Errors: as receive; and
    // invalid_argument when minimum is 0, above 1 MiB, or above maximum, which ready throws as a
    // Failure.
    Operation<InMessage> receive(ReceiveParts parts);
    void ready(ReceiveParts parts, OnMessage on_message);
    // The longest message that this Carrier takes, bytes: a longer one ends it with
    // message_too_large when its header comes, or, while the application has not asked for messages
    // yet, when it asks for whole ones. Default: Bounds::largest_message for whole messages, which
    // are at most half of Bounds::receive_budget in any case; none for parts.
    void largest_message(std::uint64_t bytes);

    // Gives this Carrier up for a run of bytes (draft 2.1.5), for good. Only a fresh one can: that
    // has sent nothing, has not been finished or asked for messages, and that the peer does not
    // know as one of messages. One that the peer opened as a Stream can only be taken like this.
    // post/stream.hpp has the rest. Errors: invalid_argument (not fresh), unsupported (a Source or
    // Sink, or a data channel that is not reliable and ordered: the detail says which),
    // carrier_closed, context_closed.
    Result<Stream> as_stream();

    // Forks (draft 2.1).

    // A further Carrier to the same peer: the next stream of the same Association. It goes to the
    // accept of the peer's end of this Carrier, else to the Listener that this one came from. A
    // fork that nobody takes ends with carrier_refused. No round trip: it may send at once. No
    // Carrier (false) when this one is over, is one-way, or its Association is closing. Throws
    // Failure (invalid_argument) when the options hold what cannot be said.
    Carrier fork(ForkOptions options);
    Carrier fork() { return fork(ForkOptions{}); }
    // Takes the Carriers that the peer forks from this one, until `on_carrier` returns false; an
    // empty Carrier::OnCarrier ends it too. A plain peer does not say from which one it forks: all
    // that it opens go to the first Carrier that was initiated to it.
    void accept(OnCarrier on_carrier);
    // The next one. From the first call on up to 1024 forks wait for the following calls; further
    // ones are refused.
    Operation<Carrier> accept();

    // Life.

    // Makes it active without sending anything: the answer comes when the handshake is done, or
    // when every candidate has failed, each within Bounds::handshake_timeout. The error is that of
    // the candidate that came furthest; its detail lists all of them. Stages: resolve, connect,
    // handshake, verify. What is dormant wakes; at the listener's end the answer comes when the
    // client has woken it.
    Operation<void> activate();
    // Lets the connection go, and keeps everything else (draft 2.1: dormant): as soon as nothing
    // that either end has sent is on its way, it is closed, and this Carrier and all others of its
    // Association are dormant, at both ends. They keep their ids, their order, their callbacks and
    // what was not taken yet, and one Association takes some hundred bytes. What is sent meanwhile
    // puts it off; activate() ends it with cancelled. The answer comes when it is done, at once
    // where there is no connection.
    //
    // At the end that initiated, the next send, finish, close or activate() wakes it: it races
    // again, resumes the session where it can, and shows that it is who it was. Idempotent messages
    // go with its first flight where the peer takes them so (ListenOptions::early_data), and
    // Association::establishment() says how many. Nothing is lost, nothing comes twice. Where the
    // peer does not answer it is tried for Bounds::continuity, and then everything ends with what
    // the race found; a peer that has forgotten (it was started anew, or waited for longer than its
    // Bounds::dormant_for) gets new Carriers in the place of ours, and its own end with
    // connection_lost. At the listener's end nothing can wake it: what is sent there waits, within
    // Bounds::send_budget, until its lifetime ends or the client comes.
    //
    // Without being asked it is dormant after silence for Bounds::idle_timeout, where both ends
    // have Bounds::keep_alive zero. Both have to have Bounds::continuity; else, and to plain peers,
    // the answer is unsupported, and says whose fault that is. Other errors: carrier_closed or what
    // ended it, context_closed.
    Operation<void> deactivate();
    Activity activity() const;
    // Called when that changes, but for the first connecting, until it is over (on_closed). All
    // Carriers of an Association hear of it in the same turn.
    void on_activity(OnActivity on_activity);
    // True while the Association under it is established.
    bool is_active() const;
    // Ends it in good order: finish(), and what still arrives is discarded. What was sent is
    // delivered first, for at most Bounds::linger; what is left then ends as failed. Twice is once.
    void close();
    // Ends both directions at once; the peer gets the code with carrier_reset, and what has no fate
    // ends as failed(cancelled).
    void abort(AbortCode code = AbortCode{0});
    // Called once when the Carrier is over, with what ended it: carrier_closed in good order. Who
    // sets it has taken note of the error: it is not printed then (Context::on_unhandled).
    void on_closed(OnClosed on_closed);
    // Called with what the network says of what was sent (RFC 9622, 8.3.1), and ends nothing: on
    // udp and udp_lite ICMP errors, such as refused_port where nobody listens; the cause is the
    // errno. Elsewhere the stack makes what it can of them, and nothing comes. Nobody else is told.
    void on_soft_error(OnClosed on_soft_error);
    // Called when what is sent goes over another path (RFC 9622, 8.3.2: PathChange): either side
    // moved, or a NAT did. Nothing is lost by that, and nothing has to be done.
    void on_path(OnPath on_path);

    // Views.

    // Known from the beginning; 0 for no Carrier.
    CarrierId id() const;
    Association association() const;
    // Those of the Association (draft 2.6); at most one today.
    std::vector<Transient> transients() const;
    bool can_send() const;     // false at a Sink
    bool can_receive() const;  // false at a Source
    // The peer opened it as a Stream: as_stream() is the way to take it. What a plain peer opened
    // never says so.
    bool is_stream() const;
    // Those of the Association, but for what this Carrier has less of: forks of a Source or Sink,
    // the boundaries of a Stream, order and reliability of a data channel that gave them up. In
    // words below two lines: what is in use, and reuse().
    Support explain(Feature feature) const;
    FeatureTable features() const;
    std::string explain() const;
    // Whether it shares an Association that was there when it was initiated, and why not.
    Reuse reuse() const;
    // What its opener called it, and opened it with (ForkOptions, InitiateOptions): the same at
    // both ends. Empty where there is nothing of it, and when the Carrier is over.
    std::string label() const;
    std::string protocol() const;
    ChannelOptions channel() const;
    // Bytes of the longest message that send() takes (RFC 9622, 8.1.11.4): what the peer has said,
    // or what a datagram carries; what fits unfragmented is Path::mtu. Without a bound, and while
    // nothing is known yet, 2^64 - 1.
    std::uint64_t max_message_size() const;

    // For the library: the Carrier as callbacks get it. It holds nothing, until it is moved from.
    Carrier lend() const { return Carrier(anchor_, key_, true); }
    const core::AnchorRef& anchor() const { return anchor_; }

private:
    friend class core::Carriers;
    Carrier(core::AnchorRef anchor, core::CarrierKey key, bool borrowed);
    void drop();

    core::AnchorRef anchor_;
    core::CarrierKey key_;
    bool borrowed_ = false;  // the library lends it for one callback: dropping it closes nothing
};

// A Carrier that only sends (draft 2.1.2). Its calls are those of Carrier.
class Source {
public:
    Source() = default;
    explicit Source(Carrier carrier) : carrier_(std::move(carrier)) {}
    Sending send(Content content, SendOptions options, OnFate on_fate = {}) {
        return carrier_.send(std::move(content), std::move(options), std::move(on_fate));
    }
    Sending send(Content content) { return carrier_.send(std::move(content)); }
    Sending send(Generated content, SendOptions options, OnFate on_fate = {}) {
        return carrier_.send(std::move(content), std::move(options), std::move(on_fate));
    }
    Sending send(Generated content) { return carrier_.send(std::move(content)); }
    Operation<Fate> deliver(Content content, SendOptions options) {
        return carrier_.deliver(std::move(content), std::move(options));
    }
    Operation<Fate> deliver(Content content) { return carrier_.deliver(std::move(content)); }
    SendOptions defaults() const { return carrier_.defaults(); }
    void defaults(SendOptions options) { carrier_.defaults(std::move(options)); }
    bool writable() const { return carrier_.writable(); }
    void on_fate(OnFate on_fate) { carrier_.on_fate(std::move(on_fate)); }
    void finish() { carrier_.finish(); }
    void close() { carrier_.close(); }
    void abort(AbortCode code = AbortCode{0}) { carrier_.abort(code); }
    Operation<void> activate() { return carrier_.activate(); }
    Operation<void> deactivate() { return carrier_.deactivate(); }
    Activity activity() const { return carrier_.activity(); }
    bool is_active() const { return carrier_.is_active(); }
    void on_closed(Carrier::OnClosed on_closed) { carrier_.on_closed(std::move(on_closed)); }
    void on_soft_error(Carrier::OnClosed on_soft_error) {
        carrier_.on_soft_error(std::move(on_soft_error));
    }
    CarrierId id() const { return carrier_.id(); }
    Association association() const { return carrier_.association(); }
    std::uint64_t max_message_size() const { return carrier_.max_message_size(); }

private:
    Carrier carrier_;
};

// A Carrier that only receives (draft 2.1.3), made of what accept() gives for a Source of the
// peer's (Carrier::can_send is false), or by Context::listen_sink. Its calls are those of Carrier.
class Sink {
public:
    Sink() = default;
    explicit Sink(Carrier carrier) : carrier_(std::move(carrier)) {}
    void ready(Carrier::OnMessage on_message) { carrier_.ready(std::move(on_message)); }
    Operation<InMessage> receive() { return carrier_.receive(); }
    void ready(ReceiveParts parts, Carrier::OnMessage on_message) {
        carrier_.ready(parts, std::move(on_message));
    }
    Operation<InMessage> receive(ReceiveParts parts) { return carrier_.receive(parts); }
    void largest_message(std::uint64_t bytes) { carrier_.largest_message(bytes); }
    void close() { carrier_.close(); }
    void on_closed(Carrier::OnClosed on_closed) { carrier_.on_closed(std::move(on_closed)); }
    CarrierId id() const { return carrier_.id(); }
    Association association() const { return carrier_.association(); }

private:
    Carrier carrier_;
};

}  // namespace post
