// JSON lines and the table.
#include "output.hpp"

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <sys/utsname.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "statistics.hpp"

namespace post::bench {

namespace {

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (static_cast<unsigned char>(c) >= 0x20) out += c;
    }
    return out + '"';
}

std::string processor() {
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    return "unknown";
}

// Three or four digits that mean something, and no more.
std::string shown(double value) {
    char text[32];
    const char* format = value >= 1000 ? "%.0f" : value >= 100 ? "%.1f" : "%.3g";
    std::snprintf(text, sizeof text, format, value);
    return text;
}

}  // namespace

void write_json_header(std::FILE* file, const Settings& settings) {
    utsname system{};
    ::uname(&system);
    std::fprintf(file,
                 "{\"header\": true, \"ngtcp2\": %s, \"gnutls\": %s, \"linux\": %s, "
                 "\"processor\": %s, \"cores\": %zu, \"stack\": %s, \"protection\": %s, "
                 "\"rounds\": %u, "
                 "\"seconds\": %g, \"payload\": %zu}\n",
                 quoted(ngtcp2_version(0)->version_str).c_str(),
                 quoted(gnutls_check_version(nullptr)).c_str(), quoted(system.release).c_str(),
                 quoted(processor()).c_str(), cores().size(), quoted(settings.stack).c_str(),
                 quoted(settings.protection).c_str(), settings.rounds, settings.seconds,
                 settings.payload);
    std::fflush(file);
}

void write_json(std::FILE* file, const Figure& figure) {
    std::fprintf(file,
                 "{\"row\": %s, \"name\": %s, \"value\": %.9g, \"unit\": %s, \"round\": %u}\n",
                 quoted(figure.row).c_str(), quoted(figure.name).c_str(), figure.value,
                 quoted(figure.unit).c_str(), figure.round);
    std::fflush(file);
}

void write_json(std::FILE* file, const Row& unsupported) {
    std::fprintf(file, "{\"row\": %s, \"unsupported\": %s}\n", quoted(unsupported.name).c_str(),
                 quoted(unsupported.unsupported).c_str());
    std::fflush(file);
}

void write_table(std::FILE* file, const Outcome& outcome) {
    std::vector<std::vector<const Figure*>> groups;
    for (const Figure& figure : outcome.figures) {
        const auto same = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
            return group[0]->row == figure.row && group[0]->name == figure.name;
        });
        if (same == groups.end())
            groups.push_back({&figure});
        else
            same->push_back(&figure);
    }
    // The figures of a row stand together, in the order of the first round.
    std::fprintf(file, "%-20s %-26s %10s  %-21s %s\n", "row", "figure", "median", "range", "unit");
    std::string last;
    for (const auto& group : groups) {
        std::vector<double> values;
        for (const Figure* figure : group) values.push_back(figure->value);
        const auto [least, most] = std::minmax_element(values.begin(), values.end());
        const std::string range = values.size() == 1
                                      ? ""
                                      : "[" + shown(*least) + " - " + shown(*most) + "]";
        const Figure& first = *group[0];
        std::fprintf(file, "%-20s %-26s %10s  %-21s %s\n",
                     first.row == last ? "" : first.row.c_str(), first.name.c_str(),
                     shown(median(values)).c_str(), range.c_str(), first.unit.c_str());
        last = first.row;
    }
    for (const Row* row : outcome.unsupported)
        std::fprintf(file, "%-20s unsupported: %s\n", std::string(row->name).c_str(),
                     std::string(row->unsupported).c_str());
}

}  // namespace post::bench
