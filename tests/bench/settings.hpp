// Settings: what the command line says, for the program that conducts the rounds and, unchanged,
// for the two processes of each row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace post::bench {

// How a process waits for input.
enum class Waiting : std::uint8_t {
    sleeping,  // in epoll_wait
    spinning,  // looks for 50 us first (ContextOptions::spin)
    busy,      // it never sleeps
};

struct Settings {
    std::vector<std::string> rows;         // names or beginnings of names; none: all
    std::string stack = "quic";            // of the post rows
    std::string protection = "automatic";  // ContextOptions::packet_protection of the post rows
    unsigned rounds = 3;
    double seconds = 1;                 // measured, a row and round
    double warm_up = 0.3;               // before that
    std::size_t payload = 1452;         // largest UDP payload
    std::size_t associations = 10'000;  // of row "idle"
    std::size_t carriers = 1'000'000;   // of row "idle", all associations together
    std::string json;                   // where JSON lines go; "-": stdout, in place of the table
    bool list = false;
    bool help = false;

    // Of a process that plays one end of one row; empty in the conductor.
    std::string end;  // "server" or "client"
    std::uint16_t port = 0;
    std::string pin;
    int peer = 0;  // the server's process id, for its CPU time; 0: unknown

    // Throws std::invalid_argument that names the option.
    static Settings parse(int count, char** words);
    // The command line that gives a process the same settings; without rows and ends.
    std::vector<std::string> words() const;
};

extern const char* const usage;

}  // namespace post::bench
