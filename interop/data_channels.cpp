// Data channels on post: SCTP over DTLS with a plain peer, as browsers have them, but without ICE.
// The other half of aiortc_datachannel.py, with the same command line. Each side believes the other
// one by its certificate's fingerprint.
//
//   data_channels server PORT CERT KEY FINGERPRINT
//       Listens (PORT 0: any) and prints "listening PORT". On each channel that the peer opens it
//       sends a string that says how it was opened (Terms::text), and then back what comes, except
//       for two strings: "close" ends the channel, and "open " and the same text opens another one.
//       Goes on until it is killed.
//   data_channels client PORT CERT KEY FINGERPRINT [HOST]
//       Asks such a server for all of that, and prints "ok" and what it was, a line each; else
//       "failed: why" on stderr and exit 1.
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <post/coro.hpp>
#include <post/post.hpp>

#include "number.hpp"

namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// What a channel is opened with.
struct Terms {
    std::string label;
    std::string protocol;
    post::ChannelOptions options;

    // "label protocol ordered retransmissions milliseconds", "-" for what is not there.
    std::string text() const {
        const auto or_none = [](const auto& text) { return text.empty() ? "-" : text; };
        using std::chrono::milliseconds;
        std::string words = or_none(label) + " " + or_none(protocol);
        words += options.ordered ? " ordered " : " unordered ";
        words += options.retransmissions ? std::to_string(*options.retransmissions) : "-";
        words += " ";
        words += options.lifetime
                     ? std::to_string(
                           std::chrono::duration_cast<milliseconds>(*options.lifetime).count())
                     : "-";
        return words;
    }
    static Terms parse(const std::string& text) {
        std::istringstream words(text);
        Terms terms;
        std::string order, retransmissions, lifetime;
        words >> terms.label >> terms.protocol >> order >> retransmissions >> lifetime;
        if (!words) throw std::invalid_argument("not the terms of a channel: " + text);
        if (terms.label == "-") terms.label.clear();
        if (terms.protocol == "-") terms.protocol.clear();
        terms.options.ordered = order == "ordered";
        if (retransmissions != "-")
            terms.options.retransmissions = number<std::uint32_t>(retransmissions);
        if (lifetime != "-")
            terms.options.lifetime = std::chrono::milliseconds(number<std::uint32_t>(lifetime));
        return terms;
    }
    static Terms of(const post::Carrier& carrier) {
        return {carrier.label(), carrier.protocol(), carrier.channel()};
    }
};

post::Carrier fork(post::Carrier& carrier, const Terms& terms) {
    return carrier.fork({.announce = true,
                         .label = terms.label,
                         .protocol = terms.protocol,
                         .channel = terms.options});
}

const post::SendOptions as_text{.text = true};
const post::SendOptions as_bytes{};

post::Policy policy() { return {.stacks = {post::Stack::sctp_dtls}}; }

// The server's end of one channel. One that it opened itself begins with what it is opened with.
post::Task<> echo(post::Carrier carrier) {
    const std::string terms = Terms::of(carrier).text();
    co_await carrier.send(terms, as_text);
    while (auto message = co_await carrier.receive()) {
        const bool text = message->text();
        const std::string content(message->view());
        if (text && content == "close") break;
        if (text && content.starts_with("open "))
            echo(fork(carrier, Terms::parse(content.substr(5))));
        else
            co_await carrier.send(std::move(*message).content(), text ? as_text : as_bytes);
    }
    carrier.close();
}

int serve(std::uint16_t port, const post::Identity& identity, const std::string& fingerprint) {
    post::Context context;
    auto listener = context.listen(
        {.port = port, .identity = identity},
        {.policy = policy(),
         .alpn = {"webrtc"},
         .client_certificate = post::ListenOptions::ClientCertificate::required,
         .client_trust = post::Trust::fingerprint(fingerprint)});
    listener.accept([](post::Carrier carrier) {
        echo(std::move(carrier));
        return true;
    });
    std::printf("listening %u\n", unsigned{listener.port()});
    std::fflush(stdout);
    context.run();
    return 0;
}

void check(bool fine, const std::string& what) {
    if (!fine) throw std::runtime_error(what);
}

void said(const std::string& what) {
    std::printf("ok   %s\n", what.c_str());
    std::fflush(stdout);
}

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 % 251);
    return text;
}

post::Task<post::InMessage> next(post::Carrier& carrier, std::string what) {
    auto message = co_await carrier.receive();
    check(static_cast<bool>(message), what + ": " + message.error().message());
    co_return std::move(*message);
}

// What is sent comes back as it was.
post::Task<> ask(post::Carrier& carrier, std::string content, bool text) {
    const std::string what = std::to_string(content.size()) + " bytes" + (text ? " of text" : "");
    co_await carrier.send(content, text ? as_text : as_bytes);
    auto back = co_await next(carrier, what);
    check(back.text() == text, what + ": came back as the other kind");
    check(back.view() == content,
          what + ": came back as " + std::to_string(back.size()) + " bytes, or others");
    check(!back.raw(), what + ": without boundaries");
}

