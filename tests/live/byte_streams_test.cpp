// Foreign byte streams on the system's TCP, and Streams as file descriptors: as unchanged code uses
// them, in a thread or a process of its own.
#include <doctest/doctest.h>

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <post/post.hpp>
#include <post/stream.hpp>

namespace post::test {

namespace {

using namespace std::chrono_literals;

Policy policy(Stack stack) {
    return {stack == Stack::tcp ? Security::none : Security::required, {stack}};
}

// A server whose Streams send back what they get, and end when that ends.
struct Echo {
    explicit Echo(Stack on) : identity(Identity::self_signed("127.0.0.1")) {
        ListenOptions options;
        options.policy = policy(on);
        if (on == Stack::tls) options.alpn = {"echo"};
        listener = context.listen({.address = *Address::parse("127.0.0.1"), .identity = identity},
                                  std::move(options));
        listener.accept([](Carrier carrier) {
            Stream stream = carrier.as_stream().value();
            go_on(std::make_shared<Stream>(std::move(stream)));
            return true;
        });
    }
    static void go_on(std::shared_ptr<Stream> stream) {
        auto& self = *stream;
        self.read(256 * 1024).then([stream](Result<Bytes> bytes) {
            if (!bytes) return stream->finish();
            stream->write(std::move(*bytes)).then([stream](Result<void> done) {
                if (done) go_on(stream);
            });
        });
    }
    Carrier connect(Context& from, Stack on, bool foreign = true) const {
        InitiateOptions options;
        options.policy = policy(on);
        options.trust = Trust::pinned(identity.pin());
        if (on == Stack::tls && foreign) options.alpn = "echo";
        return from.initiate(Remote("127.0.0.1", listener.port()), std::move(options));
    }

    Identity identity;
    Context context;
    Listener listener;
};

// Server and client in one thread, for as long as somebody else uses a descriptor.
struct Turning {
    bool until(const std::function<bool()>& done, Duration limit = 15s) {
        const Instant end = one.now() + limit;
        while (!done()) {
            if (one.now() > end) return false;
            const bool more = one.turn();
            if (!other.turn() && !more) std::this_thread::sleep_for(50us);
        }
        return true;
    }
    Context& one;
    Context& other;
};

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
    return text;
}

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t done = ::write(fd, text.data(), text.size());
        if (done <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(done));
    }
    return true;
}

std::string read_all(int fd) {
    std::string all;
    std::string part(64 * 1024, '\0');
    for (ssize_t got; (got = ::read(fd, part.data(), part.size())) > 0;)
        all.append(part, 0, static_cast<std::size_t>(got));
    return all;
}

