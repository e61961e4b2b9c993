// TraceFile: a file of records that is made anew, grows up to a bound, and then ends.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <post/result.hpp>

#include "lib/io/descriptor.hpp"

namespace post::io {

class TraceFile {
public:
    // A new file of its owner's alone, post-PID-NUMBER.sqlog in `folder`. Errc::file.
    static Result<TraceFile> create(const std::string& folder);

    // False: it could not be written whole, and nothing more should be.
    bool append(std::string_view text);
    std::uint64_t size() const { return size_; }
    const std::string& path() const { return path_; }

private:
    TraceFile(Descriptor file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
    Descriptor file_;
    std::string path_;
    std::uint64_t size_ = 0;
};

// The time of day as RFC 3339 has it, in UTC: "2025-02-03T04:05:06.789Z".
std::string time_of_day();

}  // namespace post::io
