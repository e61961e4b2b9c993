// The file of preferences, in INI. The grammar is so small, and has to say file, line and reason of
// every mistake, that it is read here: the packaged readers of INI skip what they do not know, cut
// long lines, or keep no line numbers.
#include <array>

#include <post/policy.hpp>

namespace post {

namespace {

constexpr std::size_t most_interfaces = 64;
constexpr std::size_t longest_name = 15;  // IFNAMSIZ of Linux, without its end
constexpr std::array types{InterfaceType::loopback, InterfaceType::wired,  InterfaceType::wifi,
                           InterfaceType::cellular, InterfaceType::tunnel, InterfaceType::other};

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// What a message shows of a file, which may hold anything.
std::string shown(std::string_view text) {
    std::string safe = "'";
    for (const char c : text.substr(0, 40)) safe += c < ' ' || c > '~' ? '?' : c;
    return safe + (text.size() > 40 ? "...'" : "'");
}

std::optional<InterfaceType> type_of(std::string_view name) {
    for (const InterfaceType each : types)
        if (to_string(each) == name) return each;
    return std::nullopt;
}

class Reading {
public:
    // What is wrong with the line; empty: nothing.
    std::string take(std::string_view line) {
        line = trimmed(line.substr(0, line.find_first_of(";#")));
        if (line.empty()) return {};
        if (line.front() == '[') return take_section(line);
        const auto equals = line.find('=');
        if (equals == std::string_view::npos) return "neither [section] nor name = preference";
        const std::string_view name = trimmed(line.substr(0, equals));
        const std::string_view value = trimmed(line.substr(equals + 1));
        const auto preference = preference_of(value);
        if (!preference) return shown(value) + " is none of require, prefer, none, avoid, prohibit";
        switch (section_) {
            case Section::none: return "it stands before the first [section]";
            case Section::features: return take_feature(name, *preference);
            case Section::stacks: return take_stack(name, *preference);
            case Section::interfaces: return take_interface(name, *preference);
        }
        return {};
    }
    Preferences take_all() { return std::move(preferences_); }

private:
    enum class Section : std::uint8_t { none, features, stacks, interfaces };

    std::string take_section(std::string_view line) {
        if (line == "[features]")
            section_ = Section::features;
        else if (line == "[stacks]")
            section_ = Section::stacks;
        else if (line == "[interfaces]" || line == "[pvd]")
            section_ = Section::interfaces;
        else
            return shown(line) + " is none of [features], [stacks], [interfaces], [pvd]";
        return {};
    }
    std::string take_feature(std::string_view name, Preference preference) {
        const auto feature = feature_of(name);
        if (!feature) return shown(name) + " is no feature";
        if (*feature == Feature::security && preference < Preference::prefer)
            return "a system cannot weaken security: prefer or require";
        if (!preferences_.features.emplace(*feature, preference).second) return twice(name);
        return {};
    }
    std::string take_stack(std::string_view name, Preference preference) {
        const auto stack = stack_of(name);
        if (!stack) return shown(name) + " is no stack";
        if (!preferences_.stacks.emplace(*stack, preference).second) return twice(name);
        return {};
    }
    std::string take_interface(std::string_view name, Preference preference) {
        InterfacePreference made{.preference = preference};
        if (name.starts_with("type ")) {
            made.type = type_of(trimmed(name.substr(5)));
            if (!made.type)
                return shown(trimmed(name.substr(5))) +
                       " is none of loopback, wired, wifi, cellular, tunnel, other";
        } else if (name.empty() || name.size() > longest_name ||
                   name.find_first_of(" \t/") != std::string_view::npos) {
            return shown(name) + " is no name of an interface";
        } else {
            made.name = std::string(name);
        }
        for (const InterfacePreference& each : preferences_.interfaces)
            if (each.name == made.name && each.type == made.type) return twice(name);
        if (preferences_.interfaces.size() == most_interfaces)
            return "more than " + std::to_string(most_interfaces) + " interfaces";
        preferences_.interfaces.push_back(std::move(made));
        return {};
    }
    static std::string twice(std::string_view name) { return shown(name) + " stands there twice"; }

    Section section_ = Section::none;
    Preferences preferences_;
};

}  // namespace

Preferences::Preferences() = default;

Result<Preferences> Preferences::parse(std::string_view text, std::string_view file) {
    Reading reading;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = text.find('\n');
        if (std::string wrong = reading.take(text.substr(0, end)); !wrong.empty())
            return Error(
                Errc::invalid_argument, {}, Stage::call,
                Bytes(std::string(file) + ":" + std::to_string(number) + ": " + std::move(wrong)));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return reading.take_all();
}

std::string Preferences::string() const {
    std::string text;
    const auto add = [&](const std::string& name, Preference preference) {
        text += name + " = " + to_string(preference) + "\n";
    };
    if (!features.empty()) text += "[features]\n";
    for (const auto& [feature, preference] : features) add(to_string(feature), preference);
    if (!stacks.empty()) text += "[stacks]\n";
    for (const auto& [stack, preference] : stacks) add(to_string(stack), preference);
    if (!interfaces.empty()) text += "[interfaces]\n";
    for (const InterfacePreference& each : interfaces)
        add(each.type ? std::string("type ") + to_string(*each.type) : each.name, each.preference);
    return text;
}

}  // namespace post
