// Gets URLs over HTTP/3, many at once: those of one host are requests on one connection.
//
//   h3-get https://example.net/              to standard output
//   h3-get -O https://example.net/a.iso ...  to files of that name; what is there in part is resumed
//
// 0: all came; 1: something did not, and standard error says what; 2: it was called wrongly;
// 22: a server answered with an error (400 and more).
#include <getopt.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <post/post.hpp>

#include "support/progress.hpp"

namespace {

using post::http::field;

constexpr const char* usage =
    "usage: h3-get [OPTIONS] URL...\n"
    "  -o, --output FILE     into this file, and not to standard output; \"-\" is that\n"
    "  -O, --remote-name     into a file that is called as the URL ends\n"
    "  -C, --no-resume       from the beginning, whatever is there of the file\n"
    "  -H, --header FIELD    \"name: value\", with each request; again for several\n"
    "  -X, --request METHOD  GET unless it is said\n"
    "  -d, --data TEXT       sends it; POST then\n"
    "  -T, --upload FILE     sends it; PUT then\n"
    "  -I, --head            only the fields, printed\n"
    "  -i, --include         the fields too\n"
    "  -P, --parallel N      at once, of one host, 100 unless it is said\n"
    "  -p, --pin PIN         believe the server that has this key\n"
    "      --ca FILE         believe these authorities, and not the system's\n"
    "  -k, --insecure        believe anybody: for tests\n"
    "  -s, --silent          no progress\n";

struct Wanted {
    std::vector<std::string> urls;
    std::string output, method, data, upload;
    post::Properties fields;
    post::Trust trust;
    std::size_t parallel = 100;
    bool remote_name = false;
    bool resume = true;
    bool head = false;
    bool include = false;
    bool silent = false;
};

// One URL, and where it goes.
struct Download {
    std::string url;
    post::Remote remote;
    std::string file;  // empty: standard output
    post::Carrier carrier{};
    std::FILE* out = nullptr;
    std::uint64_t had = 0;  // bytes of the file that were there
    std::uint64_t got = 0;
    bool began = false;
    bool over = false;
};

std::string lower(std::string text) {
    for (char& letter : text)
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    return text;
}

class Getter {
public:
    Getter(post::Context& context, const Wanted& wanted)
        : context_(context), wanted_(wanted), terminal_(isatty(STDERR_FILENO) != 0) {}

    int run() {
        for (const std::string& url : wanted_.urls) {
            post::Remote remote(url);
            if (remote.scheme() != post::Scheme::https) {
                std::fprintf(stderr, "h3-get: %s: only https is spoken here\n", url.c_str());
                return 2;
            }
            auto one = std::make_shared<Download>(Download{url, std::move(remote), name_for(url)});
            waiting_[one->remote.host() + ":" + std::to_string(one->remote.port())].push_back(one);
            ++left_;
        }
        all_ = left_;
        for (auto& [host, queue] : waiting_)
            for (std::size_t i = 0; i < wanted_.parallel; ++i) begin_next(host);
        context_.run();
        if (shown_) std::fputs("\n", stderr);
        return left_ > 0 && status_ == 0 ? 1 : status_;
    }

private:
    using Shared = std::shared_ptr<Download>;

    std::string name_for(const std::string& url) const {
        if (!wanted_.output.empty()) return wanted_.output == "-" ? "" : wanted_.output;
        if (!wanted_.remote_name) return "";
        const std::string path = url.substr(0, url.find_first_of("?#"));
        const std::string name = path.substr(path.rfind('/') + 1);
        return name.empty() || path.find('/', 8) == std::string::npos ? "index.html" : name;
    }

