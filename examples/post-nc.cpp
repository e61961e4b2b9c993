// post-nc is to Carriers what nc is to TCP: standard input goes to the peer, what the peer says to
// standard output. A line is a message; with --morph bytes are bytes.
//   post-nc -l 4433                                  prints how to reach it
//   post-nc --pin sha256//... post://localhost:4433
//   post-nc --exec 'tar x' -l 4433                   a command's input and output instead of ours
//   post-nc --plan post://localhost:4433             what would be tried, and why
//   post-nc --local eth0 post://localhost:4433       out by this interface alone
//   post-nc --dscp 46 post://localhost:4433          every packet asks for haste (RFC 4594)
//   post-nc --store FILE post://localhost:4433       resumes what an earlier one left in the file
//   post-nc --store FILE --associations              what is kept there
// Ends when both sides have ended. 0: in good order; 1: what went wrong is on standard error.
#include <getopt.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <post/post.hpp>
#include <post/stream.hpp>

namespace {

struct Wanted {
    std::optional<std::uint16_t> listen;
    post::Local local;
    std::vector<post::Remote> peers;
    post::Policy policy;
    post::Trust trust;
    std::string certificate, key, alpn;
    std::string command;
    bool morph = false;
    bool report = false;
    bool plan = false;
    std::string store;
    bool associations = false;
    std::optional<std::string> forget;
};

const char* const usage =
    "usage: post-nc [OPTIONS] URL...      to a peer: post://HOST[:PORT], tcp://HOST:PORT, ...\n"
    "       post-nc [OPTIONS] -l PORT     from the first peer that comes\n"
    "  -s, --stack NAME    only this one: quic, sctp-dtls, sctp-udp, tls, tcp, udp; again\n"
    "                      for several; tcp, udp and sctp-udp hide nothing from anybody\n"
    "  -p, --pin PIN       believe the peer that has this key\n"
    "  -c, --ca FILE       believe these authorities, and not the system's\n"
    "  -C, --cert FILE     our certificates, and with\n"
    "  -k, --key FILE      their private key; a listener without makes its own\n"
    "  -a, --alpn NAME     the peer's own protocol, not Post\n"
    "  -m, --morph         bytes as they come, not a message a line\n"
    "  -x, --exec COMMAND  the peer talks to this command, and not to us\n"
    "  -L, --local LOCAL   by this interface or from this address and these ports: eth0,\n"
    "                      192.0.2.7:4000-4010, eth0:4000; again for several interfaces\n"
    "  -D, --dscp NUMBER   in all packets that leave, 0 to 63: 46 for voice, 1 for what yields\n"
    "                      to all others\n"
    "  -r, --report        how the connection was made, on standard error\n"
    "  -n, --plan          only says what would be tried\n"
    "  -S, --store FILE    keeps there what makes the next connection faster: tickets, tokens,\n"
    "                      who won; the folder is to be ours alone (mode 0700)\n"
    "  -A, --associations  only lists what is kept in FILE\n"
    "  -F, --forget URL    forgets what is kept in FILE of this peer, or of \"all\"\n";

[[noreturn]] void fail(const std::string& text) {
    std::fprintf(stderr, "%s\n", text.c_str());
    std::exit(1);
}

void say(const post::Error& error) {
    std::fprintf(stderr, "%s\n%s\n", error.message().c_str(), error.detail.string().c_str());
}

post::Stack stack_named(const char* name) {
    if (const auto stack = post::stack_of(name)) return *stack;
    fail(std::string("no stack is called ") + name + "\n" + usage);
}

bool secured(post::Stack stack) {
    return stack == post::Stack::quic || stack == post::Stack::sctp_dtls ||
           stack == post::Stack::tls;
}

std::uint8_t dscp_of(const char* text) {
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 0 || value > 63)
        fail(std::string("--dscp is a number from 0 to 63, and not ") + text);
    return static_cast<std::uint8_t>(value);
}

// Of several, each adds what it says.
void add_local(post::Local& local, const char* text) {
    const auto more = post::Local::parse(text);
    if (!more) fail(more.error().detail.string());
    local.interfaces.insert(local.interfaces.end(), more->interfaces.begin(),
                            more->interfaces.end());
    if (more->address.family != post::Address::Family::none) local.address = more->address;
    if (more->port == 0) return;
    local.port = more->port;
    local.last_port = more->last_port;
}

