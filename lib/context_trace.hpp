// Trace: what happened in a Context, as a file: JSON text sequences (RFC 7464) in the form of qlog
// (draft-ietf-quic-qlog-main-schema), a record for each event, all of them named "post:...". The
// README has the list.
#pragma once

#include <cstdint>
#include <string>

#include <post/time.hpp>

#include "lib/association/trace.hpp"
#include "lib/io/trace_file.hpp"

namespace post::core {

class Trace {
public:
    static constexpr std::uint64_t least_limit = 4096;

    // Throws Failure: Errc::file, and invalid_argument for a limit that is too small. Times are
    // told from `began` on.
    Trace(const std::string& folder, std::uint64_t limit, Instant began);

    // Writes what the log has and, when the file is as long as it may be, that this was all; then
    // the log is turned off.
    void write(TraceLog& log);

private:
    io::TraceFile file_;
    std::uint64_t limit_;
    Instant began_;
};

// The record of one event, for tests.
std::string record_of(const Traced& traced, Instant began);

}  // namespace post::core
