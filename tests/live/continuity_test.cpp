// Continuity over the system's own network: a firewall (nft, in a network namespace of the test)
// takes away what a transfer goes over, and the process of the server is killed. Two processes, one
// of which is this one.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <post/post.hpp>

#include "tests/live/namespace.hpp"

namespace post::test {

namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""us;

constexpr std::uint16_t port = 4433;
constexpr Duration longest = 10s;  // a story
constexpr Duration outage = 500ms;
constexpr Bounds lasting{.continuity = 30s};

// What the server's application was given.
struct Given {
    std::uint32_t carrier;  // as they were accepted
    std::uint32_t number;
    bool operator==(const Given&) const = default;
};

std::uint32_t number_of(InMessage& message) {
    return static_cast<std::uint32_t>(std::stoul(std::string(message.view().substr(0, 8))));
}

// A server in a process of its own, which answers each message with its number, and writes down
// what it is given; it begins when it is told to.
class Server {
public:
    explicit Server(const Identity& identity) {
        int told[2];
        int tells[2];
        REQUIRE(pipe(told) == 0);
        REQUIRE(pipe(tells) == 0);
        process_ = fork();
        REQUIRE(process_ >= 0);
        if (process_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(told[1]);
            char go = 0;
            if (read(told[0], &go, 1) == 1) serve(identity, tells[1]);
            _exit(0);
        }
        close(told[0]);
        close(tells[1]);
        tell_ = told[1];
        hear_ = tells[0];
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server() {
        end();
        close(tell_);
        close(hear_);
    }

    // It listens when this returns.
    void begin() {
        REQUIRE(write(tell_, "g", 1) == 1);
        Given ready{};
        REQUIRE(read(hear_, &ready, sizeof(ready)) == sizeof(ready));
    }
    // As if the machine had lost its power, but for its sockets.
    void end() {
        if (process_ <= 0) return;
        kill(process_, SIGKILL);
        waitpid(std::exchange(process_, -1), nullptr, 0);
    }
    // When it has ended.
    std::vector<Given> given() const {
        std::vector<Given> all;
        for (Given one{}; read(hear_, &one, sizeof(one)) == sizeof(one);) all.push_back(one);
        return all;
    }

private:
    static void serve(const Identity& identity, int tell) {
        const auto say = [tell](Given one) {
            if (write(tell, &one, sizeof(one)) != sizeof(one)) _exit(1);
        };
        Context context;
        auto listener = context.listen({.port = port, .identity = identity}, {.bounds = lasting});
        std::uint32_t carriers = 0;
        listener.accept([&](Carrier carrier) {
            carrier.ready([&, which = carriers++](Carrier& from, InMessage message) {
                const std::uint32_t number = number_of(message);
                say({which, number});
                from.send(std::to_string(number));
                return true;
            });
            return true;
        });
        say({});
        context.run();
    }

    pid_t process_ = -1;
    int tell_ = -1;
    int hear_ = -1;
};

// Numbered messages on some Carriers of one Association, never more than there is room for.
struct Transfer {
    static constexpr std::uint32_t count = 400;  // a Carrier
    static constexpr std::size_t size = 20'000;

    struct Sent {
        std::vector<Fate> ends;
        bool over() const { return !ends.empty(); }
    };

    Transfer(const Identity& identity, std::size_t carriers) : all(carriers), answers(carriers) {
        lines.push_back(context.initiate(Remote("127.0.0.1", port),
                                         {.policy = {.stacks = {Stack::quic, Stack::tls}},
                                          .trust = Trust::pinned(identity.pin()),
                                          .bounds = lasting}));
        while (lines.size() < carriers) lines.push_back(lines.front().fork());
        for (std::size_t i = 0; i < carriers; ++i) {
            lines[i].ready([this, i](Carrier&, InMessage answer) {
                answers[i].push_back(
                    static_cast<std::uint32_t>(std::stoul(std::string(answer.view()))));
                return true;
            });
            lines[i].on_closed([this](const Error& error) { closed = error; });
        }
        context.on_unhandled([this](const Error& error) { unhandled.push_back(error); });
    }
    static bool is_idempotent(std::uint32_t number) { return number % 3 == 0; }
    void send() {
        for (std::size_t i = 0; i < lines.size(); ++i)
            while (lines[i].writable() && all[i].size() < count) {
                const auto number = static_cast<std::uint32_t>(all[i].size());
                std::string text = std::to_string(number);
                text.insert(0, 8 - text.size(), '0');
                text.resize(size, 'x');
                all[i].emplace_back();
                lines[i].send(std::move(text), {.idempotent = is_idempotent(number)},
                              [this, i, number](const Fate& fate) {
                                  if (fate.kind == Fate::Kind::sent) return;
                                  all[i][number].ends.push_back(fate);
                                  ++over;
                              });
            }
    }
    bool until(const std::function<bool()>& done) {
        const Instant end = began + longest;
        while (!done()) {
            if (context.now() > end) return false;
            send();
            if (!context.turn()) std::this_thread::sleep_for(200us);
        }
        return true;
    }
    bool until_over(std::size_t part) {
        return until([&] { return over >= count * lines.size() / part; });
    }
    bool until_answered() {
        return until([&] {
            std::size_t answered = 0;
            for (const auto& line : answers) answered += line.size();
            return over == count * lines.size() && answered == over;
        });
    }
    Association association() const { return lines.front().association(); }
    std::string standing() const {
        std::string text = std::to_string(over) + " messages are over, " + closed.message() + ", " +
                           to_string(association().activity()) + ", " +
                           to_string(association().stack());
        for (std::size_t i = 0; i < lines.size(); ++i)
            text += "; " + std::to_string(all[i].size()) + " sent, " +
                    std::to_string(answers[i].size()) + " answered";
        return text;
    }
    Duration taken() const { return context.now() - began; }