Wanted parse(int argc, char** argv) {
    static const option options[] = {{"listen", required_argument, nullptr, 'l'},
                                     {"stack", required_argument, nullptr, 's'},
                                     {"pin", required_argument, nullptr, 'p'},
                                     {"ca", required_argument, nullptr, 'c'},
                                     {"cert", required_argument, nullptr, 'C'},
                                     {"key", required_argument, nullptr, 'k'},
                                     {"alpn", required_argument, nullptr, 'a'},
                                     {"morph", no_argument, nullptr, 'm'},
                                     {"exec", required_argument, nullptr, 'x'},
                                     {"report", no_argument, nullptr, 'r'},
                                     {"plan", no_argument, nullptr, 'n'},
                                     {"local", required_argument, nullptr, 'L'},
                                     {"dscp", required_argument, nullptr, 'D'},
                                     {"store", required_argument, nullptr, 'S'},
                                     {"associations", no_argument, nullptr, 'A'},
                                     {"forget", required_argument, nullptr, 'F'},
                                     {nullptr, 0, nullptr, 0}};
    Wanted wanted;
    std::vector<post::Stack> stacks;
    for (int flag; (flag = getopt_long(argc, argv, "l:s:p:c:C:k:a:mx:rnL:D:S:AF:", options,
                                       nullptr)) != -1;) {
        switch (flag) {
            case 'l': wanted.listen = static_cast<std::uint16_t>(std::atoi(optarg)); break;
            case 's': stacks.push_back(stack_named(optarg)); break;
            case 'p': wanted.trust = post::Trust::pinned(optarg); break;
            case 'c': wanted.trust = post::Trust::authorities_file(optarg); break;
            case 'C': wanted.certificate = optarg; break;
            case 'k': wanted.key = optarg; break;
            case 'a': wanted.alpn = optarg; break;
            case 'm': wanted.morph = true; break;
            case 'x': wanted.command = optarg; break;
            case 'r': wanted.report = true; break;
            case 'n': wanted.plan = true; break;
            case 'L': add_local(wanted.local, optarg); break;
            case 'D': wanted.local.dscp = dscp_of(optarg); break;
            case 'S': wanted.store = optarg; break;
            case 'A': wanted.associations = true; break;
            case 'F': wanted.forget = optarg; break;
            default: std::fputs(usage, stderr); std::exit(2);
        }
    }
    if (wanted.associations || wanted.forget) {
        if (wanted.store.empty()) fail(std::string("--store says which file\n") + usage);
        return wanted;
    }
    if ((optind == argc) != wanted.listen.has_value()) std::fputs(usage, stderr), std::exit(2);
    for (int i = optind; i < argc; ++i) wanted.peers.emplace_back(argv[i]);
    if (!stacks.empty()) wanted.policy.stacks = stacks;
    for (const post::Stack stack : stacks) {
        if (!secured(stack)) wanted.policy.security = post::Security::none;
        // A plain peer of bytes has no messages.
        if (stack == post::Stack::tcp) wanted.morph = true;
    }
    return wanted;
}

// Standard input and output, and a Carrier between them and the peer.
class Cat {
public:
    Cat(post::Context& context, const Wanted& wanted) : context_(context), wanted_(wanted) {}

    void begin(post::Carrier carrier) {
        if (wanted_.morph) {
            auto stream = carrier.as_stream();
            if (!stream) return end(stream.error());
            stream_ = *std::move(stream);
            stream_.on_closed([this](const post::Error& error) { end(error); });
            stream_.ready([this](post::Stream&, post::Bytes bytes) { return print(bytes, ""); });
        } else {
            carrier_ = std::move(carrier);
            carrier_.on_closed([this](const post::Error& error) { end(error); });
            carrier_.ready([this](post::Carrier&, post::InMessage message) {
                return print(message.content(), "\n");
            });
        }
        began_ = true;
    }
    // Until both directions have ended.
    int run() {
        while (!error_) {
            const bool read = began_ && typing_ && writable();
            pollfd watched[] = {{context_.fd(), POLLIN, 0}, {read ? STDIN_FILENO : -1, POLLIN, 0}};
            poll(watched, 2, context_.timeout());
            if (watched[1].revents != 0) take_input();
            while (context_.turn()) {}
            if (wanted_.report && !reported_) report();
        }
        // Who has heard our end may go before we hear so.
        const bool left = !typing_ && error_->cause == post::Errc::context_closed;
        if (left || *error_ == post::Errc::carrier_closed) return 0;
        say(*error_);
        return 1;
    }

private:
    bool writable() const { return wanted_.morph ? stream_.writable() : carrier_.writable(); }

    void take_input() {
        char space[16384];
        const ssize_t size = read(STDIN_FILENO, space, sizeof space);
        if (size > 0) {
            const std::string_view bytes(space, static_cast<std::size_t>(size));
            wanted_.morph ? (void)stream_.write(post::Bytes(bytes)) : send_lines(bytes);
            return;
        }
        typing_ = false;
        if (!line_.empty()) send_lines("\n");
        wanted_.morph ? stream_.finish() : carrier_.finish();
    }
    void send_lines(std::string_view bytes) {
        for (const char letter : bytes) {
            if (letter != '\n') {
                line_ += letter;
                continue;
            }
            (void)carrier_.send(std::string(line_));
            line_.clear();
        }
    }
    bool print(const post::Bytes& bytes, const char* behind) {
        std::fwrite(bytes.view().data(), 1, bytes.size(), stdout);
        std::fputs(behind, stdout);
        std::fflush(stdout);
        return true;
    }
    void end(const post::Error& error) {
        if (!error_) error_ = error;
    }
    // Once it is connected: the Association may be gone when all is said.
    void report() {
        const auto association = wanted_.morph ? stream_.association() : carrier_.association();
        const auto made = association.establishment();
        if (!made || !made->winner()) return;
        std::fprintf(stderr, "%s\n", made->string().c_str());
        reported_ = true;
    }

