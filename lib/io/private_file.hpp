// PrivateFile: where a file is to stand that is its owner's alone, and whether it may: a folder and
// a file of ours, closed to everybody else, and no symbolic link that leads somewhere else.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include <post/result.hpp>

#include "lib/io/descriptor.hpp"

namespace post::io {

class PrivateFile {
public:
    // Which file a name leads to.
    struct Id {
        dev_t device;
        ino_t inode;
        bool operator==(const Id&) const = default;
    };

    // Makes the folder where it is missing. What stands in the way is an error that says what to do
    // about it.
    static Result<PrivateFile> at(const std::string& path);

    // Makes an empty file where there is none, with mode 0600. Neither here nor later is one that
    // is there opened: to close it again would give up all locks of this process on it (POSIX).
    Result<Id> make() const;
    // None: there is no file.
    std::optional<Id> id() const;
    // Under another name, NAME + ending, in place of what has that one; false: it could not be.
    bool rename(const char* ending) const;
    void remove(const char* ending) const;
    // The path, with the folder's own name.
    const std::string& path() const { return path_; }
    // Nobody else who asks for it is here until it is gone; false: somebody was here all the time.
    bool lock() const;
    void unlock() const;

private:
    PrivateFile() = default;

    Descriptor folder_;
    std::string name_;
    std::string path_;
};

}  // namespace post::io
