// A Context in somebody else's loop: here plain poll(2), which also watches standard input. Each
// line that is typed goes to an echo server and comes back.
//   embed_in_poll PORT PIN      (what the example "echo" prints)
#include <poll.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>

#include <post/post.hpp>

int main(int argc, char** argv) {
    if (argc != 3) return std::fprintf(stderr, "usage: embed_in_poll PORT PIN\n"), 2;
    post::Context context;
    const post::Remote remote("localhost", static_cast<std::uint16_t>(std::atoi(argv[1])));
    auto carrier = context.initiate(remote, {.trust = post::Trust::pinned(argv[2])});
    bool open = true;
    std::size_t waiting = 0;  // lines without their echo
    carrier.on_closed([&](const post::Error& error) {
        std::fprintf(stderr, "closed: %s\n", error.message().c_str());
        open = false;
    });
    carrier.ready([&](post::Carrier&, post::InMessage message) {
        std::printf("echo: %s", message.content().string().c_str());
        --waiting;
        return true;
    });

    bool typing = true;
    while (open && (typing || waiting > 0)) {
        pollfd watched[] = {{context.fd(), POLLIN, 0}, {typing ? STDIN_FILENO : -1, POLLIN, 0}};
        poll(watched, 2, context.timeout());
        if (watched[1].revents != 0) {
            char line[1024];
            const ssize_t size = read(STDIN_FILENO, line, sizeof line);
            if (size <= 0) {
                typing = false;
            } else {
                carrier.send(std::string_view(line, static_cast<std::size_t>(size)));
                ++waiting;
            }
        }
        while (context.turn()) {}
    }
    return open ? 0 : 1;
}
