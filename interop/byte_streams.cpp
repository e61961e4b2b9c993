// Foreign byte streams on post: what nc is to TCP, for the scripts here.
//
//   byte_streams connect HOST PORT STACK ALPN CA [COMMAND...]
//       Stands between standard input and output and the peer: what is read is sent, and what comes
//       is written, until both have ended. With a COMMAND that has the Stream, as a descriptor, for
//       its standard input and output.
//   byte_streams echo PORT STACK ALPN CERT KEY
//       Listens (PORT 0: any) and prints "listening PORT". Sends what comes back, and ends when the
//       peer does. Goes on until it is killed.
//   byte_streams frames PORT
//       The same on tcp for messages behind a length of 32 bits; each comes back in upper case.
//
// STACK: tcp or tls. ALPN: - for none. CERT, KEY, CA: files in PEM; - on tcp.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <post/codec.hpp>
#include <post/framers.hpp>
#include <post/post.hpp>
#include <post/stream.hpp>

#include "number.hpp"

namespace {

post::Policy policy(const std::string& stack) {
    if (stack == "tcp") return {post::Security::none, {post::Stack::tcp}};
    if (stack == "tls") return {post::Security::required, {post::Stack::tls}};
    throw std::invalid_argument("the stack is tcp or tls");
}

void copy(int from, int to) {
    std::string room(64 * 1024, '\0');
    for (ssize_t got; (got = read(from, room.data(), room.size())) > 0;) {
        const char* at = room.data();
        while (got > 0) {
            const ssize_t done = write(to, at, static_cast<std::size_t>(got));
            if (done <= 0) return;
            at += done;
            got -= done;
        }
    }
}

// The descriptor is another thread's or process's, while this one turns the Context.
int connect(const std::vector<std::string>& arguments) {
    post::Context context;
    post::Remote remote(arguments[1], number<std::uint16_t>(arguments[2]));
    remote.set_server_name("localhost");
    post::InitiateOptions options;
    options.policy = policy(arguments[3]);
    if (arguments[4] != "-") options.alpn = arguments[4];
    options.without_alpn = arguments[3] == "tls" && arguments[4] == "-";
    if (arguments[5] != "-") options.trust = post::Trust::authorities_file(arguments[5]);
    auto stream = context.initiate(remote, options).as_stream().value();
    std::string failure;
    stream.on_closed([&](const post::Error& error) {
        if (error != post::Errc::carrier_closed) failure = error.message();
    });
    const int fd = stream.as_descriptor().value();
    if (arguments.size() > 6) {
        std::vector<char*> words;
        for (std::size_t i = 6; i < arguments.size(); ++i)
            words.push_back(const_cast<char*>(arguments[i].c_str()));
        words.push_back(nullptr);
        const pid_t child = fork();
        if (child == 0) {
            dup2(fd, STDIN_FILENO);
            dup2(fd, STDOUT_FILENO);
            execvp(words[0], words.data());
            _exit(127);
        }
        close(fd);
        context.run();
        int status = 1;
        waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    std::thread up([&] {
        copy(STDIN_FILENO, fd);
        shutdown(fd, SHUT_WR);
    });
    std::thread down([&] {
        copy(fd, STDOUT_FILENO);
        close(fd);
    });
    context.run();
    down.join();
    // Nobody is left who would read what is typed on.
    up.detach();
    if (failure.empty()) return 0;
    std::fprintf(stderr, "failed: %s\n", failure.c_str());
    std::_Exit(1);
}

void go_on(std::shared_ptr<post::Stream> stream) {
    stream->read().then([stream](post::Result<post::Bytes> bytes) {
        if (!bytes) return stream->finish();
        stream->write(std::move(*bytes)).then([stream](post::Result<void> done) {
            if (done) go_on(stream);
        });
    });
}

int echo(const std::vector<std::string>& arguments) {
    post::Context context;
    post::Local local{.port = number<std::uint16_t>(arguments[1])};
    post::ListenOptions options;
    options.policy = policy(arguments[2]);
    if (arguments[3] != "-") options.alpn = {arguments[3]};
    options.without_alpn = arguments[3] == "-";
    if (arguments[2] == "tls")
        local.identity = post::Identity::from_files(arguments[4], arguments[5]);
    auto listener = context.listen(local, options);
    listener.accept([](post::Carrier carrier) {
        go_on(std::make_shared<post::Stream>(carrier.as_stream().value()));
        return true;
    });
    std::printf("listening %u\n", unsigned{listener.port()});
    std::fflush(stdout);
    context.run();
    return 0;
}

int frames(std::uint16_t port) {
    post::Context context;
    auto listener = context.listen({.port = port}, {.policy = policy("tcp")});
    using Frames = post::TypedCarrier<post::LengthPrefix>;
    listener.accept([](post::Carrier carrier) {
        Frames typed(std::move(carrier));
        typed.ready([](Frames& self, post::Result<post::Bytes> message) {
            if (!message) return false;
            std::string text = message->string();
            for (char& letter : text) letter = static_cast<char>(std::toupper(letter));
            self.send(text);
            return true;
        });
        return true;
    });
    std::printf("listening %u\n", unsigned{listener.port()});
    std::fflush(stdout);
    context.run();
    return 0;
}

}  // namespace

int main(int count, char** values) {
    const std::vector<std::string> arguments(values + 1, values + count);
    try {
        if (arguments.size() >= 6 && arguments[0] == "connect") return connect(arguments);
        if (arguments.size() == 6 && arguments[0] == "echo") return echo(arguments);
        if (arguments.size() == 2 && arguments[0] == "frames")
            return frames(number<std::uint16_t>(arguments[1]));
        throw std::invalid_argument(
            "usage: connect HOST PORT STACK ALPN CA [COMMAND...] | echo PORT STACK ALPN CERT KEY | "
            "frames PORT");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "failed: %s\n", error.what());
        return 1;
    }
}
