// Stream: a Carrier as a run of bytes (paper II.A, draft 2.1.5; RFC 9622, 9.1.3 has it as messages
// without framing). Made of a fresh Carrier by Carrier::as_stream, for good: what it writes and
// reads has an order and no boundaries, each direction ends by itself, and a fork of it is a
// Carrier again. To a Post peer the bytes travel as messages whose boundaries mean nothing; with a
// foreign ALPN they are all that there is.
//
//     post::Stream stream = context.initiate(remote).as_stream().value();
//     co_await stream.write("GET / HTTP/1.1\r\nHost: example\r\n\r\n");
//     while (auto bytes = co_await stream.read()) std::cout << bytes->view();
//
// As a Carrier it moves and does not copy, dropping it drains and closes, and it belongs to the
// thread of its Context.
#pragma once

#include <cstddef>
#include <utility>

#include <post/carrier.hpp>

namespace post {

namespace core {

// An operation whose answer is made of another's by `Convert`.
template <class From, auto Convert> class Mapped {
public:
    using Answer = decltype(Convert(std::declval<From&>().get()));

    explicit Mapped(From from) : from_(std::move(from)) {}
    bool ready() const { return from_.ready(); }
    Answer get() { return Convert(from_.get()); }
    void then(Function<void(Answer)> callback) && {
        std::move(from_).then(
            [callback = std::move(callback)](typename From::Answer answer) mutable {
                callback(Convert(std::move(answer)));
            });
    }
    void notify(Function<void()> resume) { from_.notify(std::move(resume)); }
    void quiet() { from_.quiet(); }
    const AnchorRef& anchor() const { return from_.anchor(); }

private:
    From from_;
};

inline Result<void> written(Result<MessageId> sent) {
    if (!sent) return sent.error();
    return {};
}
inline Result<Bytes> read_bytes(Result<InMessage> part) {
    if (!part) return part.error();
    return std::move(*part).content();
}

}  // namespace core

class Stream {
public:
    // Given the bytes that came; false: no more of them, and the Stream is closed.
    using OnBytes = Function<bool(Stream&, Bytes)>;
    using Writing = core::Mapped<Sending, core::written>;
    using Reading = core::Mapped<Operation<InMessage>, core::read_bytes>;

    static constexpr std::size_t largest_read = 64 * 1024;

    Stream() = default;  // no Stream
    explicit operator bool() const { return static_cast<bool>(carrier_); }

    // Writing.

    // Sends these bytes behind those before. Answered at once while there is room in the send
    // budget (Bounds::send_budget), else when there is: awaiting it is backpressure, and dropping
    // it then gives the bytes up. Bytes that are moved in are held uncopied until the peer has
    // them. Errors: as Carrier::send.
    Writing write(Content bytes) { return Writing(carrier_.send(std::move(bytes))); }
    bool writable() const { return carrier_.writable(); }
    // Nothing follows: the peer reads to the end. Reading goes on.
    void finish() { carrier_.finish(); }

    // Reading.

    // The next bytes, 1 to `most` of them (largest_read, or 1 MiB at most), as soon as there are
    // some. The error says why there are none: carrier_closed behind the last byte, when the peer
    // ended in good order, else what happened. What nobody reads is held back at the peer.
    Reading read(std::size_t most = largest_read) { return Reading(carrier_.receive({1, most})); }
    // Bytes are given to `on_bytes` until it returns false or the Stream ends; its life goes over
    // to the callback, as with Carrier::ready.
    void ready(OnBytes on_bytes);

    // As a file descriptor, for code that knows nothing of this library: read, write, poll, dup2
    // and sendfile do what they do with a connected socket, in blocking mode, and shutdown(SHUT_WR)
    // is finish. The caller closes it, and this is no Stream any more. On tcp it is the connection
    // itself, which leaves the Context, where nothing of it is here (so soon after activate());
    // elsewhere it is one end of a local stream that the Context serves while it turns, with
    // backpressure both ways, and which run() waits for: let another thread or process use it.
    // A local stream has no word for a Stream that ends by an error: it reads as one that ends, and
    // who writes on comes to EPIPE, or to ECONNRESET where some of what was written is unread. Who
    // has to know calls on_closed before, which hears the reason all the same: carrier_closed is
    // the good one. (On tcp the system says ECONNRESET itself.)
    // Errors: carrier_closed, context_closed, too_many (no descriptors are left), unsupported
    // (simulated networks have none).
    Result<int> as_descriptor();

    // Life: as Carrier's.

    void close() { carrier_.close(); }
    void abort(AbortCode code = AbortCode{0}) { carrier_.abort(code); }
    Operation<void> activate() { return carrier_.activate(); }
    void on_closed(Carrier::OnClosed on_closed) { carrier_.on_closed(std::move(on_closed)); }
    // A further Carrier to the same peer: one of messages, which may become a Stream in its turn.
    Carrier fork(Carrier::ForkOptions options = {}) { return carrier_.fork(std::move(options)); }
    void accept(Carrier::OnCarrier on_carrier) { carrier_.accept(std::move(on_carrier)); }
    Operation<Carrier> accept() { return carrier_.accept(); }

    CarrierId id() const { return carrier_.id(); }
    Association association() const { return carrier_.association(); }

private:
    friend class Carrier;
    explicit Stream(Carrier carrier) : carrier_(std::move(carrier)) {}

    Carrier carrier_;
};

}  // namespace post
