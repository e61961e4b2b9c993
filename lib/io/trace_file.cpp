// TraceFile. It stays open: what is written to it is written every turn.
#include "lib/io/trace_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace post::io {

namespace {

constexpr int most_files = 100'000;  // of one process, in one folder

}  // namespace

Result<TraceFile> TraceFile::create(const std::string& folder) {
    std::string path;
    for (int number = 1; number <= most_files; ++number) {
        path = folder + "/post-" + std::to_string(::getpid()) + "-" + std::to_string(number) +
               ".sqlog";
        Descriptor file(
            ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (file) return TraceFile(std::move(file), std::move(path));
        if (errno != EEXIST) break;
    }
    return Error(Errc::file, std::error_code(errno, std::generic_category()), Stage::call,
                 Bytes("making the trace " + path));
}

bool TraceFile::append(std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(file_.get(), text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        size_ += static_cast<std::uint64_t>(written);
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

std::string time_of_day() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    const auto seconds = static_cast<std::time_t>(milliseconds / 1000);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[48];
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                  parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                  static_cast<int>(milliseconds % 1000));
    return text;
}

}  // namespace post::io
