// Processes: what one has used so far, and children that run this program again.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace post::bench {

// What the kernel knows of a process, this one or another; 0: of nobody, and all figures are 0.
class Process {
public:
    explicit Process(pid_t id) : id_(id) {}
    static Process self();

    bool known() const { return id_ != 0; }
    double cpu_seconds() const;
    double resident_bytes() const;

private:
    pid_t id_;
};

// A child process that runs this program with `words`, on one core, and writes lines to us. It is
// ended and waited for when this goes, and by the kernel when we die.
class Child {
public:
    Child(const std::vector<std::string>& words, std::optional<unsigned> core);
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();

    pid_t id() const { return id_; }
    // The next line, without its end; nothing when it wrote its last.
    std::optional<std::string> line();
    // Waits for its end; true when it says that all went well.
    bool wait();

private:
    pid_t id_ = 0;
    int output_ = -1;
    std::string buffer_;
};

// The cores that this process may run on.
std::vector<unsigned> cores();

}  // namespace post::bench