post::Task<> expect_terms(post::Carrier& carrier, const Terms& terms) {
    auto said = co_await next(carrier, "terms");
    check(said.text() && said.view() == terms.text(),
          "wanted " + terms.text() + ", the peer has " + std::string(said.view()));
}

post::Task<> play(post::Carrier first, const Terms& terms) {
    co_await first.send("hello");  // the first message opens it
    co_await expect_terms(first, terms);
    const auto hello = co_await next(first, "hello");
    check(!hello.text() && hello.size() == 5, "the first message did not come back");
    said("label and protocol");

    const Terms all[] = {
        {"unordered", "-p", {.ordered = false}},
        {"retransmissions", "", {.retransmissions = 3}},
        {"none", "", {.ordered = false, .retransmissions = 0}},
        {"lifetime", "", {.ordered = false, .lifetime = 1500ms}},
        {"\u00fcml\u00e4ut", "\u20ac", {}},
    };
    for (const Terms& one : all) {
        auto carrier = fork(first, one);
        co_await expect_terms(carrier, one);
        co_await ask(carrier, one.text(), true);
        co_await ask(carrier, pattern(20'000), false);
    }
    said("unordered, retransmissions, lifetime");

    for (const std::size_t size : {0, 1, 1100, 1172, 1200, 16'384, 65'535, 65'536, 262'144})
        co_await ask(first, pattern(size), false);
    said("binary, 0 bytes to 256 KiB");
    for (const std::size_t size : {0, 1, 1200, 65'536, 262'144})
        co_await ask(first, std::string(size, 't'), true);
    said("text, 0 bytes to 256 KiB");

    std::vector<post::Carrier> many;
    for (int i = 0; i < 100; ++i)
        many.push_back(fork(first, {"channel" + std::to_string(i), "", {}}));
    for (auto& one : many) one.send(one.label());
    for (auto& one : many) {
        co_await expect_terms(one, Terms::of(one));
        const auto back = co_await next(one, "one of many");
        check(!back.text() && std::string(post::InMessage(back).view()) == one.label(),
              "channels were mixed up");
    }
    for (auto& one : many) one.close();
    said("100 channels, closed here");

    auto other = fork(first, {"closed there", "", {}});
    co_await expect_terms(other, Terms::of(other));
    co_await other.send("close", as_text);
    const auto end = co_await other.receive();
    check(!end && end.error() == post::Errc::carrier_closed,
          "the peer's close is " + (end ? "a message" : end.error().message()));
    auto again = fork(first, {"again", "", {}});
    co_await expect_terms(again, Terms::of(again));
    co_await ask(again, "again", true);
    said("closed there, and its stream used again");

    const Terms theirs{"theirs", "by them", {.ordered = false, .retransmissions = 7}};
    const Terms words = Terms::parse("theirs them unordered 7 -");
    auto forks = first.accept();
    co_await first.send("open " + words.text(), as_text);
    auto opened = co_await std::move(forks);
    check(static_cast<bool>(opened), "no channel of the peer's: " + opened.error().message());
    check(Terms::of(*opened).text() == words.text(), "opened as " + Terms::of(*opened).text());
    co_await expect_terms(*opened, words);
    co_await ask(*opened, pattern(100'000), false);
    opened->close();
    said("a channel that the peer opens");
    first.close();
}

int meet(const std::string& host, std::uint16_t port, const post::Identity& identity,
         const std::string& fingerprint) {
    post::Context context;
    std::string failure = "nothing was heard";
    context.on_unhandled([&](const post::Error& error) { failure = error.message(); });
    const Terms terms{"chat", "irc", {}};
    auto run = [&](post::Carrier carrier) -> post::Task<> {
        try {
            co_await play(std::move(carrier), terms);
            failure.clear();
        } catch (const std::exception& error) {
            failure = error.what();
        }
        context.stop();
    };
    run(context.initiate(post::Remote(host, port), {.policy = policy(),
                                                    .trust = post::Trust::fingerprint(fingerprint),
                                                    .local = {.identity = identity},
                                                    .alpn = "webrtc",
                                                    .label = terms.label,
                                                    .protocol = terms.protocol}));
    context.run();
    context.shutdown(1s);
    if (!failure.empty()) throw std::runtime_error(failure);
    return 0;
}

}  // namespace

int main(int count, char** values) {
    const std::vector<std::string> arguments(values + 1, values + count);
    try {
        if (arguments.size() < 5 || arguments.size() > 6 ||
            (arguments[0] != "server" && arguments[0] != "client"))
            throw std::invalid_argument("usage: server|client PORT CERT KEY FINGERPRINT [HOST]");
        const std::string host = arguments.size() > 5 ? arguments[5] : "127.0.0.1";
        const auto port = number<std::uint16_t>(arguments[1]);
        const auto identity = post::Identity::from_files(arguments[2], arguments[3]);
        return arguments[0] == "server" ? serve(port, identity, arguments[4])
                                        : meet(host, port, identity, arguments[4]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "failed: %s\n", error.what());
        return 1;
    }
}
