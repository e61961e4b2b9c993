// The command line: its options, their limits, and the way back from settings to words.
#include "settings.hpp"

#include <charconv>
#include <functional>
#include <stdexcept>
#include <string_view>

namespace post::bench {

const char* const usage =
    R"(usage: post_bench [ROW...] [OPTION...]

Measures the library over loopback, and beside it what limits it. Each row is two processes of this
program, the server on one core and the client on another; the rounds are interleaved (each row
once, then each again), since a machine has slow and fast phases. ROW is a row's name or the
beginning of one ("bulk", "messages-64"); without any, all rows are measured.

  --stack NAME        protocol stack of the rows that are not limits: quic (default),
                      sctp-dtls, sctp-udp or tls
  --protection NAME   what protects their packets: gnutls, ipsec-mb, or the better one of those that
                      are there (default); row bulk-gnutls apart
  --rounds N          default 3
  --seconds S         measured in each row and round, default 1
  --warm-up S         before that, default 0.3
  --payload N         UDP payload of a datagram, default 1452 (row bulk-8952 apart)
  --associations N    of row "idle", default 10000
  --carriers N        of row "idle", all associations together, default 1000000; with these
                      defaults the row takes minutes and 7 GB, and is measured once
  --json FILE         a JSON object for each figure, one a line; "-": to stdout, without a table
  --list              the rows and what they are
  --help              this text

One end of a row alone, for a profiler (the server prints "ready PORT PIN"):
  --end server|client, and for the client --port PORT --pin PIN [--peer PROCESS-ID]
)";

namespace {

template <class Number> Number number(std::string_view option, std::string_view word) {
    Number value{};
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size() || value < Number{})
        throw std::invalid_argument(std::string(option) + ": not a number: " + std::string(word));
    return value;
}

template <class Number>
Number between(std::string_view option, std::string_view word, Number least, Number most) {
    const auto value = number<Number>(option, word);
    if (value < least || value > most)
        throw std::invalid_argument(std::string(option) + ": out of range: " + std::string(word));
    return value;
}

}  // namespace

Settings Settings::parse(int count, char** words) {
    Settings settings;
    for (int i = 1; i < count; ++i) {
        const std::string_view option = words[i];
        const auto is = [&](std::string_view name) {
            if (option != name) return false;
            if (++i == count) throw std::invalid_argument(std::string(name) + ": needs a value");
            return true;
        };
        if (option == "--help" || option == "-h")
            settings.help = true;
        else if (option == "--list")
            settings.list = true;
        else if (is("--stack"))
            settings.stack = words[i];
        else if (is("--protection"))
            settings.protection = words[i];
        else if (is("--rounds"))
            settings.rounds = between(option, words[i], 1U, 10'000U);
        else if (is("--seconds"))
            settings.seconds = between(option, words[i], 0.001, 3600.0);
        else if (is("--warm-up"))
            settings.warm_up = between(option, words[i], 0.0, 60.0);
        else if (is("--payload"))
            settings.payload = between<std::size_t>(option, words[i], 1200, 65507);
        else if (is("--associations"))
            settings.associations = between<std::size_t>(option, words[i], 1, 1'000'000);
        else if (is("--carriers"))
            settings.carriers = between<std::size_t>(option, words[i], 1, 100'000'000);
        else if (is("--json"))
            settings.json = words[i];
        else if (is("--end"))
            settings.end = words[i];
        else if (is("--port"))
            settings.port = number<std::uint16_t>(option, words[i]);
        else if (is("--pin"))
            settings.pin = words[i];
        else if (is("--peer"))
            settings.peer = number<int>(option, words[i]);
        else if (option.starts_with("-"))
            throw std::invalid_argument("unknown option: " + std::string(option));
        else
            settings.rows.emplace_back(option);
    }
    if (settings.stack != "quic" && settings.stack != "sctp-dtls" && settings.stack != "sctp-udp" &&
        settings.stack != "tls")
        throw std::invalid_argument("--stack: the library has no " + settings.stack);
    if (settings.protection != "automatic" && settings.protection != "gnutls" &&
        settings.protection != "ipsec-mb")
        throw std::invalid_argument("--protection: gnutls or ipsec-mb, not " + settings.protection);
    if (!settings.end.empty() && settings.end != "server" && settings.end != "client")
        throw std::invalid_argument("--end: server or client, not " + settings.end);
    return settings;
}

std::vector<std::string> Settings::words() const {
    return {"--stack",        stack,
            "--protection",   protection,
            "--seconds",      std::to_string(seconds),
            "--warm-up",      std::to_string(warm_up),
            "--payload",      std::to_string(payload),
            "--associations", std::to_string(associations),
            "--carriers",     std::to_string(carriers)};
}

}  // namespace post::bench
