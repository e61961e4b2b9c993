// post_bench: measures the library, and beside it what limits it (see `usage` in settings.cpp). The
// conductor starts this program again for the two ends of each row.
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>

#include "output.hpp"

namespace {

using namespace post::bench;

struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

void list() {
    for (const Row& row : rows())
        std::printf("%-20s %s\n", std::string(row.name).c_str(), std::string(row.what).c_str());
}

int play(const Settings& settings) {
    const auto picked = chosen(settings);
    const Row* row = nullptr;
    for (const Row* one : picked)
        if (settings.rows.size() == 1 && one->name == settings.rows[0]) row = one;
    if (!row || !row->measure) throw std::invalid_argument("--end: give one row, by its name");
    const std::size_t payload = row->payload ? row->payload : settings.payload;
    const std::string_view protection = row->protection.empty()
                                            ? std::string_view(settings.protection)
                                            : row->protection;
    if (settings.end == "client")
        row->measure({settings, row->waiting, payload, protection, Process(settings.peer)});
    else if (row->serve)
        row->serve({settings, row->waiting, payload, protection});
    else
        throw std::invalid_argument("this row has no server");
    return 0;
}

int conduct_all(const Settings& settings) {
    const bool to_stdout = settings.json == "-";
    std::unique_ptr<std::FILE, Close> file;
    if (!settings.json.empty() && !to_stdout) {
        file.reset(std::fopen(settings.json.c_str(), "w"));
        if (!file) throw std::runtime_error("cannot write " + settings.json);
    }
    std::FILE* const json = to_stdout ? stdout : file.get();
    if (json) write_json_header(json, settings);
    const Outcome outcome = conduct(settings, [json](const Figure& figure) {
        if (json) write_json(json, figure);
    });
    for (const Row* row : outcome.unsupported)
        if (json) write_json(json, *row);
    if (!to_stdout) write_table(stdout, outcome);
    return outcome.failures == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
    ::signal(SIGPIPE, SIG_IGN);
    try {
        const Settings settings = Settings::parse(count, words);
        if (settings.help) return std::fputs(usage, stdout), 0;
        if (settings.list) return list(), 0;
        return settings.end.empty() ? conduct_all(settings) : play(settings);
    } catch (const std::invalid_argument& error) {
        std::fprintf(stderr, "post_bench: %s (see --help)\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "post_bench: %s\n", error.what());
        return 1;
    }
}
