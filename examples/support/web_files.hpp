// A folder as a web server sees it: what a path stands for, and what is said of a file.
#pragma once

#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace example {

// RFC 3986, 2.1; nothing for what is no text of that kind, or has a zero in it.
inline std::optional<std::string> unescaped(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char letter = text[i];
        if (letter == '%') {
            unsigned value = 0;
            const char* const from = text.data() + i + 1;
            if (text.size() - i < 3) return std::nullopt;
            const auto [end, error] = std::from_chars(from, from + 2, value, 16);
            if (error != std::errc{} || end != from + 2) return std::nullopt;
            letter = static_cast<char>(value);
            i += 2;
        }
        if (letter == '\0') return std::nullopt;
        plain += letter;
    }
    return plain;
}

inline std::string escaped(std::string_view text) {
    std::string safe;
    for (const char letter : text) {
        const auto code = static_cast<unsigned char>(letter);
        const bool plain = (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') ||
                           (code >= 'A' && code <= 'Z') || letter == '-' || letter == '.' ||
                           letter == '_' || letter == '~' || letter == '/';
        char hex[4];
        std::snprintf(hex, sizeof hex, "%%%02X", code);
        plain ? safe += letter : safe += hex;
    }
    return safe;
}

inline std::string html(std::string_view text) {
    std::string safe;
    for (const char letter : text) {
        switch (letter) {
            case '<': safe += "&lt;"; break;
            case '>': safe += "&gt;"; break;
            case '&': safe += "&amp;"; break;
            case '"': safe += "&quot;"; break;
            default: safe += letter;
        }
    }
    return safe;
}

// What a path stands for below `root`; nothing for what leads out of it, by ".." or by a link.
inline std::optional<std::filesystem::path> inside(const std::filesystem::path& root,
                                                   std::string_view target) {
    const auto path = unescaped(target.substr(0, target.find('?')));
    if (!path || !path->starts_with('/')) return std::nullopt;
    std::error_code error;
    const auto real = std::filesystem::canonical(root / path->substr(1), error);
    if (error) return std::nullopt;
    const auto base = std::filesystem::canonical(root, error);
    const auto differs = std::mismatch(base.begin(), base.end(), real.begin(), real.end());
    if (error || differs.first != base.end()) return std::nullopt;
    return real;
}

inline std::string_view type_of(const std::filesystem::path& path) {
    using Row = std::pair<std::string_view, std::string_view>;
    static constexpr std::array rows{
        Row{".html", "text/html; charset=utf-8"},
        Row{".htm", "text/html; charset=utf-8"},
        Row{".css", "text/css; charset=utf-8"},
        Row{".js", "text/javascript; charset=utf-8"},
        Row{".json", "application/json"},
        Row{".txt", "text/plain; charset=utf-8"},
        Row{".md", "text/plain; charset=utf-8"},
        Row{".hpp", "text/plain; charset=utf-8"},
        Row{".cpp", "text/plain; charset=utf-8"},
        Row{".png", "image/png"},
        Row{".jpg", "image/jpeg"},
        Row{".jpeg", "image/jpeg"},
        Row{".gif", "image/gif"},
        Row{".svg", "image/svg+xml"},
        Row{".webp", "image/webp"},
        Row{".ico", "image/x-icon"},
        Row{".pdf", "application/pdf"},
        Row{".wasm", "application/wasm"},
        Row{".mp4", "video/mp4"},
        Row{".webm", "video/webm"},
        Row{".mp3", "audio/mpeg"},
        Row{".woff2", "font/woff2"},
    };
    const std::string extension = path.extension().string();
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const Row& one) { return one.first == extension; });
    return row == rows.end() ? "application/octet-stream" : row->second;
}

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), whatever the locale.
inline std::string http_date(std::time_t time) {
    static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm at{};
    gmtime_r(&time, &at);
    char text[64];
    std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[at.tm_wday],
                  at.tm_mday, months[at.tm_mon], at.tm_year + 1900, at.tm_hour, at.tm_min,
                  at.tm_sec);
    return text;
}

struct FileFacts {
    std::uint64_t size = 0;
    std::string etag;
    std::string modified;
};
inline std::optional<FileFacts> facts_of(const std::filesystem::path& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return std::nullopt;
    char tag[64];
    std::snprintf(tag, sizeof tag, "\"%llx-%llx\"", static_cast<unsigned long long>(status.st_size),
                  static_cast<unsigned long long>(status.st_mtim.tv_sec) * 1'000'000'000ULL +
                      static_cast<unsigned long long>(status.st_mtim.tv_nsec));
    return FileFacts{static_cast<std::uint64_t>(status.st_size), tag,
                     http_date(status.st_mtim.tv_sec)};
}

// RFC 9110, 14.1.2, one range alone. `wrong`: it is outside of the file (416).
struct ByteRange {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    bool wrong = false;
};
inline std::optional<ByteRange> range_of(std::string_view text, std::uint64_t size) {
    if (!text.starts_with("bytes=")) return std::nullopt;
    text.remove_prefix(6);
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos || text.find(',') != std::string_view::npos)
        return std::nullopt;
    const auto read = [](std::string_view digits) -> std::optional<std::uint64_t> {
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(),
                                                  value);
        if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
        return value;
    };
    const auto first = read(text.substr(0, dash));
    const auto last = read(text.substr(dash + 1));
    if (!first && !last) return std::nullopt;
    if (!first) {
        const std::uint64_t count = std::min(*last, size);
        return ByteRange{size - count, count, count == 0};
    }
    if (dash + 1 < text.size() && (!last || *last < *first)) return std::nullopt;
    if (*first >= size) return ByteRange{.wrong = true};
    const std::uint64_t end = last ? std::min(*last, size - 1) : size - 1;
    return ByteRange{*first, end - *first + 1};
}

// A page that lists a folder, those that are folders first.
inline std::string listing(const std::filesystem::path& folder, std::string_view target) {
    std::vector<std::pair<bool, std::string>> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error))
        names.emplace_back(!entry.is_directory(error), entry.path().filename().string());
    std::sort(names.begin(), names.end());
    const std::string title = html(unescaped(target.substr(0, target.find('?'))).value_or("/"));
    std::string page = "<!doctype html><html lang=en><meta charset=utf-8><title>" + title +
                       "</title><style>body{font:16px/1.6 system-ui;max-width:50em;margin:2em "
                       "auto;padding:0 1em}a{text-decoration:none}a:hover{text-decoration:"
                       "underline}</style><h1>" +
                       title + "</h1><ul>\n";
    if (target != "/") page += "<li><a href=\"../\">../</a>\n";
    for (const auto& [file, name] : names) {
        const std::string slash = file ? "" : "/";
        page += "<li><a href=\"./" + escaped(name) + slash + "\">" + html(name) + slash + "</a>\n";
    }
    return page + "</ul></html>\n";
}

}  // namespace example
