// LogFolder: files that only grow, in one folder. What cannot be written is left out: a full disk
// or a missing folder is no reason to lose a connection.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace post::io {

class LogFolder {
public:
    explicit LogFolder(std::string folder) : folder_(std::move(folder)) {}

    // `file` is a plain name; a file that is new is its owner's alone.
    void append(const std::string& file, std::span<const std::byte> bytes) const;

private:
    std::string folder_;
};

}  // namespace post::io
