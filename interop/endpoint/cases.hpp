// The test cases of the public QUIC interop runner, as an endpoint knows them: what TESTCASE asks
// of each role, in the library's options.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include <post/post.hpp>

// How a client's requests are spread over connections.
enum class Spread {
    one,      // all over one, in parallel
    each,     // one each
    resumed,  // the first over one, all others over another that resumes it
};

struct Case {
    post::QuicOptions quic{};
    Spread spread = Spread::one;
    bool http3 = false;      // instead of hq-interop
    bool tunnels = false;    // these instead of files
    bool early = false;      // a server takes requests before the handshake is complete
    bool preferred = false;  // a server would rather be reached at another port
};

// None: this role cannot do it, which is exit code 127. So is what nobody has heard of.
inline std::optional<Case> case_of(std::string_view name, bool server) {
    Case made;
    // Plain ones: what is special about them is the link, or the other end.
    for (const std::string_view plain :
         {"handshake", "transfer", "longrtt", "multiplexing", "blackhole", "ecn", "ipv6", "goodput",
          "crosstraffic", "amplificationlimit", "handshakeloss", "transferloss",
          "handshakecorruption", "transfercorruption", "rebind-port", "rebind-addr"})
        if (name == plain) {
            if (name.starts_with("handshake") && name.size() > 9) made.spread = Spread::each;
            return made;
        }
    if (name == "multiconnect") {
        made.spread = Spread::each;
        return made;
    }
    if (name == "resumption") {
        made.spread = Spread::resumed;
        return made;
    }
    if (name == "chacha20") {
        made.quic.cipher = post::Cipher::chacha20_poly1305;
        return made;
    }
    if (name == "retry") {
        if (server) made.quic.address_validation = post::AddressValidation::always;
        return made;
    }
    if (name == "keyupdate") {
        // Either end's first update is within the first few of 3 MiB's two thousand packets.
        made.quic.key_update_after = 200;
        return made;
    }
    if (name == "v2") {
        // The client begins with version 1, and the server changes to version 2 (RFC 9368).
        if (server) made.quic.versions = {post::QuicVersion::v2, post::QuicVersion::v1};
        return made;
    }
    if (name == "zerortt") {
        made.spread = Spread::resumed;
        made.early = server;
        // What a client sends behind the handshake is counted in bytes, and a probe for larger
        // packets is as long as five requests.
        if (!server) made.quic.largest_payload = 1200;
        return made;
    }
    if (name == "http3") {
        made.http3 = true;
        return made;
    }
    // Not of the examination (negative_tunnel.py, http3.sh).
    if (name == "tunnel") {
        made.http3 = made.tunnels = true;
        return made;
    }
    // A client has nothing to do but to follow the server's preferred address.
    if (name == "connectionmigration") {
        made.preferred = server;
        return made;
    }
    return std::nullopt;
}