    void begin_next(const std::string& host) {
        auto& queue = waiting_[host];
        if (queue.empty()) return;
        const Shared one = queue.front();
        queue.pop_front();
        // The first of a host is initiated, the others join its connection.
        one->carrier = context_.initiate(one->remote, {.trust = wanted_.trust});
        post::Properties fields{{":path", one->remote.target()}, {"user-agent", "h3-get"}};
        if (wanted_.head)
            fields.add(":method", "HEAD");
        else if (!wanted_.method.empty())
            fields.add(":method", wanted_.method);
        else if (!wanted_.upload.empty())
            fields.add(":method", "PUT");
        for (const auto& [name, value] : wanted_.fields) fields.add(name, value);
        std::error_code error;
        const bool may_resume = wanted_.resume && !one->file.empty() && wanted_.data.empty() &&
                                wanted_.upload.empty() && !wanted_.head;
        if (may_resume && std::filesystem::is_regular_file(one->file, error))
            one->had = std::filesystem::file_size(one->file, error);
        if (one->had > 0) fields.add("range", "bytes=" + std::to_string(one->had) + "-");
        receive(one, host);
        const post::SendOptions options{.properties = std::move(fields)};
        const auto on_fate = [this, one, host](const post::Fate& fate) {
            if (fate.kind == post::Fate::Kind::failed && !one->began) fail(one, host, fate.error);
        };
        if (!wanted_.upload.empty()) {
            auto content = post::file_content(wanted_.upload);
            if (!content) return fail(one, host, content.error());
            one->carrier.send(*std::move(content), options, on_fate);
        } else {
            one->carrier.send(wanted_.data, options, on_fate);
        }
    }

    void receive(const Shared& one, const std::string& host) {
        one->carrier.on_closed([this, one, host](const post::Error& error) {
            if (error != post::Errc::carrier_closed || !one->began) fail(one, host, error);
        });
        one->carrier.ready(post::ReceiveParts{}, [this, one, host](auto&, post::InMessage part) {
            return take(one, host, part);
        });
    }

    bool take(const Shared& one, const std::string& host, post::InMessage& part) {
        if (!one->began) {
            const int status = post::http::status(part);
            if (status > 0 && status < 200) return true;  // more is to come
            one->began = true;
            if (!begin(one, status, part)) return end(one, host, 1);
            if (status >= 400) status_ = 22;
        } else if (part.offset() == 0) {
            return true;  // trailers
        }
        bool fine = true;
        part.segments([&](const post::Bytes& bytes) {
            fine = fine && std::fwrite(bytes.data(), 1, bytes.size(), one->out) == bytes.size();
        });
        if (!fine) {
            say(*one, std::strerror(errno));
            return end(one, host, 1);
        }
        one->got += part.size();
        got_ += part.size();
        show();
        return part.last() ? end(one, host, 0) : true;
    }

    // Where it goes, now that the server has answered.
    bool begin(const Shared& one, int status, const post::InMessage& part) {
        if (status == 416 && one->had > 0) {
            const std::string all = "bytes */" + std::to_string(one->had);
            if (field(part.properties(), "content-range") == all) {
                one->out = std::fopen("/dev/null", "w");  // it is whole already
                return one->out != nullptr;
            }
        }
        if (wanted_.head || wanted_.include)
            for (const auto& [name, value] : part.properties())
                std::printf("%s: %s\n", name.c_str(), value.c_str());
        if (wanted_.head || wanted_.include) std::printf("\n");
        if (status >= 400) say(*one, "the server answered " + std::to_string(status));
        const bool resumed = status == 206 && one->had > 0;
        const bool to_file = !one->file.empty() && status < 400;
        one->out = !to_file ? stdout : std::fopen(one->file.c_str(), resumed ? "ab" : "wb");
        if (one->out) return true;
        say(*one, one->file + ": " + std::strerror(errno));
        return false;
    }

    // Always false: nothing more is wanted of it.
    bool end(const Shared& one, const std::string& host, int status) {
        if (std::exchange(one->over, true)) return false;
        if (one->out && one->out != stdout && std::fclose(one->out) != 0) {
            say(*one, one->file + ": " + std::strerror(errno));
            status = 1;
        } else if (one->out == stdout) {
            std::fflush(stdout);
        }
        one->out = nullptr;
        if (status != 0) status_ = status;
        --left_;
        one->carrier = {};
        show();
        begin_next(host);
        return false;
    }

    void fail(const Shared& one, const std::string& host, const post::Error& error) {
        if (one->over) return;
        say(*one, error.message());
        if (!one->began && !error.detail.empty())
            std::fprintf(stderr, "%s\n", error.detail.string().c_str());
        end(one, host, 1);
    }

