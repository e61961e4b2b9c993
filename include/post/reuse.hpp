// Reuse: whether a Carrier shares an Association that was there already, and why, or why not (paper
// II.B; RFC 9622, 7.1). Carriers that are initiated to the same Remote share one when they agree in
// everything that is named here. A plain value, the caller's; string() prints it for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <post/ids.hpp>
#include <post/time.hpp>

namespace post {

struct Reuse {
    enum class How : std::uint8_t {
        first,      // a new one: there was none to this Remote
        differs,    // a new one: those to this Remote differ in what `differs` names
        ending,     // a new one: the one that agrees in everything is closing
        datagrams,  // a new one: on udp and udp_lite each Carrier has its own
        joined,     // the one that was there
        forked,     // that of the Carrier which it was forked from
        accepted,   // that in which the peer opened it
    };
    // What has to be the same.
    enum class Aspect : std::uint8_t {
        ways,         // addresses, ports of protocols, and the other Remotes of Remote::any
        server_name,  // Remote::server_name
        local,        // Local's address and port
        identity,     // Local::identity, the certificate that we show
        trust,        // InitiateOptions::trust, the certificates that we take
        alpn,         // InitiateOptions::alpn and without_alpn
        security,     // Policy::security
        stacks,       // Policy::stacks, standby and redundant_below
        preferences,  // Policy::preferences
        bounds,       // InitiateOptions::bounds
        quic,         // InitiateOptions::quic, and so on
        sctp,
        tls,
        isolation,  // InitiateOptions::isolation
    };

    How how = How::first;
    std::string remote{};         // as the application named it
    AssociationId association{};  // the one that is shared; else the one that comes nearest
    // How long that one had been established at the Context's last turn; `never_was`: it is not.
    static constexpr Duration never_was = Duration::min();
    Duration age = never_was;
    std::vector<Aspect> differs{};  // by the nearest one

    bool joins() const { return how == How::joined; }
    // "shares the Association to post://a.example:4433, which has been up for 3.2 s", "a new
    // Association: the one to post://a.example:4433 has another alpn and other bounds".
    std::string string() const;
    bool operator==(const Reuse&) const = default;
};
const char* to_string(Reuse::How how) noexcept;
const char* to_string(Reuse::Aspect aspect) noexcept;
inline constexpr std::uint8_t reuse_aspect_count = 14;

}  // namespace post
