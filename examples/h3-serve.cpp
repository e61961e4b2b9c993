// A folder as a website over HTTP/3: files with their types, ranges, and pages that list folders.
//
//   h3-serve [--port P] [--cert FILE --key FILE] DIR
//
// Without a certificate it makes one for localhost, and prints how h3-get believes it.
#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <post/post.hpp>

#include "support/web_files.hpp"

namespace {

constexpr const char* usage =
    "usage: h3-serve [--port P] [--cert FILE --key FILE] DIR\n"
    "  -p, --port P      UDP port, 4433 unless it is said\n"
    "  -c, --cert FILE   the certificates in PEM, and with\n"
    "  -k, --key FILE    their private key\n";

using post::http::field;

class Site {
public:
    explicit Site(std::filesystem::path root) : root_(std::move(root)) {}

    void serve(post::InMessage& request, post::Source reply) const {
        const auto method = field(request.properties(), ":method");
        const std::string target(field(request.properties(), ":path"));
        const auto niceness = request.niceness();
        if (method != "GET" && method != "HEAD")
            return fail(reply, niceness, "405", {{"allow", "GET, HEAD"}});
        auto path = example::inside(root_, target);
        if (!path) return fail(reply, niceness, "404");
        std::error_code error;
        if (std::filesystem::is_directory(*path, error)) {
            const std::string plain = target.substr(0, target.find('?'));
            if (!plain.ends_with('/'))
                return fail(reply, niceness, "301", {{"location", plain + "/"}});
            const auto index = *path / "index.html";
            if (!std::filesystem::is_regular_file(index, error)) {
                reply.send(example::listing(*path, target),
                           {.niceness = niceness,
                            .properties = {{":status", "200"},
                                           {"content-type", "text/html; charset=utf-8"}}});
                return;
            }
            path = index;
        }
        if (!std::filesystem::is_regular_file(*path, error)) return fail(reply, niceness, "404");
        send_file(request, reply, *path);
    }

private:
    static void fail(post::Source& reply, post::Niceness niceness, const std::string& status,
                     const post::Properties& more = {}) {
        post::Properties fields{{":status", status}, {"content-type", "text/plain"}};
        for (const auto& [name, value] : more) fields.add(name, value);
        reply.send(status + "\n", {.niceness = niceness, .properties = std::move(fields)});
    }

    static void send_file(post::InMessage& request, post::Source& reply,
                          const std::filesystem::path& path) {
        const auto& asked = request.properties();
        const auto niceness = request.niceness();
        const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        const auto facts = example::facts_of(path);
        if (file < 0 || !facts) {
            if (file >= 0) ::close(file);
            return fail(reply, niceness, "403");
        }
        // Open until nobody reads it any more.
        const std::shared_ptr<const int> held(new int(file), [](const int* one) {
            ::close(*one);
            delete one;
        });
        post::Properties fields{{":status", "200"},
                                {"content-type", std::string(example::type_of(path))},
                                {"etag", facts->etag},
                                {"last-modified", facts->modified},
                                {"accept-ranges", "bytes"}};
        const auto known = field(asked, "if-none-match");
        if (!known.empty() ? known == facts->etag || known == "*"
                           : field(asked, "if-modified-since") == facts->modified)
            return answer(reply, niceness, fields, "304");
        example::ByteRange range{0, facts->size};
        const auto condition = field(asked, "if-range");
        const bool fits = condition.empty() || condition == facts->etag ||
                          condition == facts->modified;
        if (const auto part = example::range_of(field(asked, "range"), facts->size); part && fits) {
            if (part->wrong)
                return fail(reply, niceness, "416",
                            {{"content-range", "bytes */" + std::to_string(facts->size)}});
            range = *part;
            fields.add("content-range", "bytes " + std::to_string(range.first) + "-" +
                                            std::to_string(range.first + range.count - 1) + "/" +
                                            std::to_string(facts->size));
        }
        const bool partial = fields.find("content-range") != nullptr;
        if (range.count == 0) return answer(reply, niceness, fields, "200");
        post::Generated content{
            .size = range.count,
            .produce = [held, first = range.first](std::uint64_t offset,
                                                   std::size_t most) -> post::Result<post::Bytes> {
                std::vector<std::byte> bytes(most);
                const auto read = ::pread(*held, bytes.data(), bytes.size(),
                                          static_cast<off_t>(first + offset));
                if (read <= 0) return post::Errc::file;
                bytes.resize(static_cast<std::size_t>(read));
                return post::Bytes(std::move(bytes));
            }};
        reply.send(
            std::move(content),
            {.niceness = niceness, .properties = with_status(fields, partial ? "206" : "200")});
    }

    static void answer(post::Source& reply, post::Niceness niceness, const post::Properties& fields,
                       const std::string& status) {
        reply.send("", {.niceness = niceness, .properties = with_status(fields, status)});
    }

    static post::Properties with_status(const post::Properties& fields, const std::string& status) {
        post::Properties all{{":status", status}};
        for (const auto& [name, value] : fields)
            if (name != ":status") all.add(name, value);
        return all;
    }

    std::filesystem::path root_;
};

}  // namespace

int main(int argc, char** argv) try {
    static const option options[] = {{"port", required_argument, nullptr, 'p'},
                                     {"cert", required_argument, nullptr, 'c'},
                                     {"key", required_argument, nullptr, 'k'},
                                     {nullptr, 0, nullptr, 0}};
    std::uint16_t port = 4433;
    std::string certificate, key;
    for (int flag; (flag = getopt_long(argc, argv, "p:c:k:", options, nullptr)) != -1;) {
        switch (flag) {
            case 'p': port = static_cast<std::uint16_t>(std::atoi(optarg)); break;
            case 'c': certificate = optarg; break;
            case 'k': key = optarg; break;
            default: std::fputs(usage, stderr); return 2;
        }
    }
    if (optind + 1 != argc || certificate.empty() != key.empty()) {
        std::fputs(usage, stderr);
        return 2;
    }
    if (!std::filesystem::is_directory(argv[optind])) {
        std::fprintf(stderr, "h3-serve: %s is no folder\n", argv[optind]);
        return 1;
    }
    const auto identity = certificate.empty() ? post::Identity::self_signed("localhost")
                                              : post::Identity::from_files(certificate, key);
    const Site site(std::filesystem::canonical(argv[optind]));
    post::Context context;
    auto responder = post::respond(context.listen({.port = port, .identity = identity},
                                                  {.policy = {.stacks = {post::Stack::http3}}}),
                                   [&](post::InMessage request, post::Source reply) {
                                       site.serve(request, std::move(reply));
                                   });
    std::printf("serving %s: h3-get --pin %s https://localhost:%u/\n", argv[optind],
                identity.pin().c_str(), responder.port());
    std::fflush(stdout);
    context.run();
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "h3-serve: %s\n", error.what());
    return 1;
}