    void say(const Download& one, const std::string& what) {
        if (std::exchange(shown_, false)) std::fputs("\n", stderr);
        std::fprintf(stderr, "h3-get: %s: %s\n", one.url.c_str(), what.c_str());
    }

    // On a terminal, where the content does not go to it.
    void show() {
        if (!terminal_ || wanted_.silent) return;
        if (wanted_.output.empty() && !wanted_.remote_name && isatty(STDOUT_FILENO)) return;
        std::fprintf(stderr, "\r%zu of %zu, %s   ", all_ - left_, all_,
                     example::human(static_cast<double>(got_)).c_str());
        shown_ = true;
    }

    post::Context& context_;
    const Wanted& wanted_;
    std::map<std::string, std::deque<Shared>> waiting_;  // by host and port
    std::size_t left_ = 0;
    std::size_t all_ = 0;
    std::uint64_t got_ = 0;
    int status_ = 0;
    bool terminal_;
    bool shown_ = false;
};

bool add_field(post::Properties& fields, const std::string& text) {
    const std::size_t colon = text.find(':', 1);
    if (colon == std::string::npos) return false;
    const std::size_t from = text.find_first_not_of(' ', colon + 1);
    fields.add(lower(text.substr(0, colon)), from == std::string::npos ? "" : text.substr(from));
    return true;
}

int parse(int argc, char** argv, Wanted& wanted) {
    static const option options[] = {{"output", required_argument, nullptr, 'o'},
                                     {"remote-name", no_argument, nullptr, 'O'},
                                     {"no-resume", no_argument, nullptr, 'C'},
                                     {"header", required_argument, nullptr, 'H'},
                                     {"request", required_argument, nullptr, 'X'},
                                     {"data", required_argument, nullptr, 'd'},
                                     {"upload", required_argument, nullptr, 'T'},
                                     {"head", no_argument, nullptr, 'I'},
                                     {"include", no_argument, nullptr, 'i'},
                                     {"parallel", required_argument, nullptr, 'P'},
                                     {"pin", required_argument, nullptr, 'p'},
                                     {"ca", required_argument, nullptr, 'A'},
                                     {"insecure", no_argument, nullptr, 'k'},
                                     {"silent", no_argument, nullptr, 's'},
                                     {nullptr, 0, nullptr, 0}};
    for (int flag;
         (flag = getopt_long(argc, argv, "o:OCH:X:d:T:IiP:p:ks", options, nullptr)) != -1;) {
        switch (flag) {
            case 'o': wanted.output = optarg; break;
            case 'O': wanted.remote_name = true; break;
            case 'C': wanted.resume = false; break;
            case 'H':
                if (!add_field(wanted.fields, optarg)) return 2;
                break;
            case 'X': wanted.method = optarg; break;
            case 'd': wanted.data = optarg; break;
            case 'T': wanted.upload = optarg; break;
            case 'I': wanted.head = true; break;
            case 'i': wanted.include = true; break;
            case 'P': wanted.parallel = static_cast<std::size_t>(std::atoi(optarg)); break;
            case 'p': wanted.trust = post::Trust::pinned(optarg); break;
            case 'A': wanted.trust = post::Trust::authorities_file(optarg); break;
            case 'k': wanted.trust = post::Trust::danger_anyone(); break;
            case 's': wanted.silent = true; break;
            default: return 2;
        }
    }
    for (int i = optind; i < argc; ++i) wanted.urls.emplace_back(argv[i]);
    const bool one_file = !wanted.output.empty() && wanted.output != "-";
    return wanted.urls.empty() || wanted.parallel == 0 || (one_file && wanted.urls.size() > 1) ? 2
                                                                                               : 0;
}

}  // namespace

int main(int argc, char** argv) try {
    Wanted wanted;
    if (parse(argc, argv, wanted) != 0) {
        std::fputs(usage, stderr);
        return 2;
    }
    post::Context context;
    context.on_unhandled([](const post::Error&) {});  // each download says its own
    return Getter(context, wanted).run();
} catch (const std::exception& error) {
    std::fprintf(stderr, "h3-get: %s\n", error.what());
    return 1;
}
