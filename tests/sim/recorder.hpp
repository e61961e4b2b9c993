// Recorder: keeps the packets of a World and writes them in text2pcap's form, with IP, UDP
// and TCP headers, so that Wireshark opens them. Its first line says how.
#pragma once

#include <cstddef>
#include <deque>
#include <string>

#include "tests/sim/packet.hpp"

namespace post::sim {

// True when the running test has failed so far. The test program's listener sets it
// (tests/sim/failures.cpp); false where there is none.
bool test_failed();
void set_test_failed(bool failed);

class Recorder {
public:
    explicit Recorder(std::string name) : name_(std::move(name)) {}

    void add(const Packet& packet, Verdict verdict);
    // Writes NAME.pcap.txt into the working directory and says so on stderr.
    void write(std::uint64_t seed) const;

private:
    // Beyond it the oldest packets go: the end of a story is what one wants to read.
    static constexpr std::size_t bytes_kept = 64u << 20;

    struct Line {
        Packet packet;
        Verdict verdict;
    };
    std::string name_;
    std::deque<Line> lines_;
    std::size_t bytes_ = 0;
};

}  // namespace post::sim
