// Association and Transient: read-only views of what lies under a Carrier (draft 2.3 and 2.6). They
// may be kept and asked at any time; when what they show is gone they answer with empty values. One
// thread: that of the Context. What they return is a snapshot, and the caller's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <post/establishment.hpp>
#include <post/feature.hpp>
#include <post/ids.hpp>
#include <post/local.hpp>
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

// What stands behind a Carrier (paper II.D, draft 2.1): it is active while its Association has a
// connection, and dormant while that rests. Both ends see their own side of it.
//
//   fresh -> connecting -> active -> dormant
//                ^           |          |  a send, activate(), close()
//                +-----------+----------+          any -> over
enum class Activity : std::uint8_t {
    fresh,       // nothing was asked of it yet
    connecting,  // a connection is looked for: the first one, one after a break, or to wake
    active,
    dormant,
    over,  // it is gone; or no such Carrier
};
const char* to_string(Activity activity) noexcept;

class Association {
public:
    Association() = default;
    Association(core::AnchorRef anchor, AssociationId id) : anchor_(std::move(anchor)), id_(id) {}

    AssociationId id() const { return id_; }
    // Where it goes; nothing for one that a Listener accepted.
    std::optional<Remote> remote() const;
    // What is known of the way in use; none before there is a connection.
    std::vector<Path> paths() const;
    // The same as a connection, and behind it, not active, the one that stands by for it
    // (Policy::standby) when it is ready.
    std::vector<Transient> transients() const;
    // Goes over another path and stays what it is: no new handshake, and no Carrier notices but by
    // Carrier::on_path (RFC 9000, 9). Local::interfaces are tried in their order, where they reach
    // the peer; Local::address and port are the near end; with neither, every interface but the one
    // in use. Where the old path is still there the peer is asked first whether it answers over the
    // new one, and until then, and if not, all stays as it is. The answer is the path in use then.
    // One at a time: a later call ends an earlier one with cancelled.
    //
    // Errors, whose detail says what was tried: unsupported (not quic, whose clients alone can; the
    // server forbids it), no_route (no such interface or address, the other family, no way to the
    // peer), unreachable (no answer over the new path), would_block (not established yet, or the
    // peer has given no spare connection id), invalid_argument, connection_lost, context_closed.
    //
    // Without being asked a client on quic goes to another interface when its own address goes
    // away, and, where Local::interfaces or preferences order them, when a better one comes: four
    // times in a row, and then once a second.
    Operation<Path> migrate(Local local);
    Stack stack() const;
    // As agreed in the handshake ("post-quic/1", or the application's); empty before.
    std::string alpn() const;
    // The peer's own certificate as DER; empty when it showed none.
    Bytes peer_identity() const;
    // The handshake resumed an earlier session with the same peer, which had shown who it is: no
    // certificate was shown again, and peer_identity() is the earlier one (AssociationStore).
    bool resumed() const;
    // Open Carriers, ours and the peer's.
    std::size_t carriers() const;
    // True while a Transient is established.
    bool active() const;
    // While it is dormant nothing is known of the connection that was: no alpn(), peer_identity(),
    // establishment() and paths().
    Activity activity() const;
    // How each feature is given, and why: one, all, and all in words below a line that says what is
    // in use. Exact once the Association is established: only then it is known what the peer
    // speaks; before, as one may expect it of the stack that is tried first. No features when the
    // Association is gone.
    Support explain(Feature feature) const;
    FeatureTable features() const;
    std::string explain() const;
    // How the connection came about so far: what was looked up, what was tried, what won and why
    // the others did not. None before the first use, and for what a Listener accepted. Of an
    // attempt that failed as a whole the error has the same as text (Error::detail).
    std::optional<Establishment> establishment() const;
    bool operator==(const Association& other) const { return id_ == other.id_; }

private:
    core::AnchorRef anchor_;
    AssociationId id_;
};

}  // namespace post
