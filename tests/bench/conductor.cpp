// The rounds: A B C A B C, so that a slow phase of the machine falls on all rows alike.
#include "conductor.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <sstream>
#include <stdexcept>

namespace post::bench {

namespace {

// One line that is written over again, on a terminal only.
class Progress {
public:
    ~Progress() { show(""); }
    void show(const std::string& text) const {
        if (terminal_) std::fprintf(stderr, "\r\033[K%s", text.c_str());
    }

private:
    bool terminal_ = ::isatty(STDERR_FILENO) == 1;
};

struct Cores {
    std::optional<unsigned> server;
    std::optional<unsigned> client;
};

// Two different ones where there are two.
Cores choose_cores() {
    const auto all = cores();
    if (all.size() < 2) return {};
    return {all[0], all[1]};
}

std::vector<std::string> words_for(const Settings& settings, const Row& row, const char* end) {
    std::vector<std::string> words = settings.words();
    words.insert(words.end(), {"--end", end, std::string(row.name)});
    return words;
}

// "ready PORT PIN", as ServerEnd::announce writes it.
bool await_ready(Child& server, std::vector<std::string>& client_words) {
    const auto line = server.line();
    if (!line) return false;
    std::istringstream in(*line);
    std::string ready;
    std::string port;
    std::string pin;
    if (!(in >> ready >> port >> pin) || ready != "ready") return false;
    client_words.insert(client_words.end(),
                        {"--port", port, "--pin", pin, "--peer", std::to_string(server.id())});
    return true;
}

// "figure<TAB>NAME<TAB>VALUE<TAB>UNIT", as ClientEnd::report writes it.
Figure parse_figure(const std::string& line) {
    std::istringstream in(line);
    std::string word;
    std::string value;
    Figure figure;
    std::getline(in, word, '\t');
    std::getline(in, figure.name, '\t');
    std::getline(in, value, '\t');
    std::getline(in, figure.unit, '\t');
    if (word != "figure") throw std::runtime_error("a client wrote: " + line);
    figure.value = std::stod(value);
    return figure;
}

class Round {
public:
    Round(const Settings& settings, Outcome& outcome,
          const std::function<void(const Figure&)>& on_figure)
        : settings_(settings), outcome_(outcome), on_figure_(on_figure), cores_(choose_cores()) {}

    bool run(const Row& row, unsigned round) {
        std::unique_ptr<Child> server;
        auto client_words = words_for(settings_, row, "client");
        if (row.serve) {
            server = std::make_unique<Child>(words_for(settings_, row, "server"), cores_.server);
            if (!await_ready(*server, client_words)) return false;
        }
        Child client(client_words, cores_.client);
        bool any = false;
        while (const auto line = client.line()) {
            Figure figure = parse_figure(*line);
            figure.row = row.name;
            figure.round = round;
            on_figure_(figure);
            outcome_.figures.push_back(std::move(figure));
            any = true;
        }
        return client.wait() && any;
    }

private:
    const Settings& settings_;
    Outcome& outcome_;
    const std::function<void(const Figure&)>& on_figure_;
    Cores cores_;
};

}  // namespace

std::vector<const Row*> chosen(const Settings& settings) {
    // A whole name means that row alone, though others may begin with it.
    const auto whole = [](const std::string& word) {
        return std::any_of(rows().begin(), rows().end(),
                           [&](const Row& row) { return row.name == word; });
    };
    std::vector<bool> used(settings.rows.size(), false);
    std::vector<const Row*> found;
    for (const Row& row : rows()) {
        bool wanted = settings.rows.empty();
        for (std::size_t i = 0; i < settings.rows.size(); ++i) {
            const std::string& word = settings.rows[i];
            if (whole(word) ? row.name != word : !row.name.starts_with(word)) continue;
            wanted = used[i] = true;
        }
        if (wanted) found.push_back(&row);
    }
    for (std::size_t i = 0; i < used.size(); ++i)
        if (!used[i]) throw std::invalid_argument("no row is called " + settings.rows[i]);
    return found;
}

Outcome conduct(const Settings& settings, const std::function<void(const Figure&)>& on_figure) {
    Outcome outcome;
    Progress progress;
    Round round(settings, outcome, on_figure);
    const auto picked = chosen(settings);
    for (unsigned number = 1; number <= settings.rounds; ++number) {
        for (const Row* row : picked) {
            if (!row->unsupported.empty()) {
                if (number == 1) outcome.unsupported.push_back(row);
                continue;
            }
            if (row->once && number > 1) continue;
            progress.show("round " + std::to_string(number) + " of " +
                          std::to_string(settings.rounds) + ": " + std::string(row->name));
            if (round.run(*row, number)) continue;
            progress.show("");
            std::fprintf(stderr, "post_bench: %s failed in round %u\n",
                         std::string(row->name).c_str(), number);
            ++outcome.failures;
        }
    }
    return outcome;
}

}  // namespace post::bench
