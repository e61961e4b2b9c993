// Keys are written and read as netstrings without their commas.
#include "lib/association/sharing.hpp"

#include <charconv>

namespace post::core {

namespace {

void put(std::string& text, std::string_view part) {
    text += std::to_string(part.size());
    text += ':';
    text += part;
}

// The first part, which leaves `text`; empty when it is no such text.
std::string_view take(std::string_view& text) {
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    const auto digits = static_cast<std::size_t>(end - text.data());
    if (error != std::errc() || digits >= text.size() || text[digits] != ':' ||
        size > text.size() - digits - 1) {
        text = {};
        return {};
    }
    const std::string_view part = text.substr(digits + 1, size);
    text.remove_prefix(digits + 1 + size);
    return part;
}

}  // namespace

void SharingKey::add(Reuse::Aspect aspect, std::string_view part) {
    put(aspects_[static_cast<std::size_t>(aspect)], part);
}

std::string SharingKey::text() const {
    std::string text;
    put(text, remote_);
    for (const std::string& aspect : aspects_) put(text, aspect);
    return text;
}

std::string_view remote_of(std::string_view key) { return take(key); }

std::vector<Reuse::Aspect> differences(std::string_view a, std::string_view b) {
    std::vector<Reuse::Aspect> all;
    take(a), take(b);
    for (std::uint8_t i = 0; i < reuse_aspect_count; ++i)
        if (take(a) != take(b)) all.push_back(static_cast<Reuse::Aspect>(i));
    return all;
}

}  // namespace post::core
