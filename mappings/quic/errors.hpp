// Errors of QUIC: from ngtcp2's return values and the peer's CONNECTION_CLOSE to our Error, and
// from our Error to the CONNECTION_CLOSE that we send.
#pragma once

#include <optional>
#include <string>

#include <ngtcp2/ngtcp2.h>

#include <post/error.hpp>

#include "mappings/values.hpp"

namespace post::quic {

// What is known of the connection when it ends.
struct Circumstances {
    Role role = Role::client;
    bool established = false;
    bool post = false;
    Address remote;
};

// ngtcp2 gave up by itself.
Error error_of_code(int code, const Circumstances& circumstances);
// The peer closed.
Error error_of_close(const ngtcp2_ccerr& close, const Circumstances& circumstances);

// The close that tells the peer of `reason`; `alert`: it was found inside TLS. `text` is kept by
// the caller while the close is in use.
ngtcp2_ccerr close_of(const Error& reason, std::optional<std::uint8_t> alert,
                      const Circumstances& circumstances, std::string& text);

}  // namespace post::quic
