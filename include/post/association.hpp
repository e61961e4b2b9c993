// Association and Transient: read-only views of what lies under a Carrier (draft 2.3 and 2.6). They
// may be kept and asked at any time; when what they show is gone they answer with empty values. One
// thread: that of the Context. What they return is a snapshot, and the caller's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <post/ids.hpp>
#include <post/operation.hpp>
#include <post/path.hpp>
#include <post/policy.hpp>
#include <post/remote.hpp>

namespace post {

// The binding of an Association to one instance of a protocol stack.
struct Transient {
    Stack stack = Stack::quic;
    std::string alpn;  // as agreed; empty while it is being made
    bool active = false;
    Path path;
};

// What a message, a Carrier or an Association can be asked for (RFC 8303, RFC 9622).
enum class Feature : std::uint8_t {
    fork,                // Carrier::fork
    one_way,             // Source and Sink
    niceness,            // SendOptions::niceness
    lifetime,            // SendOptions::lifetime
    unordered,           // SendOptions::ordered = false
    unreliable,          // SendOptions::reliable = false
    antecedents,         // SendOptions::antecedents
    idempotent,          // SendOptions::idempotent reaches the receiver
    immediate,           // SendOptions::immediate
    properties,          // SendOptions::properties reach the receiver
    message_boundaries,  // a message arrives as it was sent, whole
    acked,               // what Fate::acked rests on
    backpressure,        // a Carrier that nobody reads stops its own peer and nobody else
    label,               // Carrier::ForkOptions::label and protocol reach the peer
    text,                // SendOptions::text reaches the receiver
};

// How a stack gives a feature: by itself, by work of the library's, or not at all; and why.
struct Support {
    enum class Level : std::uint8_t { native, emulated, unsupported };
    Level level = Level::unsupported;
    const char* reason = "";
};

class Association {
public:
    Association() = default;
    Association(core::AnchorRef anchor, AssociationId id) : anchor_(std::move(anchor)), id_(id) {}

    AssociationId id() const { return id_; }
    // Where it goes; nothing for one that a Listener accepted.
    std::optional<Remote> remote() const;
    // What is known of the ways in use; none before there is a connection, at most one today.
    std::vector<Path> paths() const;
    std::vector<Transient> transients() const;
    Stack stack() const;
    // As agreed in the handshake ("post-quic/1", or the application's); empty before.
    std::string alpn() const;
    // The peer's own certificate as DER; empty when it showed none.
    Bytes peer_identity() const;
    // Open Carriers, ours and the peer's.
    std::size_t carriers() const;
    // True while a Transient is established.
    bool active() const;
    // Exact once the Association is established: only then it is known what the peer speaks.
    Support explain(Feature feature) const;
    bool operator==(const Association& other) const { return id_ == other.id_; }

private:
    core::AnchorRef anchor_;
    AssociationId id_;
};

}  // namespace post