constexpr std::array stacks{Stack::tcp, Stack::tls, Stack::quic};

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("byte streams: an echo over the system's TCP, forks, and every byte acknowledged") {
        for (const Stack stack : {Stack::tcp, Stack::tls}) {
            CAPTURE(to_string(stack));
            Echo echo(stack);
            Context context;
            Turning turning{echo.context, context};
            auto first = echo.connect(context, stack);
            const std::string text = pattern(700'000);
            std::vector<Carrier> carriers;
            for (int i = 1; i < 8; ++i) carriers.push_back(first.fork());
            carriers.push_back(std::move(first));
            std::vector<std::string> back(carriers.size());
            int acked = 0;
            for (std::size_t i = 0; i < carriers.size(); ++i) {
                carriers[i].ready([&back, i](Carrier&, InMessage message) {
                    back[i] += message.content().view();
                    return true;
                });
                carriers[i].send(
                    text, {}, [&](const Fate& fate) { acked += fate.kind == Fate::Kind::acked; });
                carriers[i].finish();
            }
            CHECK(turning.until([&] { return acked == 8; }));
            CHECK(turning.until([&] {
                return std::all_of(back.begin(), back.end(),
                                   [&](const auto& one) { return one.size() == text.size(); });
            }));
            for (const auto& one : back) CHECK(one == text);
        }
    }

    TEST_CASE("a closed Listener's TCP port is free while its clients live; its UDP port is not") {
        for (const Stack stack : {Stack::tcp, Stack::tls, Stack::quic}) {
            CAPTURE(to_string(stack));
            const auto identity = Identity::self_signed("127.0.0.1");
            Context server;
            const auto listen = [&](std::uint16_t port) {
                ListenOptions options;
                options.policy = policy(stack);
                Local local{.port = port, .identity = identity};
                local.address = *Address::parse("127.0.0.1");
                return server.try_listen(local, std::move(options));
            };
            const auto echo = [&](Listener& listener) {
                listener.accept([](Carrier carrier) {
                    carrier.ready([](Carrier& from, InMessage message) {
                        from.send(std::move(message).content());
                        return true;
                    });
                    return true;
                });
            };
            std::string back;
            const auto ask = [&](Context& client, std::uint16_t port) {
                InitiateOptions options;
                options.policy = policy(stack);
                options.trust = Trust::pinned(identity.pin());
                Carrier carrier = client.initiate(Remote("127.0.0.1", port), std::move(options));
                carrier.ready([&](Carrier&, InMessage message) {
                    back += message.content().view();
                    return true;
                });
                carrier.send("hello ");
                return carrier;
            };
            Listener listener = listen(0).value();
            echo(listener);
            const std::uint16_t port = listener.port();
            auto client = std::make_unique<Context>();
            Context later;
            Carrier first = ask(*client, port);
            REQUIRE(Turning{server, *client}.until([&] { return back == "hello "; }));
            listener.close();
            server.turn();
            auto second = listen(port);
            CHECK(static_cast<bool>(second) == (stack != Stack::quic));
            if (!second) CHECK(second.error() == Errc::address_in_use);
            first.send("again");
            REQUIRE(Turning{server, *client}.until([&] { return back == "hello again"; }));
            first = {};
            client.reset();
            const auto free = [&] {
                if (!second) second = listen(port);
                return static_cast<bool>(second);
            };
            REQUIRE(Turning{server, later}.until(free));
            echo(*second);
            back.clear();
            first = ask(later, port);
            CHECK(Turning{server, later}.until([&] { return back == "hello "; }));
        }
    }

    TEST_CASE("a descriptor reads and writes what its stream does, to the last byte") {
        for (const Stack stack : stacks) {
            CAPTURE(to_string(stack));
            Echo echo(stack);
            Context context;
            Turning turning{echo.context, context};
            Stream stream = echo.connect(context, stack).as_stream().value();
            const int fd = stream.as_descriptor().value();
            CHECK_FALSE(stream);
            const std::string text = pattern(9'000'000);
            std::string back;
            std::atomic<bool> done = false;
            std::thread reader([&] {
                back = read_all(fd);
                ::close(fd);
                done = true;
            });
            std::thread writer([&] {
                write_all(fd, text);
                ::shutdown(fd, SHUT_WR);
            });
            CHECK(turning.until([&] { return done.load(); }));
            writer.join();
            reader.join();
            CHECK(back == text);
            context.run();  // nothing is left to wait for
        }
    }

    TEST_CASE("a descriptor of plain TCP is the connection itself") {
        Echo echo(Stack::tcp);
        Context context;
        Turning turning{echo.context, context};
        Stream stream = echo.connect(context, Stack::tcp).as_stream().value();
        auto active = stream.activate();
        REQUIRE(turning.until([&] { return active.ready(); }));
        const int fd = stream.as_descriptor().value();
        sockaddr_storage address{};
        socklen_t size = sizeof(address);
        REQUIRE(getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        CHECK(address.ss_family == AF_INET);
        CHECK(write_all(fd, "without a context"));
        CHECK(shutdown(fd, SHUT_WR) == 0);
        std::atomic<bool> done = false;
        std::string back;
        std::thread reader([&] {
            back = read_all(fd);
            done = true;
        });
        // The client's Context need not turn.
        CHECK(turning.until([&] { return done.load(); }));
        reader.join();
        ::close(fd);
        CHECK(back == "without a context");
    }

    TEST_CASE("an unchanged program talks through a descriptor, and its last words arrive") {
        for (const Stack stack : stacks) {
            CAPTURE(to_string(stack));
            Echo echo(stack);
            Context context;
            Turning turning{echo.context, context};
            // The server's end of `cat`: it is sent a file, and what comes back is compared.
            Stream stream = echo.connect(context, stack).as_stream().value();
            const int fd = stream.as_descriptor().value();
            char name[] = "/tmp/post_descriptor_XXXXXX";
            const int file = mkstemp(name);
            REQUIRE(file >= 0);
            unlink(name);
            const std::string text = pattern(3'000'000);
            REQUIRE(write_all(file, text));
            std::atomic<bool> done = false;
            std::string back;
            std::thread user([&] {
                off_t at = 0;
                while (at < static_cast<off_t>(text.size()))
                    if (sendfile(fd, file, &at, text.size()) <= 0) break;
                shutdown(fd, SHUT_WR);
            });
            int pipe_ends[2];
            REQUIRE(pipe(pipe_ends) == 0);
            const pid_t cat = fork();
            if (cat == 0) {
                dup2(fd, 0);
                dup2(pipe_ends[1], 1);
                ::close(pipe_ends[0]);
                execlp("cat", "cat", nullptr);
                _exit(127);
            }
            ::close(pipe_ends[1]);
            std::thread reader([&] {
                back = read_all(pipe_ends[0]);
                done = true;
            });
            CHECK(turning.until([&] { return done.load(); }));
            user.join();
            reader.join();
            int status = 0;
            CHECK(waitpid(cat, &status, 0) == cat);
            CHECK(status == 0);
            ::close(fd);
            ::close(file);
            ::close(pipe_ends[0]);
            CHECK(back == text);
        }
    }

    TEST_CASE(
        "a descriptor that nobody reads holds back its peer, and one that is closed lets go") {
        Echo echo(Stack::quic);
        Context context;
        Turning turning{echo.context, context};
        Stream stream = echo.connect(context, Stack::quic).as_stream().value();
        const int fd = stream.as_descriptor().value();
        std::atomic<std::size_t> written = 0;
        std::atomic<bool> over = false;
        std::thread writer([&] {
            const std::string part(64 * 1024, 'x');
            while (send(fd, part.data(), part.size(), MSG_NOSIGNAL) ==
                   static_cast<ssize_t>(part.size()))
                written += part.size();
            over = true;
        });
        turning.until([] { return false; }, 2s);
        const std::size_t stuck = written;
        turning.until([] { return false; }, 1s);
        CHECK(written == stuck);  // of an endless stream no more than the buffers hold
        CHECK(stuck < 40'000'000);
        shutdown(fd, SHUT_RDWR);
        CHECK(turning.until([&] { return over.load(); }));
        writer.join();
        ::close(fd);
    }

    TEST_CASE("who writes to a descriptor whose stream was aborted is told") {
        const Identity identity = Identity::self_signed("127.0.0.1");
        Context server, context;
        auto listener = server.listen(
            {.address = *Address::parse("127.0.0.1"), .identity = identity},
            {.policy = policy(Stack::quic)});
        listener.accept([](Carrier carrier) {
            carrier.abort();
            return true;
        });
        Turning turning{server, context};
        InitiateOptions options;
        options.policy = policy(Stack::quic);
        options.trust = Trust::pinned(identity.pin());
        auto carrier = context.initiate(Remote("127.0.0.1", listener.port()), std::move(options));
        const int fd = carrier.as_stream().value().as_descriptor().value();
        std::atomic<int> error = 0;
        std::thread writer([&] {
            const std::string part(1000, 'x');
            while (send(fd, part.data(), part.size(), MSG_NOSIGNAL) > 0)
                std::this_thread::sleep_for(1ms);
            error = errno;
        });
        CHECK(turning.until([&] { return error != 0; }));
        writer.join();
        CHECK((error == EPIPE || error == ECONNRESET));
        ::close(fd);
    }

    TEST_CASE("on_closed tells an aborted stream from one that ended, where a descriptor cannot") {
        for (const bool aborts : {true, false}) {
            CAPTURE(aborts);
            const Identity identity = Identity::self_signed("127.0.0.1");
            Context server, context;
            auto listener = server.listen(
                {.address = *Address::parse("127.0.0.1"), .identity = identity},
                {.policy = policy(Stack::quic)});
            Carrier taken;
            listener.accept([&](Carrier carrier) {
                taken = std::move(carrier);
                return true;
            });
            Turning turning{server, context};
            InitiateOptions options;
            options.policy = policy(Stack::quic);
            options.trust = Trust::pinned(identity.pin());
            auto carrier = context.initiate(Remote("127.0.0.1", listener.port()),
                                            std::move(options));
            auto stream = carrier.as_stream().value();
            std::optional<Error> reason;
            stream.on_closed([&](const Error& error) { reason = error; });
            const int fd = stream.as_descriptor().value();
            REQUIRE(write_all(fd, "hello"));
            REQUIRE(turning.until([&] { return static_cast<bool>(taken); }));
            auto answer = taken.as_stream().value();
            answer.write("tail");
            bool read = false;
            answer.ready([&](Stream&, Bytes) { return read = true; });
            REQUIRE(turning.until([&] { return read; }));
            if (aborts)
                answer.abort();
            else
                answer.close();
            std::atomic<bool> ended = false;
            std::string got;
            std::thread reader([&] {
                got = read_all(fd);
                ended = true;
                ::shutdown(fd, SHUT_WR);
            });
            CHECK(turning.until([&] { return ended && reason; }));
            reader.join();
            if (!aborts) CHECK(got == "tail");
            REQUIRE(reason);
            CHECK((*reason == Errc::carrier_closed) == !aborts);
            ::close(fd);
        }
    }

    TEST_CASE("a pumped descriptor is not much slower than its Carrier") {
        const auto timed = [](bool descriptor) {
            Echo echo(Stack::quic);
            Context context;
            Turning turning{echo.context, context};
            Stream stream = echo.connect(context, Stack::quic).as_stream().value();
            constexpr std::size_t size = 64 * 1024 * 1024;
            std::atomic<std::size_t> got = 0;
            const auto begin = std::chrono::steady_clock::now();
            std::thread writer, reader;
            int fd = -1;
            std::function<void()> write_on;
            const std::string part(256 * 1024, 'x');
            if (descriptor) {
                fd = stream.as_descriptor().value();
                writer = std::thread([&] {
                    for (std::size_t i = 0; i < size / part.size(); ++i) write_all(fd, part);
                });
                reader = std::thread([&] {
                    std::string room(256 * 1024, '\0');
                    while (got < size) {
                        const ssize_t more = ::read(fd, room.data(), room.size());
                        if (more <= 0) break;
                        got += static_cast<std::size_t>(more);
                    }
                });
            } else {
                stream.ready([&](Stream&, Bytes bytes) {
                    got += bytes.size();
                    return true;
                });
                auto left = std::make_shared<std::size_t>(size / part.size());
                write_on = [&, left] {
                    if ((*left)-- == 0) return;
                    stream.write(std::string(part)).then([&](Result<void>) { write_on(); });
                };
                write_on();
            }
            CHECK(turning.until([&] { return got >= size; }, 120s));
            if (descriptor) writer.join(), reader.join(), ::close(fd);
            return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        };
        const double carrier = timed(false);
        const double pumped = timed(true);
        MESSAGE("64 MiB there and back: " << carrier << " s, through a descriptor " << pumped
                                          << " s: " << carrier / pumped);
    }
}

}  // namespace post::test
