// HTTP/3 (RFC 9114), as Messages on Carriers. Whatever speaks it is a peer, on both sides.
//
//   auto carrier = context.initiate("https://example.net/a");
//   carrier.send("");                                       // GET /a
//   auto other = carrier.fork();                            // the next request, same connection
//   other.send("", {.properties = {{":path", "/b"}, {"accept", "text/html"}}});
//   other.ready([](post::Carrier&, post::InMessage reply) {
//       use(post::http::status(reply), reply.content());
//       return false;
//   });
//
// A Carrier is a request: one message there and one back. Their properties are the fields, in order
// and with all values of a name; what begins with a colon says what is asked and answered (RFC
// 9114, 4.3). Names are in small letters. Where nothing is said, a request is
//
//   :method     GET, or POST if there is content
//   :scheme     https                     :authority  the host of the URL
//   :path       the URL's path and query; of a fork, that of its parent
//
// and a response is 200 (`:status`). `content-length` is filled in, and checked against what comes;
// so is `priority` (RFC 9218) by the message's niceness: 0 is the usual urgency, 4 and more the
// last. On a server InMessage::niceness says it; whoever replies with that serves who asked first
// what is more urgent.
//
// A request that was answered is over, and is not forked any more: initiate asks the next one, on
// the same connection. So does a Carrier that is kept for its forks and asks nothing itself.
//
// Content streams in both directions as long messages do: Generated, ReceiveParts. Of a body whose
// length its sender does not say, InMessage::total() is unknown_total before the last part.
//
// More than one message:
//   * Interim responses (100 to 199, such as 103) come before the response, without content.
//   * Trailers come behind it, as a message without content. To send some, say so in the field
//     `trailer` of the message; the next message, or finish(), ends it.
// A request with `expect: 100-continue` sends its content when the server gives leave, or after a
// second. A server gives leave at once.
//
// Serving: ListenOptions::policy names Stack::http3, alone or beside others on the same port; each
// request comes as a Carrier with a message, and the reply is a send. HEAD is answered like GET,
// and the content is left out. CONNECT is refused (501). A Carrier that is dropped without an
// answer, aborted or refused resets its request; AbortCode 0 is H3_REQUEST_CANCELLED, any other
// goes out as it is, and what the peer said is the Error's cause, in http3_category().
//
// Extended CONNECT (RFC 9220) opens a tunnel for another protocol:
//
//   carrier.send("", {.properties = {{":protocol", "connect-udp"}, {"capsule-protocol", "?1"}}});
//
// `:method` is CONNECT where nothing is said; the rest is as in any request. A server takes those
// whose `:protocol` HttpOptions::connect names (any other: 501), and its answer with a status of
// 200 to 299, but 204, opens the tunnel. Then both directions are open at once, each until its
// finish(): the content of every further message is the next bytes of the tunnel, which arrive as
// they come, in messages that are raw(). A client need not wait for the answer with its bytes.
// Whether the server takes extended CONNECT its SETTINGS say: the request waits for them, and fails
// (unsupported) where they do not.
//
// In a tunnel, a message that need be neither reliable nor ordered (SendOptions), is not the last
// and no Generated is an HTTP Datagram (RFC 9297): it goes in a QUIC DATAGRAM or not at all, and
// arrives as a message that is not raw(). It fails where the peer takes none (unsupported) or it is
// longer than a packet has room for (message_too_large). Those that overtake the request, or the
// answer, are dropped, as are those that find no room. The Capsule Protocol (RFC 9297, 3) is bytes
// of the tunnel like any: the application reads and writes capsules.
//
// Where a session is resumed, requests that are idempotent (SendOptions) and whose method is GET,
// HEAD or OPTIONS go in early data (0-RTT, RFC 8470): they arrive half a round trip after they were
// sent, and all others when the handshake is complete. The server's SETTINGS are kept with its
// tickets for that (RFC 9114, 7.2.4.2). A server hears them with ListenOptions::early_data, marked
// InMessage::early(); to what it would not do twice it answers 425 (Too Early), a response like
// any: whether to ask again, and not idempotently, is the client's application's to say.
//
// Limits: fields are at most Properties::largest_fields, both ways; a server answers 431 to more. A
// client that gives up requests unanswered, more than 1000 at once and then 100 a second, loses its
// connection (H3_EXCESSIVE_LOAD). A Listener that closes says GOAWAY: what was asked is answered,
// further requests fail, and the next initiate makes another connection.
//
// not done: server push, CONNECT without `:protocol`, and expiry of what has begun to be sent
// (Feature::lifetime). None of it is offered to peers; who asks all the same is refused: a
// push by the end of the connection; where no `:protocol` is taken at all, any as malformed.
#pragma once

#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <post/message.hpp>
#include <post/properties.hpp>

namespace post {

// What a Listener of HTTP/3 takes beside requests.
struct HttpOptions {
    // The protocols of extended CONNECT (`:protocol`, RFC 9220), such as "connect-udp"; capitals
    // count as small letters. At most 16, each a token of 1 to 64 bytes (RFC 9110, 5.6.2), else
    // invalid_argument. Where there are some, clients hear of it (SETTINGS_ENABLE_CONNECT_PROTOCOL
    // and SETTINGS_H3_DATAGRAM, both 1); with none, neither is offered.
    std::vector<std::string> connect{};
};

}  // namespace post

namespace post::http {

// The first value of that name; empty when there is none.
inline std::string_view field(const Properties& fields, std::string_view name) {
    const std::string* value = fields.find(name);
    return value ? std::string_view(*value) : std::string_view();
}

// Of a response: 100 to 599; 0 when it is none.
inline int status(const InMessage& message) {
    const std::string_view text = field(message.properties(), ":status");
    int value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

// Another place that has the same (RFC 7838): `Alt-Svc: h3=":443"; ma=86400`.
struct Alternative {
    std::string alpn;
    std::string host;  // empty: the same host
    std::uint16_t port = 0;
    std::chrono::seconds max_age{86400};
};
// Those that a response names, at most 16; what cannot be read is left out.
std::vector<Alternative> alternatives(const Properties& fields);

}  // namespace post::http
