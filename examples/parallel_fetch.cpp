// Files in parallel, each on a Carrier forked from one, all inside one Association; every file
// is verified. Without a command it does both ends in one process over loopback, on the folder that
// it stands in: two Contexts on two threads.
#include <charconv>
#include <cstring>
#include <thread>

#include "support/fetch_client.hpp"

namespace {

constexpr const char* usage =
    "usage: parallel_fetch [--stack STACK] [--carriers N] [--out DIR] [--generate SIZE] [DIR]\n"
    "       parallel_fetch serve DIR [--port P] [--cert FILE --key FILE] [--generate SIZE]\n"
    "       parallel_fetch get URL [--stack STACK] [--carriers N] [--out DIR]\n"
    "                              [--pin PIN | --ca FILE]\n"
    "STACK is quic (default), sctp-dtls or tls; a server serves them all on its port.\n"
    "SIZE is a number of bytes, with K, M or G: that much generated content instead of files.\n"
    "Exits with 0 when every file is as it must be.\n";

struct Options {
    std::vector<std::string> words;
    std::string out, pin, ca, certificate, key;
    std::size_t carriers = 8;
    std::uint16_t port = 4433;
    std::uint64_t generate = 0;
    post::Policy policy{.stacks = {post::Stack::quic}};
};

std::uint64_t number(const std::string& text, std::uint64_t most) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string_view unit(end, text.data() + text.size());
    const int shift = unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : 0;
    const bool fine = error == std::errc{} && (unit.empty() || shift > 0) && value <= most >> shift;
    if (!fine || value == 0) throw std::invalid_argument("no number that fits: " + text);
    return value << shift;
}

post::Stack stack_named(const std::string& name) {
    for (const post::Stack stack : {post::Stack::quic, post::Stack::sctp_dtls, post::Stack::tls})
        if (name == post::to_string(stack)) return stack;
    throw std::invalid_argument("no stack of that name: " + name);
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (!word.starts_with("--")) {
            options.words.push_back(word);
            continue;
        }
        if (i + 1 == argc) throw std::invalid_argument(word + " wants a value");
        const std::string value = argv[++i];
        if (word == "--out")
            options.out = value;
        else if (word == "--pin")
            options.pin = value;
        else if (word == "--ca")
            options.ca = value;
        else if (word == "--cert")
            options.certificate = value;
        else if (word == "--key")
            options.key = value;
        else if (word == "--carriers")
            options.carriers = number(value, 10'000);
        else if (word == "--port")
            options.port = static_cast<std::uint16_t>(number(value, 65535));
        else if (word == "--stack")
            options.policy.stacks = {stack_named(value)};
        else if (word == "--generate")
            options.generate = number(value, std::uint64_t{1} << 40);
        else
            throw std::invalid_argument("unknown option " + word);
    }
    return options;
}

// The files of a folder, or generated content in eight pieces.
example::Catalogue catalogue(const Options& options, const std::string& folder) {
    if (options.generate == 0) return example::catalogue_of(folder);
    example::Catalogue files;
    const std::uint64_t piece = (options.generate + 7) / 8;
    for (std::uint64_t left = options.generate; left > 0; left -= files.back().size)
        files.push_back({std::string(64, '0'), std::min(piece, left),
                         std::string(example::generated_prefix) + std::to_string(files.size())});
    return files;
}

int serve(const Options& options, const std::string& folder) {
    const auto identity = options.certificate.empty()
                              ? post::Identity::self_signed("localhost")
                              : post::Identity::from_files(options.certificate, options.key);
    example::FetchServer server(folder, catalogue(options, folder));
    post::Context context;
    auto listener = context.listen({.port = options.port, .identity = identity});
    server.serve(listener);
    std::printf("serving %s: parallel_fetch get post://localhost:%u --pin %s\n", folder.c_str(),
                listener.port(), identity.pin().c_str());
    std::fflush(stdout);
    context.run();
    return 0;
}

int get(const Options& options, const std::string& url) {
    const auto trust = !options.pin.empty()  ? post::Trust::pinned(options.pin)
                       : !options.ca.empty() ? post::Trust::authorities_file(options.ca)
                                             : post::Trust::system();
    post::Context context;
    example::FetchClient client(
        context, {.carriers = options.carriers, .out = options.out, .policy = options.policy});
    return client.get(post::Remote(url), trust) ? 0 : 1;
}

int both(const Options& options, const std::string& folder) {
    const auto identity = post::Identity::self_signed("localhost");
    example::FetchServer server(folder, catalogue(options, folder));
    post::Context there;
    auto listener = there.listen({.identity = identity});
    server.serve(listener);
    const std::uint16_t port = listener.port();
    std::thread thread([&] { there.run(); });
    bool good = false;
    {
        post::Context here;
        example::FetchClient client(
            here, {.carriers = options.carriers, .out = options.out, .policy = options.policy});
        good = client.get(post::Remote("localhost", port), post::Trust::pinned(identity.pin()));
    }
    there.stop();
    thread.join();
    return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
    const Options options = parse(argc, argv);
    const auto& words = options.words;
    if (words.size() == 2 && words[0] == "serve") return serve(options, words[1]);
    if (words.size() == 2 && words[0] == "get") return get(options, words[1]);
    if (words.size() <= 1 && (words.empty() || std::filesystem::is_directory(words[0])))
        return both(options, words.empty() ? "." : words[0]);
    std::fputs(usage, stderr);
    return 2;
} catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "parallel_fetch: %s\n%s", error.what(), usage);
    return 2;
} catch (const std::exception& error) {
    std::fprintf(stderr, "parallel_fetch: %s\n", error.what());
    return 2;
}
