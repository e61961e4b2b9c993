// Which interfaces may be used, in which order (RFC 9622, 6.2.11).
#include <algorithm>

#include "lib/policy/selection.hpp"

namespace post::core {

namespace {

std::string name_of(const InterfacePreference& about) {
    std::string text = about.name.empty() ? "" : "interface " + about.name;
    if (about.type)
        text += (text.empty() ? "" : ", ") + std::string("type ") + to_string(*about.type);
    return text.empty() ? "any interface" : text;
}

bool matches(const InterfacePreference& about, const LocalPath& path) {
    return (about.name.empty() || about.name == path.interface) &&
           (!about.type || *about.type == path.type);
}

// The application's before the system's, and in each a name before a type.
const InterfacePreference* find(const LocalPath& path, const Preferences& application,
                                const Preferences& system) {
    for (const auto* from : {&application, &system})
        for (const bool named : {true, false})
            for (const InterfacePreference& each : from->interfaces)
                if (each.name.empty() != named && matches(each, path)) return &each;
    return nullptr;
}

}  // namespace

PathSelection select_paths(const std::vector<LocalPath>& paths, const Policy& policy,
                           const Preferences& system) {
    PathSelection selection;
    // The system's demand holds only where the application has none of its own.
    std::string required;
    for (const auto* from : {&policy.preferences, &system})
        if (required.empty())
            for (const InterfacePreference& each : from->interfaces)
                if (each.preference == Preference::require)
                    required += (required.empty() ? "" : " or ") + name_of(each);
    std::vector<std::pair<int, LocalPath>> ranked;
    for (const LocalPath& path : paths) {
        const InterfacePreference* found = find(path, policy.preferences, system);
        const Preference preference = found ? found->preference : Preference::none;
        if (preference == Preference::prohibit)
            selection.refused.push_back({path, name_of(*found) + " is prohibited"});
        else if (!required.empty() && preference != Preference::require)
            selection.refused.push_back({path, "required is " + required});
        else
            ranked.emplace_back(static_cast<int>(preference), path);
    }
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    for (auto& [preference, path] : ranked) selection.chosen.push_back(std::move(path));
    if (!selection.chosen.empty() || paths.empty()) return selection;
    std::string text = "no interface may be used:";
    for (const auto& each : selection.refused)
        text += "\n  " + each.path.interface + ": " + each.reason;
    selection.error = Error(Errc::unsupported, {}, Stage::call, Bytes(std::move(text)));
    return selection;
}

}  // namespace post::core

namespace post {

const char* to_string(InterfaceType type) noexcept {
    switch (type) {
        case InterfaceType::loopback: return "loopback";
        case InterfaceType::wired: return "wired";
        case InterfaceType::wifi: return "wifi";
        case InterfaceType::cellular: return "cellular";
        case InterfaceType::tunnel: return "tunnel";
        case InterfaceType::other: return "other";
    }
    return "unknown";
}

}  // namespace post
