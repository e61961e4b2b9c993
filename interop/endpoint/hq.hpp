// hq-interop: HTTP/0.9 over QUIC, as implementations of QUIC examine each other with it. A request
// is a stream of its own: "GET /name\r\n" and its end; the answer is the file and the end of the
// stream, or a reset. Nothing here is private to the library: an ALPN of one's own, a Carrier for
// each request, and fork for the next one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <post/coro.hpp>
#include <post/file.hpp>
#include <post/post.hpp>

namespace hq {

inline constexpr const char* alpn = "hq-interop";

// Longer requests are refused; the names of the examination have 250 characters at most.
inline constexpr std::size_t longest_request = 4096;

inline constexpr post::AbortCode no_such_file{404};

// Answers with the files below one folder.
class Server {
public:
    explicit Server(std::filesystem::path root) : root_(std::move(root)) {}

    void serve(post::Listener& listener) const {
        listener.accept([this](post::Carrier carrier) {
            carrier.on_closed([](const post::Error&) {});  // clients end as they like
            answer(std::move(carrier));
            return true;
        });
    }

    // The same files over HTTP/3.
    void serve_http3(post::Listener& listener) const {
        listener.accept([this](post::Carrier carrier) {
            carrier.on_closed([](const post::Error&) {});
            answer_http3(std::move(carrier));
            return true;
        });
    }

private:
    post::Task<> answer_http3(post::Carrier carrier) const {
        auto request = co_await carrier.receive();
        if (!request) co_return;
        const auto path = file_at(post::http::field(request->properties(), ":path"));
        post::SendOptions whole{.final = true,
                                .properties = {{":status", path.empty() ? "404" : "200"}}};
        if (path.empty())
            carrier.send("", std::move(whole));
        else
            send(std::move(carrier), path, std::move(whole));
    }

    post::Task<> answer(post::Carrier carrier) const {
        std::string request;
        while (!request.ends_with('\n')) {
            auto more = co_await carrier.receive();
            if (!more && more.error() == post::Errc::carrier_closed) break;
            if (!more) co_return;
            request += more->view();
            if (request.size() > longest_request) co_return carrier.abort(no_such_file);
        }
        const auto path = file_of(request);
        if (path.empty()) co_return carrier.abort(no_such_file);
        send(std::move(carrier), path, {.final = true});
    }

    // Whoever has the last word of the file's fate holds the Carrier until then, so that no linger
    // time cuts a long file short.
    static void send(post::Carrier carrier, const std::filesystem::path& path,
                     const post::SendOptions& last) {
        auto held = std::make_shared<post::Carrier>(std::move(carrier));
        std::error_code error;
        if (std::filesystem::file_size(path, error) == 0 && !error) {
            held->send("", last, [held](const post::Fate&) {});
            return;
        }
        auto content = post::file_content(path.string());
        if (!content) return held->abort(no_such_file);
        held->send(std::move(*content), last, [held](const post::Fate&) {});
    }

    // Empty for what is no request, or leads out of the folder.
    std::filesystem::path file_of(std::string_view request) const {
        while (!request.empty() && (request.back() == '\n' || request.back() == '\r'))
            request.remove_suffix(1);
        constexpr std::string_view method = "GET ";
        return request.starts_with(method) ? file_at(request.substr(method.size()))
                                           : std::filesystem::path{};
    }
    std::filesystem::path file_at(std::string_view target) const {
        if (!target.starts_with('/')) return {};
        const auto below = std::filesystem::path(target.substr(1)).lexically_normal();
        if (below.empty() || below.is_absolute() || *below.begin() == "..") return {};
        auto path = root_ / below;
        std::error_code error;
        return std::filesystem::is_regular_file(path, error) ? path : std::filesystem::path{};
    }

    std::filesystem::path root_;
};

// A file that is wanted.
struct Request {
    post::Remote url;
    post::Remote remote;  // its host and port, for hq-interop
    std::string target;   // "/name"

