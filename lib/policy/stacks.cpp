// The rows, and a last one for what is in no row: neither secure nor ever raced.
#include "lib/policy/stacks.hpp"

#include <array>

namespace post::core {

namespace {

const auto& rows() {
    static const std::array all{
        StackRow{.stack = Stack::quic,
                 .name = "quic",
                 .secure = true,
                 .alpn = "post-quic/1",
                 .cells = quic_cells()},
        StackRow{.stack = Stack::sctp_dtls,
                 .name = "sctp-dtls",
                 .secure = true,
                 .messages = true,
                 .alpn = "post-sctp/1",
                 .cells = sctp_dtls_cells()},
        StackRow{.stack = Stack::sctp_udp,
                 .name = "sctp-udp",
                 .messages = true,
                 .cells = sctp_udp_cells()},
        StackRow{.stack = Stack::tls,
                 .name = "tls",
                 .secure = true,
                 .tcp = true,
                 .alpn = "post-qmux/1",
                 .cells = tls_cells(),
                 .connections = true},
        StackRow{.stack = Stack::tcp,
                 .name = "tcp",
                 .tcp = true,
                 .cells = tcp_cells(),
                 .post = false,
                 .connections = true},
        StackRow{.stack = Stack::http3,
                 .name = "http3",
                 .secure = true,
                 .alpn = "h3",
                 .cells = http3_cells(),
                 .post = false},
        StackRow{.stack = Stack::udp,
                 .name = "udp",
                 .races = false,
                 .messages = true,
                 .cells = udp_cells(),
                 .streams = false,
                 .post = false},
        StackRow{.stack = Stack::udp_lite,
                 .name = "udp-lite",
                 .races = false,
                 .messages = true,
                 .cells = udp_cells(),
                 .streams = false,
                 .post = false},
    };
    return all;
}

}  // namespace

const StackRow& row(Stack stack) {
    static const StackRow unknown{
        .stack = stack, .name = "unknown", .races = false, .plain = false, .streams = false};
    for (const StackRow& each : rows())
        if (each.stack == stack) return each;
    return unknown;
}

std::vector<Stack> all_stacks() {
    std::vector<Stack> all;
    for (const StackRow& each : rows()) all.push_back(each.stack);
    return all;
}

}  // namespace post::core

namespace post {

std::optional<Stack> stack_of(std::string_view name) noexcept {
    for (const core::StackRow& each : core::rows())
        if (each.name == name) return each.stack;
    return std::nullopt;
}

}  // namespace post
