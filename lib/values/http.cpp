// Alt-Svc (RFC 7838, 3), read with no more patience than it deserves.
#include <post/http.hpp>

#include <algorithm>
#include <optional>

namespace post::http {

namespace {

constexpr std::size_t most_alternatives = 16;

std::string_view trimmed(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

// What stands before the next `mark` that is not quoted; the rest stays in `text`.
std::string_view next_part(std::string_view& text, char mark) {
    bool quoted = false;
    std::size_t at = 0;
    for (; at < text.size(); ++at) {
        if (text[at] == '"') quoted = !quoted;
        if (text[at] == mark && !quoted) break;
    }
    const std::string_view part = text.substr(0, at);
    text.remove_prefix(std::min(at + 1, text.size()));
    return trimmed(part);
}

template <class Number> bool read(std::string_view text, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size();
}

std::string_view unquoted(std::string_view text) {
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
        return text.substr(1, text.size() - 2);
    return text;
}

std::optional<Alternative> read_one(std::string_view text) {
    const std::string_view service = next_part(text, ';');
    const std::size_t equals = service.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view authority = unquoted(trimmed(service.substr(equals + 1)));
    const std::size_t colon = authority.rfind(':');
    Alternative one;
    one.alpn = trimmed(service.substr(0, equals));
    if (colon == std::string_view::npos || one.alpn.empty()) return std::nullopt;
    one.host = authority.substr(0, colon);
    if (!read(authority.substr(colon + 1), one.port) || one.port == 0) return std::nullopt;
    while (!text.empty()) {
        const std::string_view parameter = next_part(text, ';');
        std::uint32_t seconds = 0;
        if (parameter.starts_with("ma=") && read(unquoted(parameter.substr(3)), seconds))
            one.max_age = std::chrono::seconds(seconds);
    }
    return one;
}

}  // namespace

std::vector<Alternative> alternatives(const Properties& fields) {
    std::vector<Alternative> all;
    for (const auto& [name, value] : fields) {
        if (name != "alt-svc") continue;
        for (std::string_view text = value; !text.empty() && all.size() < most_alternatives;)
            if (auto one = read_one(next_part(text, ','))) all.push_back(*std::move(one));
    }
    return all;
}

}  // namespace post::http
