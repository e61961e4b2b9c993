// One connection, and what was agreed on it. With any QUIC peer that speaks the ALPN, since nothing
// is said on it unless `hello` is among the options.
//
//   handshake server PORT CERT KEY ALPN [OPTION...]
//       Listens (PORT 0: any) and prints "listening PORT", then a line for each connection on which
//       the client opens a stream; sends back what comes. Until SIGINT or SIGTERM; then it closes
//       what is open and prints "closed".
//   handshake client HOST PORT CA ALPN [OPTION...]
//       Connects, prints the same line, closes, and prints "closed". The certificate of CA must be
//       made out to "localhost". Else "failed: why" on stderr, and exit 1.
//
// The line: completed alpn ALPN version 0x00000001
//
// Options: v1, v2: the versions, in the order of preference; retry: clients must prove their
// address; hello: the client sends a message and waits until it comes back; early: the server takes
// early data, and prints "early" for each message that came so; the client connects twice, the
// second time with a message in its first flight, and prints "early N taken" or "early N rejected".
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <post/post.hpp>

namespace {

const post::Policy quic{.stacks = {post::Stack::quic}};

struct Options {
    post::QuicOptions quic;
    bool hello = false;
    bool early = false;
};

Options read_options(const std::vector<std::string>& words, std::size_t first) {
    Options options;
    std::vector<post::QuicVersion> versions;
    for (std::size_t i = first; i < words.size(); ++i) {
        if (words[i] == "v1")
            versions.push_back(post::QuicVersion::v1);
        else if (words[i] == "v2")
            versions.push_back(post::QuicVersion::v2);
        else if (words[i] == "retry")
            options.quic.address_validation = post::AddressValidation::always;
        else if (words[i] == "hello")
            options.hello = true;
        else if (words[i] == "early")
            options.early = true;
        else
            throw std::invalid_argument("no option: " + words[i]);
    }
    if (!versions.empty()) options.quic.versions = versions;
    return options;
}

std::uint16_t read_port(const std::string& text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size())
        throw std::invalid_argument("not a port: " + text);
    return port;
}

void say_completed(const post::Association& association) {
    const auto paths = association.paths();
    std::printf("completed alpn %s version 0x%08x\n", association.alpn().c_str(),
                paths.empty() ? 0u : paths.front().version);
    std::fflush(stdout);
}

// For the signal handler: what it may do is to stop this one.
post::Context* serving = nullptr;

int serve(const std::vector<std::string>& words) {
    const auto options = read_options(words, 5);
    post::Context context;
    auto listener = context.listen(
        {.port = read_port(words[1]), .identity = post::Identity::from_files(words[2], words[3])},
        {.policy = quic, .alpn = {words[4]}, .early_data = options.early, .quic = options.quic});
    std::set<post::AssociationId> known;
    listener.accept([&known](post::Carrier carrier) {
        if (known.insert(carrier.association().id()).second) say_completed(carrier.association());
        carrier.on_closed([](const post::Error&) {});  // as the peer likes it
        carrier.ready([](post::Carrier& from, post::InMessage message) {
            if (message.early()) std::puts("early"), std::fflush(stdout);
            if (from.can_send()) from.send(std::move(message).content());
            return true;
        });
        return true;
    });
    serving = &context;
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { serving->stop(); });
    std::printf("listening %u\n", unsigned{listener.port()});
    std::fflush(stdout);
    context.run();
    context.shutdown(std::chrono::seconds(1));
    std::puts("closed");
    return 0;
}

// Twice, each time with a message that may be early. When the server has it, its tickets are here.
void connect_early(post::Context& context, const post::Remote& remote,
                   const post::InitiateOptions& options) {
    for (int visit = 0; visit < 2; ++visit) {
        auto carrier = context.initiate(remote, options);
        carrier.on_closed([](const post::Error&) {});
        std::string failure = "the message was not acknowledged";
        carrier.send("hello", {.idempotent = true}, [&](const post::Fate& fate) {
            if (fate.kind == post::Fate::Kind::sent) return;
            if (fate.kind == post::Fate::Kind::acked) failure.clear();
            if (fate.error) failure = fate.error.message();
            carrier.close();
        });
        carrier.activate().then([&](post::Result<void> active) {
            if (!active) return;
            say_completed(carrier.association());
            const auto known = carrier.association().establishment();
            if (known && known->early > 0)
                std::printf("early %zu %s\n", known->early,
                            known->early_rejected ? "rejected" : "taken");
        });
        context.run();
        if (!failure.empty()) throw std::runtime_error(failure);
    }
}

int connect(const std::vector<std::string>& words) {
    const auto options = read_options(words, 5);
    post::Context context;
    post::Remote remote(words[1], read_port(words[2]));
    remote.set_server_name("localhost");
    if (options.early) {
        connect_early(context, remote,
                      {.policy = quic,
                       .trust = post::Trust::authorities_file(words[3]),
                       .alpn = words[4],
                       .quic = options.quic});
        std::puts("closed");
        return 0;
    }
    auto carrier = context.initiate(remote, {.policy = quic,
                                             .trust = post::Trust::authorities_file(words[3]),
                                             .alpn = words[4],
                                             .quic = options.quic});
    carrier.on_closed([](const post::Error&) {});
    std::string failure = "no answer";
    carrier.activate().then([&](post::Result<void> active) {
        if (!active) {
            failure = active.error().message();
            return;
        }
        say_completed(carrier.association());
        if (!options.hello) {
            failure.clear();
            carrier.close();
            return;
        }
        carrier.send("hello");
        carrier.receive().then([&](post::Result<post::InMessage> message) {
            failure = !message                     ? message.error().message()
                      : message->view() == "hello" ? ""
                                                   : "something else came back";
            carrier.close();
        });
    });
    context.run();
    if (!failure.empty()) throw std::runtime_error(failure);
    if (!context.shutdown(std::chrono::seconds(1))) throw std::runtime_error("closed too late");
    std::puts("closed");
    return 0;
}

}  // namespace

int main(int count, char** values) {
    const std::vector<std::string> words(values + 1, values + count);
    try {
        if (words.size() >= 5 && words[0] == "server") return serve(words);
        if (words.size() >= 5 && words[0] == "client") return connect(words);
        throw std::invalid_argument(
            "usage: server PORT CERT KEY ALPN [OPTION...] | "
            "client HOST PORT CA ALPN [OPTION...]");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "failed: %s\n", error.what());
        return 1;
    }
}
