// The endpoint of the public QUIC interop runner: client and server in one program that takes its
// orders from the environment.
//
//   ROLE           client or server
//   TESTCASE       what is tested (endpoint/cases.hpp)
//   REQUESTS       client: URLs with spaces between them
//   PROTOCOL       client, with TESTCASE=tunnel: that of the tunnel (endpoint/tunnels.hpp)
//   SSLKEYLOGFILE  where the keys go, for whoever captures
//   QLOGDIR        a folder for qlog; none: none is written
//   WWW, CERTS, DOWNLOADS   /www, /certs (cert.pem and priv.key; ca.pem) and /downloads
//   PORT           server: 443
//
// Exit code 0: all is well; 1: it is not, and why on stderr; 127: this test case is not supported.
// A server goes on until SIGTERM or SIGINT.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "endpoint/cases.hpp"
#include "endpoint/hq.hpp"
#include "endpoint/tunnels.hpp"
#include "number.hpp"

namespace {

using namespace std::chrono_literals;

constexpr int unsupported = 127;

std::string environment(const char* name, const char* otherwise = "") {
    const char* value = std::getenv(name);
    return value && *value ? value : otherwise;
}

post::ContextOptions context_options() {
    post::ContextOptions options;
    options.preferences = post::Preferences{};
    options.qlog = environment("QLOGDIR");
    if (!options.qlog.empty()) std::filesystem::create_directories(options.qlog);
    return options;
}

// The examination's links lose a third of all packets, or go dark for seconds.
post::Bounds patient() {
    post::Bounds bounds;
    bounds.handshake_timeout = 120s;
    bounds.linger = 60s;
    return bounds;
}

const post::Policy quic{.stacks = {post::Stack::quic}};

// The examination has one server on one machine: where it would rather be is the next port of the
// addresses that others know it by.
void prefer_next_port(post::Context& context, std::uint16_t port, post::QuicOptions& options) {
    const auto interfaces = context.interfaces();
    if (!interfaces) return;
    for (const post::Interface& interface : *interfaces) {
        if (interface.type == post::InterfaceType::loopback) continue;
        for (const auto& source : interface.sources) {
            const bool v6 = source.address.family == post::Address::Family::v6;
            post::Address& wanted = v6 ? options.preferred_v6 : options.preferred_v4;
            if (wanted.family != post::Address::Family::none || source.address.scope != 0) continue;
            wanted = source.address;
            wanted.port = static_cast<std::uint16_t>(port + 1);
        }
    }
}

// For the signal handler: what it may do is to stop this one.
post::Context* serving = nullptr;

int serve(const Case& wanted) {
    const std::string certificates = environment("CERTS", "/certs");
    post::Context context(context_options());
    post::ListenOptions options;
    options.policy = quic;
    options.alpn = {hq::alpn};
    if (wanted.http3) {
        options.policy = {.stacks = {post::Stack::http3}};
        options.alpn.clear();
    }
    if (wanted.tunnels) options.http.connect = {tunnels::protocol};
    options.early_data = wanted.early;
    options.quic = wanted.quic;
    const auto port = number<std::uint16_t>(environment("PORT", "443"));
    if (wanted.preferred) prefer_next_port(context, port, options.quic);
    options.bounds = patient();
    // What the examination allows at most.
    options.bounds.carriers = 1000;
    auto listener = context.listen({.port = port,
                                    .identity = post::Identity::from_files(
                                        certificates + "/cert.pem", certificates + "/priv.key")},
                                   options);
    const hq::Server files(environment("WWW", "/www"));
    if (wanted.tunnels)
        tunnels::serve(listener);
    else
        wanted.http3 ? files.serve_http3(listener) : files.serve(listener);
    serving = &context;
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { serving->stop(); });
    std::printf("listening %u\n", unsigned{listener.port()});
    std::fflush(stdout);
    context.run();
    context.shutdown(1s);
    return 0;
}

std::vector<hq::Request> requests() {
    std::vector<hq::Request> wanted;
    std::istringstream urls(environment("REQUESTS"));
    for (std::string url; urls >> url;) wanted.push_back(hq::Request::parse(url));
    if (wanted.empty()) throw std::invalid_argument("REQUESTS is empty");
    return wanted;
}

// Those whose turn comes at the same time, where each has a connection of its own: enough that a
// lost handshake does not hold up all others, and few enough for the link's queue.
constexpr std::size_t side_by_side = 5;

int ask(const Case& wanted) {
    const auto all = requests();
    post::InitiateOptions options;
    options.policy = quic;
    options.alpn = hq::alpn;
    options.trust = post::Trust::authorities_file(environment("CERTS", "/certs") + "/ca.pem");
    options.quic = wanted.quic;
    options.bounds = patient();
    if (wanted.tunnels) {
        post::Context context(context_options());
        options.policy = {.stacks = {post::Stack::http3}};
        options.alpn.clear();
        return tunnels::ask(context, environment("REQUESTS"), environment("PROTOCOL"), options) ? 0
                                                                                                : 1;
    }
    hq::Downloads downloads(environment("DOWNLOADS", "/downloads"));

    // What a connection leaves behind for the next one is all that two Contexts have in common.
    auto contexts = context_options();
    contexts.store = post::memory_store();
    const auto round = [&](const auto& begin) {
        post::Context context(contexts);
        begin(context);
        context.run();
        context.shutdown(5s);
    };
    using Requests = std::vector<hq::Request>;
    switch (wanted.spread) {
        case Spread::one:
            round([&](post::Context& context) {
                wanted.http3 ? downloads.get_http3(context, all, options)
                             : downloads.get(context, all, options);
            });
            break;
        case Spread::resumed:
            round([&](post::Context& context) {
                downloads.get(context, Requests(all.begin(), all.begin() + 1), options);
            });
            if (all.size() == 1) break;
            round([&](post::Context& context) {
                downloads.get(context, Requests(all.begin() + 1, all.end()), options);
            });
            break;
        case Spread::each:
            round([&](post::Context& context) {
                std::vector<Requests> series(std::min(side_by_side, all.size()));
                for (std::size_t i = 0; i < all.size(); ++i)
                    series[i % series.size()].push_back(all[i]);
                for (std::size_t i = 0; i < series.size(); ++i) {
                    options.isolation = std::to_string(i);
                    downloads.get_each(context, std::move(series[i]), options);
                }
            });
            break;
    }
    std::printf("%zu of %zu files, %llu bytes\n", downloads.done(), all.size(),
                static_cast<unsigned long long>(downloads.bytes()));
    return downloads.done() == all.size() ? 0 : 1;
}

}  // namespace

int main() {
    try {
        const std::string role = environment("ROLE");
        if (role != "client" && role != "server")
            throw std::invalid_argument("ROLE is client or server, and not: " + role);
        const auto wanted = case_of(environment("TESTCASE"), role == "server");
        if (!wanted) {
            std::fprintf(stderr, "not supported: %s\n", environment("TESTCASE").c_str());
            return unsupported;
        }
        return role == "server" ? serve(*wanted) : ask(*wanted);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "failed: %s\n", error.what());
        return 1;
    }
}
