// Engine: a Context's part of the process's one SCTP stack. usrsctp is global: its state, its
// timers and its one output function serve every association of the process, whatever thread it
// belongs to. The Engine gives each Context its own view of it:
//
//   * An association stands at a Line, whose number is what usrsctp takes for an address. What
//     usrsctp sends there is queued at the Line, and nothing is done inside its callbacks.
//   * The timers of all are run by whichever Context comes first, at most every 10 ms; what they
//     cause for another Context is handed over under the process's lock, and that Context woken.
//
// Threads: an Engine belongs to one thread. Several live side by side.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include <post/function.hpp>
#include <post/time.hpp>

#include "mappings/sctp/commons.hpp"
#include "mappings/sctp/packet_queue.hpp"
#include "mappings/values.hpp"

struct socket;

namespace post::sctp {

// What usrsctp takes for an address: the Engine's number in the upper bits, small integers below,
// so that runs can be repeated.
using LineId = Strong<struct LineTag, std::uint64_t>;

struct Line {
    LineId id;
    TransientId transient;
    PacketQueue packets;
    NewData sent;
    // How large a packet may become by joining, and one with data that were sent before: what is
    // lost for its size alone has to get through some time.
    std::size_t joined = 1200;
    std::size_t joined_again = 1200;
    bool touched = false;     // something happened since poll_touched
    bool news = false;        // there may be something to read
    bool sent_again = false;  // data left that had left before
};

class Engine {
public:
    // `wake`: called from other threads, when something waits for this one.
    explicit Engine(Function<void()> wake);
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    ~Engine();

    Line& open_line(TransientId transient);
    // The line of a number that the caller made up, for those that come uncalled (RFC 6951).
    Line& open_line(std::uint64_t number, TransientId transient);
    Line* find(std::uint64_t number);
    void close_line(Line& line);
    LineId id_of(std::uint64_t number) const { return LineId{index_ << number_bits | number}; }

    // A port of usrsctp's for a listener at no line, of which the process has each once: the lowest
    // that is free. Clients take theirs above all of them.
    static std::uint16_t open_port();
    static void close_port(std::uint16_t port);
    static constexpr std::uint16_t first_client_port = 0x8000;

    // A packet whose checksum fits. What usrsctp answers stands at the line then, or, where the
    // number has none, in strays().
    void input(LineId line, std::span<const std::byte> packet, Ecn ecn);
    PacketQueue& strays() { return strays_; }
    Commons& commons() { return commons_; }

    // Runs timers that are due, and takes over what other threads queued for us.
    void tick(Instant now);
    // When tick() is wanted; never while there is no line.
    Instant deadline() const;
    // The connections that something happened to, each once.
    void poll_touched(std::vector<TransientId>& touched);

    // While one lives, what usrsctp says is for this Engine.
    class Entry {
    public:
        explicit Entry(Engine& engine);
        ~Entry();
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;

    private:
        Engine* before_;
    };

    // For usrsctp: the line's number is what it was told with the socket.
    static void on_upcall(struct socket*, void* line, int);

    static constexpr int number_bits = 48;
    static constexpr Duration tick_interval = std::chrono::milliseconds(10);

private:
    friend struct Process;
    struct Foreign {
        std::uint64_t number;
        std::vector<std::byte> packet;  // empty: an upcall
        Ecn ecn;
    };

    void take(std::uint64_t number, std::span<const std::byte> packet, Ecn ecn);
    void touch(Line& line);
    void take_foreign();

    Function<void()> wake_;
    std::uint64_t index_ = 0;
    std::uint64_t next_number_ = 1;
    std::unordered_map<std::uint64_t, std::unique_ptr<Line>> lines_;
    std::vector<std::uint64_t> touched_;  // numbers of lines
    PacketQueue strays_;
    Commons commons_;
    std::uint64_t stranger_ = 0;    // whose packet usrsctp has now; 0: nobody's
    std::vector<Foreign> foreign_;  // under the process's lock
    std::atomic<bool> foreign_waits_{false};
};

}  // namespace post::sctp
