// Numbers on command lines, for the programs here.
#pragma once

#include <charconv>
#include <stdexcept>
#include <string>
#include <string_view>

// Throws std::invalid_argument for what is none, or too large.
template <class Number> Number number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        throw std::invalid_argument("not a number: " + std::string(text));
    return value;
}