    // "https://server:443/name". Throws post::Failure (invalid_url).
    static Request parse(const std::string& url) {
        const post::Remote named(url);
        return {named, post::Remote(named.host(), named.port(), post::Scheme::quic),
                named.target()};
    }
    std::string file_name() const {
        const auto name = std::filesystem::path(target).filename().string();
        return name.empty() ? "index.html" : name;
    }
};

// Gets files into one folder and counts what came of them.
class Downloads {
public:
    explicit Downloads(std::filesystem::path folder) : folder_(std::move(folder)) {}

    // All of them over one connection: those behind the first are forks of it.
    void get(post::Context& context, const std::vector<Request>& requests,
             const post::InitiateOptions& options) {
        std::vector<post::Carrier> carriers;
        for (std::size_t i = 0; i < requests.size(); ++i)
            carriers.push_back(i == 0 ? context.initiate(requests[0].remote, options)
                                      : carriers[0].fork());
        for (std::size_t i = 0; i < requests.size(); ++i)
            fetch(std::move(carriers[i]), requests[i]);
    }
    // The same over HTTP/3.
    void get_http3(post::Context& context, const std::vector<Request>& requests,
                   post::InitiateOptions options) {
        options.alpn.clear();
        options.policy = {.stacks = {post::Stack::http3}};
        std::vector<post::Carrier> carriers;
        for (std::size_t i = 0; i < requests.size(); ++i)
            carriers.push_back(i == 0 ? context.initiate(requests[0].url, options)
                                      : carriers[0].fork());
        for (std::size_t i = 0; i < requests.size(); ++i)
            fetch_http3(std::move(carriers[i]), requests[i]);
    }

    // One after the other, each over a connection of its own; the isolation of `options` says which
    // series this is, and the connections of one series follow each other.
    post::Task<> get_each(post::Context& context, std::vector<Request> requests,
                          post::InitiateOptions options) {
        const std::string series = options.isolation;
        for (std::size_t i = 0; i < requests.size(); ++i) {
            options.isolation = series + "-" + std::to_string(i);
            co_await fetch(context.initiate(requests[i].remote, options), requests[i]);
        }
    }

    std::size_t done() const { return done_; }
    std::uint64_t bytes() const { return bytes_; }

private:
    post::Task<> fetch(post::Carrier carrier, Request request) {
        carrier.on_closed([](const post::Error&) {});  // receive() says it, too
        // Asking twice does no harm, so where a session is resumed it may go before the handshake.
        const post::SendOptions whole{.idempotent = true, .final = true};
        carrier.send("GET " + request.target + "\r\n", whole);
        co_await save(std::move(carrier), std::move(request));
    }
    post::Task<> fetch_http3(post::Carrier carrier, Request request) {
        carrier.on_closed([](const post::Error&) {});
        carrier.send("", {.final = true, .properties = {{":path", request.target}}});
        co_await save(std::move(carrier), std::move(request));
    }

    post::Task<> save(post::Carrier carrier, Request request) {
        std::ofstream file;
        while (true) {
            auto bytes = co_await carrier.receive(post::ReceiveParts{});
            if (!bytes && bytes.error() != post::Errc::carrier_closed)
                co_return complain(request, bytes.error());
            const int status = bytes ? post::http::status(*bytes) : 0;  // hq-interop has none
            if (status != 0 && status != 200)
                co_return complain(request, "status " + std::to_string(status));
            if (!file.is_open())
                file.open(folder_ / request.file_name(), std::ios::binary | std::ios::trunc);
            if (!bytes) break;
            const auto view = bytes->view();
            file.write(view.data(), static_cast<std::streamsize>(view.size()));
            bytes_ += view.size();
        }
        file.close();
        if (!file) co_return complain(request, "cannot be written");
        ++done_;
    }

    static void complain(const Request& request, const post::Error& error) {
        complain(request, error.message());
    }
    static void complain(const Request& request, const std::string& why) {
        std::fprintf(stderr, "%s: %s\n", request.target.c_str(), why.c_str());
    }

    std::filesystem::path folder_;
    std::size_t done_ = 0;
    std::uint64_t bytes_ = 0;
};

}  // namespace hq
