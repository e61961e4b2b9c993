// A progress bar on a terminal; a line at each quarter where there is none.
#pragma once

#include <unistd.h>
#include <cstdint>
#include <cstdio>
#include <string>

namespace example {

class Progress {
public:
    Progress(std::string what, std::uint64_t total) : what_(std::move(what)), total_(total) {}

    void add(std::uint64_t bytes) {
        done_ += bytes;
        const auto percent = total_ ? static_cast<int>(done_ * 100 / total_) : 100;
        if (percent == shown_ || (!terminal_ && percent / 25 == shown_ / 25)) return;
        shown_ = percent;
        if (!terminal_) {
            std::fprintf(stderr, "%s: %d %%\n", what_.c_str(), percent);
            return;
        }
        std::string bar(40, '.');
        bar.replace(0, static_cast<std::size_t>(percent) * 40 / 100,
                    std::string(static_cast<std::size_t>(percent) * 40 / 100, '#'));
        std::fprintf(stderr, "\r%s [%s] %3d %%%s", what_.c_str(), bar.c_str(), percent,
                     percent == 100 ? "\n" : "");
    }

    // Something else is about to be printed.
    void interrupt() {
        if (terminal_ && shown_ != 100) std::fputs("\n", stderr);
    }

private:
    std::string what_;
    std::uint64_t total_;
    std::uint64_t done_ = 0;
    int shown_ = 0;
    bool terminal_ = isatty(STDERR_FILENO) != 0;
};

// "12.3 MiB"
inline std::string human(double bytes) {
    const char* units[] = {"B", "KiB", "MiB", "GiB"};
    int unit = 0;
    for (; bytes >= 1024 && unit < 3; ++unit) bytes /= 1024;
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return text;
}

}  // namespace example
