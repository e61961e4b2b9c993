// TlsOptions: what an application may choose of TCP, for the stacks that run on it, tcp included
// (RFC 9293). On byte streams nothing else ends a connection for its silence. The
// defaults are right for nearly everybody. ListenOptions have them for the connections that are
// taken.
#pragma once

#include <post/time.hpp>

namespace post {

// Values outside the ranges are refused with invalid_argument by initiate and listen.
struct TlsOptions {
    // MPTCP (RFC 8684) where both systems have it; else TCP, and nobody is told.
    bool multipath = false;
    // TCP Fast Open (RFC 7413): the first bytes go with the SYN, one round trip early, where the
    // peer has given a cookie before and both systems allow it; else TCP as ever. With TLS these
    // are the ClientHello, and the early data behind it (ListenOptions::early_data). On plain tcp
    // they are the application's, and the network may deliver them twice (RFC 7413, 6.3.1): only
    // for requests that may be taken twice.
    bool fast_open = false;
    // TCP's own probes of a connection that has been silent for so long (RFC 9293, 3.8.4); zero:
    // none. QMux asks for itself (Bounds::keep_alive), so this is for middleboxes. Whole seconds
    // are counted, and one at least.
    Duration keep_alive{};
    // How long what was sent may stay unacknowledged before the connection counts as lost (RFC
    // 5482). Zero: as the system has it, which is minutes.
    Duration user_timeout{};
    bool operator==(const TlsOptions&) const = default;
};

}  // namespace post
