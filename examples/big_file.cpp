// A file as one message, of any length and in little memory: read while it is sent, written as it
// arrives, with progress on the way.
//
//   big_file serve FOLDER [PORT]            takes files into FOLDER
//   big_file send FILE URL PIN              sends one there
//   big_file [SIZE]                         both ends here, with SIZE (1G) of made-up content
#include <sys/resource.h>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>

#include <post/post.hpp>

#include "support/progress.hpp"

namespace {

constexpr const char* usage =
    "usage: big_file serve FOLDER [PORT]\n"
    "       big_file send FILE URL PIN\n"
    "       big_file [SIZE]          both ends here; 100M, 4G, ...\n";

// Writes each message under the name in its properties.
class Shelf {
public:
    explicit Shelf(std::string folder) : folder_(std::move(folder)) {}

    bool add(const post::InMessage& part) {
        if (!writer_) {
            const auto* name = part.properties().find("name");
            const auto file = std::filesystem::path(name ? *name : "unnamed").filename();
            writer_.emplace((std::filesystem::path(folder_) / file).string());
            name_ = file.string();
        }
        const auto done = writer_->add(part);
        if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
        if (done && !*done) return true;
        if (done)
            std::printf("%s: %s\n", name_.c_str(),
                        example::human(static_cast<double>(writer_->written())).c_str());
        std::fflush(stdout);
        writer_.reset();
        return done.has_value();
    }

private:
    std::string folder_;
    std::string name_;
    std::optional<post::FileWriter> writer_;
};

int serve(const std::string& folder, std::uint16_t port) {
    const auto identity = post::Identity::self_signed("localhost");
    post::Context context;
    auto listener = context.listen({.port = port, .identity = identity});
    listener.accept([&](post::Carrier carrier) {
        carrier.ready(post::ReceiveParts{}, [shelf = Shelf(folder)](auto&, auto part) mutable {
            return shelf.add(part);
        });
        return true;
    });
    std::printf("taking files into %s: big_file send FILE post://localhost:%u %s\n", folder.c_str(),
                listener.port(), identity.pin().c_str());
    std::fflush(stdout);
    context.run();
    return 0;
}

int send(const std::string& path, const std::string& url, const std::string& pin) {
    post::Context context;
    auto carrier = context.initiate(url, {.trust = post::Trust::pinned(pin)});
    auto content = post::file_content(path).value();
    example::Progress bar("sent", content.size);
    content.progress = [&, done = std::uint64_t{0}](std::uint64_t now) mutable {
        bar.add(now - std::exchange(done, now));
    };
    int status = 1;
    const auto name = std::filesystem::path(path).filename().string();
    carrier.send(std::move(content), {.final = true, .properties = {{"name", name}}},
                 [&](const post::Fate& fate) {
                     if (fate.kind == post::Fate::Kind::sent) return;
                     status = fate.kind == post::Fate::Kind::acked ? 0 : 1;
                     if (status) std::fprintf(stderr, "%s\n", fate.error.message().c_str());
                 });
    context.run();
    return status;
}

long resident_kib() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    return used.ru_maxrss;
}

// Both ends in one Context: what arrives is counted and forgotten.
int both(std::uint64_t size) {
    const auto identity = post::Identity::self_signed("localhost");
    post::Context context;
    auto listener = context.listen({.identity = identity});
    std::uint64_t received = 0;
    example::Progress bar("received", size);
    listener.accept([&](post::Carrier carrier) {
        carrier.ready(post::ReceiveParts{}, [&](auto&, const post::InMessage& part) {
            received += part.size();
            bar.add(part.size());
            return !part.last();
        });
        return true;
    });
    const post::Bytes page(std::string(256 * 1024, 'x'));
    auto carrier = context.initiate({"localhost", listener.port()},
                                    {.trust = post::Trust::pinned(identity.pin())});
    bool acked = false;
    const auto began = std::chrono::steady_clock::now();
    const long before = resident_kib();
    carrier.send(post::Generated{size,
                                 [&](std::uint64_t, std::size_t most) -> post::Result<post::Bytes> {
                                     return page.slice(0, most);
                                 }},
                 {.final = true}, [&](const post::Fate& fate) {
                     acked = fate.kind == post::Fate::Kind::acked;
                     if (fate.kind != post::Fate::Kind::sent) context.stop();
                 });
    context.run();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::printf("%s in one message: %.2f s, %.2f Gbit/s; memory grew by %.1f MiB\n",
                example::human(static_cast<double>(size)).c_str(), took.count(),
                static_cast<double>(size) * 8e-9 / took.count(),
                static_cast<double>(resident_kib() - before) / 1024);
    return acked && received == size ? 0 : 1;
}

std::uint64_t size_of(const std::string& text) {
    std::size_t end = 0;
    const std::uint64_t number = std::stoull(text, &end);
    const std::string unit = text.substr(end);
    const int shift = unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : 0;
    if (number == 0 || (!unit.empty() && shift == 0) || number > std::uint64_t{1} << (60 - shift))
        throw std::invalid_argument("no size: " + text);
    return number << shift;
}

}  // namespace

int main(int argc, char** argv) try {
    const std::string first = argc > 1 ? argv[1] : "1G";
    if (first == "serve" && (argc == 3 || argc == 4))
        return serve(argv[2], argc == 4 ? static_cast<std::uint16_t>(std::stoi(argv[3])) : 0);
    if (first == "send" && argc == 5) return send(argv[2], argv[3], argv[4]);
    if (argc <= 2 && first != "serve" && first != "send") return both(size_of(first));
    std::fputs(usage, stderr);
    return 2;
} catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "big_file: %s\n%s", error.what(), usage);
    return 2;
} catch (const std::exception& error) {
    std::fprintf(stderr, "big_file: %s\n", error.what());
    return 2;
}
