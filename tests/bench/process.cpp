// Processes, as Linux has them.
#include "process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <fstream>
#include <system_error>

namespace post::bench {

namespace {

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

// In the child, between fork and exec.
[[noreturn]] void become(const std::vector<std::string>& words, std::optional<unsigned> core,
                         int output, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it died before that
    if (core) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(*core, &set);
        ::sched_setaffinity(0, sizeof set, &set);
    }
    ::dup2(output, STDOUT_FILENO);
    std::vector<char*> arguments;
    std::string name = "post_bench";
    arguments.push_back(name.data());
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execv("/proc/self/exe", arguments.data());
    ::_exit(127);
}

}  // namespace

Process Process::self() { return Process(::getpid()); }

double Process::cpu_seconds() const {
    clockid_t clock{};
    timespec used{};
    if (id_ == 0 || ::clock_getcpuclockid(id_, &clock) != 0 || ::clock_gettime(clock, &used) != 0)
        return 0;
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

double Process::resident_bytes() const {
    if (id_ == 0) return 0;
    std::ifstream statm("/proc/" + std::to_string(id_) + "/statm");
    double size = 0;
    double resident = 0;
    statm >> size >> resident;
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

Child::Child(const std::vector<std::string>& words, std::optional<unsigned> core) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
    const pid_t parent = ::getpid();
    id_ = ::fork();
    if (id_ < 0) fail("fork");
    if (id_ == 0) become(words, core, ends[1], parent);
    ::close(ends[1]);
    output_ = ends[0];
}

Child::~Child() {
    if (id_ > 0) {
        ::kill(id_, SIGTERM);
        wait();
    }
    ::close(output_);
}

std::optional<std::string> Child::line() {
    for (;;) {
        if (const auto end = buffer_.find('\n'); end != std::string::npos) {
            std::string found = buffer_.substr(0, end);
            buffer_.erase(0, end + 1);
            return found;
        }
        char bytes[4096];
        const ssize_t got = ::read(output_, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return std::nullopt;
        buffer_.append(bytes, static_cast<std::size_t>(got));
    }
}

bool Child::wait() {
    int status = 0;
    while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {}
    id_ = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::vector<unsigned> cores() {
    std::vector<unsigned> found;
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return found;
    for (unsigned core = 0; core < CPU_SETSIZE; ++core)
        if (CPU_ISSET(core, &set)) found.push_back(core);
    return found;
}

}  // namespace post::bench
