// How each feature is given on the stack in use, and why (RFC 8303).
#include "lib/association/association.hpp"

namespace post::core {

Support Association::explain(Feature feature) const {
    using Level = Support::Level;
    const bool sctp = stack_ == Stack::sctp_dtls || stack_ == Stack::sctp_udp;
    switch (feature) {
        case Feature::fork: return {Level::native, "a fork is the next stream of the connection"};
        case Feature::one_way:
            if (sctp) return {Level::emulated, "one half of a stream; the other is never used"};
            return {Level::native, "a unidirectional stream"};
        case Feature::backpressure:
            if (sctp && plain_)
                return {Level::unsupported,
                        "one receive window serves all streams; whoever is far beyond its share is "
                        "reset"};
            if (sctp) return {Level::emulated, "each Carrier has a window (CREDIT)"};
            return {Level::native, "each stream has a flow control window of its own"};
        case Feature::niceness:
            if (plain_) return {Level::emulated, "orders what is sent; the receiver sees no class"};
            return {Level::emulated, "our scheduler decides what goes into the next packet"};
        case Feature::lifetime:
            if (messages_)
                return {Level::native,
                        "unsent messages are dropped, and sent ones given up (RFC 7496) once the "
                        "peer has taken the Carrier"};
            if (plain_)
                return {Level::emulated,
                        "until the first byte is sent; what has begun is finished"};
            return {Level::emulated, "unsent bytes are dropped and announced as such"};
        case Feature::unordered:
            if (messages_)
                return {Level::native,
                        "unordered messages of SCTP, once the peer has taken the Carrier"};
            if (plain_) return {Level::emulated, "may leave before others; the stream keeps order"};
            return {Level::emulated, "may leave, and is given out, before others of its class"};
        case Feature::unreliable:
            if (messages_)
                return {Level::native,
                        "partial reliability (RFC 7496), once the peer has taken the Carrier"};
            if (stack_ == Stack::tls)
                return {Level::unsupported, "TCP delivers all that was sent, whatever it takes"};
            if (!alone())
                return {Level::unsupported,
                        "the peer takes no datagrams: every message is reliable"};
            if (sctp)
                return {Level::native,
                        "partial reliability (RFC 7496), when it is unordered, not the last, and "
                        "fits into a packet; else it is reliable"};
            return {Level::native,
                    "a QUIC DATAGRAM, never sent again, when it is unordered, not the last, and "
                    "fits into a packet; else it is reliable"};
        case Feature::antecedents:
            if ((peer_features_ & feature::waits) == feature::waits)
                return {Level::emulated,
                        "a message leaves behind those that it comes after, and the peer's library "
                        "holds it until they are there"};
            return {Level::emulated,
                    "a message leaves when those that it comes after are acknowledged"};
        case Feature::immediate:
            return {Level::native, "no message ever waits to be sent together with others"};
        case Feature::properties:
            if (plain_) return {Level::unsupported, "a plain peer has no place for them"};
            if (!(peer_features_ & feature::properties))
                return {Level::unsupported, "the peer's library does not take them"};
            return {Level::emulated, "fields of the Post frame"};
        case Feature::idempotent:
            if (plain_) return {Level::unsupported, "a plain peer has no place for the mark"};
            return {Level::emulated, "a mark in the Post frame"};
        case Feature::message_boundaries:
            if (sctp && plain_) return {Level::native, "messages of SCTP"};
            if (plain_)
                return {Level::unsupported, "raw framing: what arrives in one go is one message"};
            return {Level::emulated, "Post frames"};
        case Feature::label:
            if (stack_ == Stack::sctp_dtls)
                return {Level::native, "fields of DATA_CHANNEL_OPEN (RFC 8832)"};
            return {Level::unsupported, "the stack has no data channels"};
        case Feature::text:
            if (!plain_) return {Level::emulated, "a mark in the Post frame"};
            if (stack_ == Stack::sctp_dtls)
                return {Level::native, "a payload protocol identifier of its own (RFC 8831)"};
            return {Level::unsupported, "a plain peer has no place for the mark"};
        case Feature::acked:
            if (sctp && plain_)
                return {Level::emulated,
                        "the peer's transport acknowledged all that was sent on the association"};
            if (plain_) return {Level::native, "the peer's transport acknowledged every byte"};
            return {Level::emulated, "the peer's library holds the whole message (DELIVERED)"};
    }
    return {};
}

}  // namespace post::core
