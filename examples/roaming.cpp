// A transfer that changes its network twice on the way, and stays one connection: two machines with
// two cables between them, of which the better one is pulled, and later put in again.
//
//   roaming [MEGABYTES]
//
// The machines are two network namespaces that it makes itself (Linux; ip of iproute2), so that
// nothing of the real network is touched. For that it has to be root, of a user namespace at least:
//
//   unshare --user --map-root-user roaming
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <post/coro.hpp>
#include <post/post.hpp>

namespace {

constexpr std::uint16_t port = 4433;
constexpr std::size_t piece = 64 * 1024;

bool run(const std::string& command) {
    const int status = std::system((command + " > /dev/null 2>&1").c_str());
    if (status != 0) std::fprintf(stderr, "failed: %s\n", command.c_str());
    return status == 0;
}

// near0 and near1 here, far0 and far1 there; the server's own address is behind both.
bool lay_cables(pid_t there) {
    for (const char* n : {"0", "1"}) {
        const std::string near = std::string("near") + n;
        if (!run("ip link add " + near + " type veth peer name far" + n + " netns " +
                 std::to_string(there)))
            return false;
    }
    return run("ip link set lo up");
}

bool set_up(const std::string& n, bool here) {
    const std::string name = (here ? "near" : "far") + n;
    return run("ip addr replace 10.1" + n + ".0." + (here ? "1" : "2") + "/24 dev " + name) &&
           run("ip link set " + name + " up") &&
           (!here ||
            run("ip route replace default via 10.1" + n + ".0.2 dev near" + n + " metric 1" + n));
}

// The other machine: counts what it gets, and says so at the end of it.
post::Task<> count(post::Carrier carrier) {
    std::uint64_t bytes = 0;
    while (auto message = co_await carrier.receive()) bytes += message->content().size();
    co_await carrier.send(std::to_string(bytes));
    carrier.finish();
}

int serve(int from, int to) {
    char go = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(CLONE_NEWNET) != 0 || write(to, "u", 1) != 1 || read(from, &go, 1) != 1) return 1;
    if (!run("ip link set lo up") || !run("ip addr add 10.9.0.1/32 dev lo") ||
        !set_up("0", false) || !set_up("1", false))
        return 1;
    post::Context context;
    const auto identity = post::Identity::self_signed("far");
    auto listener = context.listen({.port = port, .identity = identity});
    listener.accept([](post::Carrier carrier) {
        count(std::move(carrier));
        return true;
    });
    const std::string pin = identity.pin() + "\n";
    if (write(to, pin.data(), pin.size()) != static_cast<ssize_t>(pin.size())) return 1;
    context.run();
    return 0;
}

class Transfer {
public:
    Transfer(post::Context& context, const std::string& pin, std::uint64_t size)
        : context_(context), size_(size), began_(context.now()) {
        post::InitiateOptions options;
        options.trust = post::Trust::pinned(pin);
        options.policy.stacks = {post::Stack::quic};
        carrier_ = context.initiate("post://10.9.0.1:" + std::to_string(port), options);
        carrier_.on_path([this](const post::Path& path) {
            ++moves_;
            say("it goes on from %s, after %.1f ms; not a byte of it was lost",
                path.local.ip_string().c_str(), milliseconds(context_.now() - changed_));
        });
    }

    post::Task<> run() {
        if (auto made = co_await carrier_.activate(); !made) {
            fail(made.error());
            co_return;
        }
        say("established from %s", carrier_.association().paths()[0].local.ip_string().c_str());
        const post::Bytes content(std::string(piece, 'p'));
        std::uint64_t sent = 0;
        // As long as it takes until both changes are behind us.
        while (sent < size_ || (moves_ < 2 && milliseconds(context_.now() - began_) < 30000)) {
            if (auto taken = co_await carrier_.send(post::Bytes(content)); !taken) {
                fail(taken.error());
                co_return;
            }
            sent += content.size();
            if (changes_ == 0 && sent > size_ / 3) change("near0 is taken down");
            if (changes_ == 1 && moves_ == 1 && sent > 2 * (size_ / 3)) change("near0 is back");
        }
        carrier_.finish();
        auto answer = co_await carrier_.receive();
        if (!answer) {
            fail(answer.error());
            co_return;
        }
        const auto path = carrier_.association().paths()[0];
        say("the other side has %s of %llu bytes, over one connection and %d paths",
            answer->content().string().c_str(), static_cast<unsigned long long>(sent), moves_ + 1);
        say("this path: round trip %.2f ms (least %.2f), %llu packets, %.2f %% lost, %.0f MB/s "
            "delivered",
            milliseconds(path.smoothed_rtt), milliseconds(path.minimum_rtt),
            static_cast<unsigned long long>(path.packets_sent), path.loss * 100,
            static_cast<double>(path.delivery_rate) / 1e6);
        complete_ = answer->content().string() == std::to_string(sent) && moves_ >= 2;
        carrier_.close();
    }
    bool complete() const { return complete_; }

private:
    void change(const char* what) {
        changed_ = context_.now();
        say(what);
        if (changes_++ == 0)
            ::run("ip link set near0 down");
        else
            set_up("0", true);
    }
    void fail(const post::Error& error) {
        say("%s", error.message().c_str());
        std::printf("%s\n", error.detail.string().c_str());
    }
    static double milliseconds(post::Duration time) {
        return std::chrono::duration<double, std::milli>(time).count();
    }
    template <class... Values> void say(const char* format, Values... values) {
        std::printf("%8.1f ms  ", milliseconds(context_.now() - began_));
        std::printf(format, values...);
        std::printf("\n");
        std::fflush(stdout);
    }
    void say(const char* text) { say("%s", text); }

    post::Context& context_;
    post::Carrier carrier_;
    std::uint64_t size_;
    post::Instant began_;
    post::Instant changed_{};
    int changes_ = 0;
    int moves_ = 0;
    bool complete_ = false;
};

std::string read_line(int from) {
    std::string line;
    for (char c = 0; read(from, &c, 1) == 1 && c != '\n';) line += c;
    return line;
}

}  // namespace

int main(int argc, char** argv) {
    const std::uint64_t size = std::strtoull(argc > 1 ? argv[1] : "256", nullptr, 10) << 20;
    if (size == 0) {
        std::fprintf(stderr, "usage: roaming [MEGABYTES]\n");
        return 2;
    }
    int down[2];
    int up[2];
    if (unshare(CLONE_NEWNET) != 0 || pipe(down) != 0 || pipe(up) != 0) {
        std::fprintf(stderr,
                     "roaming: no network of its own (%s): it has to be root, of a user namespace "
                     "at least:\n  unshare --user --map-root-user %s\n",
                     std::strerror(errno), argv[0]);
        return 77;
    }
    const pid_t there = fork();
    if (there == 0) return serve(down[0], up[1]);
    close(up[1]);
    char unshared = 0;
    if (there < 0 || read(up[0], &unshared, 1) != 1 || !lay_cables(there) ||
        write(down[1], "g", 1) != 1) {
        std::fprintf(stderr, "roaming: two machines could not be made; is ip (iproute2) there?\n");
        return 77;
    }
    const std::string pin = read_line(up[0]);
    if (pin.empty() || !set_up("0", true) || !set_up("1", true)) return 1;
    bool complete = false;
    {
        post::Context context;
        Transfer transfer(context, pin, size);
        transfer.run();
        context.run();
        complete = transfer.complete();
    }
    kill(there, SIGTERM);
    waitpid(there, nullptr, 0);
    return complete ? 0 : 1;
}