    std::vector<Carrier> lines;
    std::vector<std::vector<Sent>> all;
    std::vector<std::vector<std::uint32_t>> answers;
    std::size_t over = 0;
    Error closed;
    std::vector<Error> unhandled;
    Context context;  // the first to go: it tells fates then
    Instant began = context.now();
};

// What arrives is dropped, or refused; who sends is not told. False: there is no such firewall.
bool firewall(const char* rule) {
    const std::string rules =
        "nft flush ruleset && nft 'add table inet wall' && "
        "nft 'add chain inet wall input { type filter hook input priority 0; }' && "
        "nft 'add rule inet wall input " +
        std::string(rule) + "'";
    return std::system(("PATH=$PATH:/usr/sbin:/sbin; { " + rules + "; } 2> /dev/null").c_str()) ==
           0;
}
constexpr const char* no_udp = "meta l4proto udp drop";
constexpr const char* no_tcp = "meta l4proto tcp reject with tcp reset";

// In a network of its own, which has such a firewall.
void with_firewall(const std::function<void()>& story) {
    bool walls = false;
    const bool there = in_namespace([&] {
        walls = firewall("accept");
        if (walls) story();
    });
    if (!there)
        MESSAGE("skipped: no network namespace of our own (root, and iproute2)");
    else if (!walls)
        MESSAGE("skipped: no nft, or a kernel without nftables");
}

std::vector<std::uint32_t> of(const std::vector<Given>& given, std::uint32_t carrier) {
    std::vector<std::uint32_t> numbers;
    for (const Given& one : given)
        if (one.carrier == carrier) numbers.push_back(one.number);
    return numbers;
}

// Each of them once, and in order.
bool complete(const std::vector<std::uint32_t>& numbers) {
    for (std::uint32_t i = 0; i < numbers.size(); ++i)
        if (numbers[i] != i) return false;
    return numbers.size() == Transfer::count;
}

// The transfer begins over one stack and is done over the other.
void goes_on(const char* before, Stack first, const char* after, Stack second) {
    const Identity identity = Identity::self_signed("localhost");
    Server server(identity);
    server.begin();
    REQUIRE(firewall(before));
    Transfer transfer(identity, 3);
    REQUIRE(transfer.until_over(4));
    CHECK(transfer.association().stack() == first);
    REQUIRE(firewall(after));
    const bool whole = transfer.until_answered();
    INFO(transfer.standing());
    REQUIRE(whole);
    CHECK(transfer.association().stack() == second);
    CHECK_FALSE(transfer.closed);
    CHECK(transfer.unhandled.empty());
    server.end();
    const auto given = server.given();
    for (std::size_t i = 0; i < transfer.lines.size(); ++i) {
        for (const auto& sent : transfer.all[i]) {
            REQUIRE(sent.ends.size() == 1);
            CHECK(sent.ends[0].kind == Fate::Kind::acked);
        }
        CHECK(complete(transfer.answers[i]));
        CHECK(complete(of(given, static_cast<std::uint32_t>(i))));
    }
}

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("continuity: a firewall drops UDP in the middle of a transfer, and tls goes on") {
        with_firewall([] { goes_on("accept", Stack::quic, no_udp, Stack::tls); });
    }

    TEST_CASE("continuity: a firewall resets TCP in the middle of a transfer, and quic goes on") {
        with_firewall([] { goes_on(no_udp, Stack::tls, no_tcp, Stack::quic); });
    }

    TEST_CASE("continuity: a server is killed in the middle of a transfer, and started anew") {
        const bool there = in_namespace([] {
            const Identity identity = Identity::self_signed("localhost");
            Server first(identity);
            Server second(identity);
            first.begin();
            Transfer transfer(identity, 1);
            REQUIRE(transfer.until_over(4));
            first.end();
            // Meanwhile nobody is there: attempts are refused.
            const Instant killed = transfer.context.now();
            transfer.until([&] { return transfer.context.now() > killed + outage; });
            second.begin();
            const bool over = transfer.until_over(1);
            INFO(transfer.standing());
            REQUIRE(over);
            CHECK(transfer.lines[0].is_active());
            CHECK_FALSE(transfer.closed);
            second.end();

            const auto before = of(first.given(), 0);
            const auto given = second.given();
            const auto after = of(given, 0);
            REQUIRE_FALSE(after.empty());
            CHECK(after.size() == given.size());
            std::map<std::uint32_t, int> times;
            for (std::uint32_t i = 0; i < before.size(); ++i) {
                REQUIRE(before[i] == i);
                ++times[i];
            }
            for (std::size_t i = 0; i < after.size(); ++i) {
                CAPTURE(after[i]);
                if (i > 0) CHECK(after[i - 1] < after[i]);
                const bool twice = times[after[i]]++ > 0;
                CHECK((!twice || Transfer::is_idempotent(after[i])));
            }
            std::size_t failed = 0;
            for (std::uint32_t number = 0; number < Transfer::count; ++number) {
                CAPTURE(number);
                const auto& ends = transfer.all[0][number].ends;
                REQUIRE(ends.size() == 1);
                if (ends[0].kind == Fate::Kind::acked) {
                    CHECK(times[number] > 0);
                    continue;
                }
                ++failed;
                CHECK(ends[0].kind == Fate::Kind::failed);
                CHECK(ends[0].maybe_delivered);
                CHECK_FALSE(Transfer::is_idempotent(number));
                CHECK(std::find(after.begin(), after.end(), number) == after.end());
            }
            CHECK(failed > 0);
        });
        if (!there) MESSAGE("skipped: no network namespace of our own (root, and iproute2)");
    }
}

}  // namespace post::test
