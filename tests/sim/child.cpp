// Starting the same program again, with a pipe for what it prints.
#include "tests/sim/child.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace post::sim {

namespace {

constexpr std::string_view mark = "said: ";

[[noreturn]] void fail(const char* what, int error) {
    throw std::system_error(error, std::generic_category(), what);
}

std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> buffer;
    for (;;) {
        const ssize_t n = read(fd, buffer.data(), buffer.size());
        if (n > 0)
            text.append(buffer.data(), static_cast<std::size_t>(n));
        else if (n == 0)
            return text;
        else if (errno != EINTR)
            fail("read", errno);
    }
}

// The environment of this process, but for the two variables that the child is given anew.
std::vector<std::string> environment_with(std::uint64_t seed) {
    std::vector<std::string> result{"POST_CHILD=1", "POST_SEED=" + std::to_string(seed)};
    for (char** variable = environ; *variable; ++variable) {
        const std::string_view text(*variable);
        if (!text.starts_with("POST_SEED=") && !text.starts_with("POST_CHILD="))
            result.emplace_back(text);
    }
    return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (auto& text : strings) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

std::string lines_said(const std::string& output) {
    std::string said;
    for (std::size_t begin = 0; begin < output.size();) {
        const std::size_t end = std::min(output.find('\n', begin), output.size());
        const std::string_view line(output.data() + begin, end - begin);
        if (line.starts_with(mark)) said.append(line.substr(mark.size())).push_back('\n');
        begin = end + 1;
    }
    return said;
}

}  // namespace

bool in_child() { return std::getenv("POST_CHILD") != nullptr; }

void say(std::string_view line) {
    std::printf("%s%.*s\n", mark.data(), static_cast<int>(line.size()), line.data());
}

std::string run_in_child(std::string_view test, std::uint64_t seed) {
    std::array<int, 2> ends;
    if (pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe2", errno);

    std::vector<std::string> arguments{"/proc/self/exe", "--test-case=" + std::string(test),
                                       "--no-skip=true", "--no-colors=true"};
    std::vector<std::string> environment = environment_with(seed);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    pid_t pid = 0;
    const int error = posix_spawn(&pid, "/proc/self/exe", &actions, nullptr,
                                  pointers(arguments).data(), pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        fail("posix_spawn", error);
    }

    const std::string output = read_all(ends[0]);
    close(ends[0]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) fail("waitpid", errno);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw std::runtime_error("the child running \"" + std::string(test) + "\" failed:\n" +
                                 output);
    std::string said = lines_said(output);
    if (said.empty())
        throw std::runtime_error("no test \"" + std::string(test) + "\", or it said nothing:\n" +
                                 output);
    return said;
}

}  // namespace post::sim