    post::Context& context_;
    const Wanted& wanted_;
    post::Carrier carrier_;
    post::Stream stream_;
    std::string line_;  // as far as it was typed
    bool began_ = false;
    bool typing_ = true;
    bool reported_ = false;
    std::optional<post::Error> error_;
};

// The command has the Stream as its standard input and output; how it ended.
class Command {
public:
    Command(post::Context& context, const Wanted& wanted) : context_(context), wanted_(wanted) {}

    void begin(post::Carrier carrier) {
        auto stream = carrier.as_stream();
        if (!stream) fail(stream.error().message());
        const auto descriptor = stream->as_descriptor();
        if (!descriptor) fail(descriptor.error().message());
        child_ = fork();
        if (child_ == 0) {
            dup2(*descriptor, STDIN_FILENO);
            dup2(*descriptor, STDOUT_FILENO);
            close(*descriptor);
            execl("/bin/sh", "sh", "-c", wanted_.command.c_str(), nullptr);
            _exit(127);
        }
        close(*descriptor);
    }
    int run() {
        context_.run();
        int status = 1;
        if (child_ > 0) waitpid(child_, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }

private:
    post::Context& context_;
    const Wanted& wanted_;
    pid_t child_ = -1;
};

int print_plan(post::Context& context, const Wanted& wanted, post::InitiateOptions options) {
    int status = 1;
    context.plan(post::Remote::any(wanted.peers), std::move(options))
        .then([&](post::Result<post::Plan> plan) {
            if (!plan) return (void)std::fprintf(stderr, "%s\n", plan.error().message().c_str());
            std::printf("%s", plan->string().c_str());
            status = plan->error ? 1 : 0;
        });
    context.run();
    return status;
}

// What is kept, a peer a line: name, tickets by stack, tokens, who won, the round trip, who is
// believed.
int list(const Wanted& wanted) {
    const auto store = post::file_store(wanted.store);
    if (wanted.forget) {
        const bool all = *wanted.forget == "all";
        const std::size_t gone = store->forget(all ? "" : post::Remote(*wanted.forget).string());
        std::fprintf(stderr, "forgotten: %zu\n", gone);
    }
    if (!wanted.associations) return 0;
    for (const auto& [key, kept] : store->list()) {
        std::string line = key.remote;
        if (!key.alpn.empty()) line += " (" + key.alpn + ")";
        std::map<post::Stack, int> tickets;
        for (const auto& ticket : kept.tickets) ++tickets[ticket.stack];
        for (const auto& [stack, count] : tickets)
            line += ", " + std::to_string(count) + " ticket" + (count > 1 ? "s" : "") + " for " +
                    post::to_string(stack);
        if (!kept.tokens.empty()) line += ", " + std::to_string(kept.tokens.size()) + " token(s)";
        if (kept.winner)
            line += std::string(", ") + post::to_string(kept.winner->stack) + " to " +
                    kept.winner->remote.string() + " won";
        char trip[32];
        std::snprintf(trip, sizeof trip, ", %.1f ms",
                      std::chrono::duration<double, std::milli>(kept.rtt).count());
        if (kept.rtt > post::Duration{}) line += trip;
        std::printf("%s, %s\n", line.c_str(), key.trust.c_str());
    }
    return 0;
}

template <class End> int run(const Wanted& wanted) {
    post::ContextOptions context_options;
    if (!wanted.store.empty()) context_options.store = post::file_store(wanted.store);
    post::Context context(std::move(context_options));
    End cat(context, wanted);
    post::Listener listener;
    const bool own = !wanted.certificate.empty();
    auto identity = own ? post::Identity::from_files(wanted.certificate, wanted.key)
                        : post::Identity{};
    if (wanted.listen) {
        if (!identity) identity = post::Identity::self_signed("localhost");
        post::ListenOptions options{.policy = wanted.policy};
        if (!wanted.alpn.empty()) options.alpn = {wanted.alpn};
        post::Local local = wanted.local;
        local.port = *wanted.listen;
        local.last_port = 0;
        local.identity = identity;
        listener = context.listen(std::move(local), options);
        std::fprintf(stderr, "post-nc --pin %s post://localhost:%u\n", identity.pin().c_str(),
                     unsigned{listener.port()});
        listener.accept([&](post::Carrier carrier) {
            cat.begin(std::move(carrier));
            return false;  // one is enough
        });
    } else {
        post::InitiateOptions options{.policy = wanted.policy,
                                      .trust = wanted.trust,
                                      .local = wanted.local,
                                      .alpn = wanted.alpn};
        options.local.identity = identity;
        if (wanted.plan) return print_plan(context, wanted, std::move(options));
        cat.begin(context.initiate(post::Remote::any(wanted.peers), std::move(options)));
    }
    return cat.run();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const Wanted wanted = parse(argc, argv);
        if (wanted.associations || wanted.forget) return list(wanted);
        return wanted.command.empty() ? run<Cat>(wanted) : run<Command>(wanted);
    } catch (const post::Failure& failure) {
        fail(failure.what());
    }
}
