// Which interfaces may be used, in which order (RFC 9622, 6.2.11).
#include "lib/policy/paths.hpp"

#include <algorithm>

namespace post::core {

namespace {

std::string name_of(const InterfacePreference& about) {
    std::string text = about.name.empty() ? "" : "interface " + about.name;
    if (about.type)
        text += (text.empty() ? "" : ", ") + std::string("type ") + to_string(*about.type);
    return text.empty() ? "any interface" : text;
}

bool matches(const InterfacePreference& about, const Interface& interface) {
    return (about.name.empty() || about.name == interface.name) &&
           (!about.type || *about.type == interface.type);
}

// The application's before the system's, and in each a name before a type.
const InterfacePreference* find(const Interface& interface, const Preferences& application,
                                const Preferences& system) {
    for (const auto* from : {&application, &system})
        for (const bool named : {true, false})
            for (const InterfacePreference& each : from->interfaces)
                if (each.name.empty() != named && matches(each, interface)) return &each;
    return nullptr;
}

// The system's demand holds only where the application has none of its own.
std::string requirement(const Preferences& application, const Preferences& system) {
    std::string required;
    for (const auto* from : {&application, &system})
        if (required.empty())
            for (const InterfacePreference& each : from->interfaces)
                if (each.preference == Preference::require)
                    required += (required.empty() ? "" : " or ") + name_of(each);
    return required;
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

// In the order of the Local's names, where it has some.
std::vector<const Interface*> named_ones(const std::vector<Interface>& interfaces,
                                         const Local& local, PathSelection& selection) {
    std::vector<const Interface*> taken;
    const auto take = [&](const Interface& each) {
        if (std::find(taken.begin(), taken.end(), &each) == taken.end()) taken.push_back(&each);
    };
    if (local.interfaces.empty())
        for (const Interface& each : interfaces) take(each);
    for (const std::string& named : local.interfaces)
        for (const Interface& each : interfaces)
            if (is_named(each, named)) take(each);
    for (const Interface& each : interfaces)
        if (std::find(taken.begin(), taken.end(), &each) == taken.end())
            selection.refused.push_back({each.name, "the Local names " + joined(local.interfaces)});
    return taken;
}

// Everything there is, each with the reason why it is not taken.
Error nothing_left(const std::vector<Interface>& interfaces, const std::string& required,
                   const Local& local, const PathSelection& selection) {
    std::string text = "no interface may be used:";
    if (!local.interfaces.empty())
        text = "no interface is left of those that the Local names, " + joined(local.interfaces) +
               "; there are:";
    else if (!required.empty())
        text = "required is " + required + "; there are:";
    for (const Interface& each : interfaces) {
        text += "\n  " + each.string();
        for (const auto& refused : selection.refused)
            if (refused.interface == each.name) text += ": " + refused.reason;
    }
    if (interfaces.empty()) text += "\n  none that is up";
    return Error(Errc::no_route, {}, Stage::call, Bytes(std::move(text)));
}

}  // namespace

bool PathSelection::needed(const Local& local, const Policy& policy, const Preferences& system) {
    return !local.interfaces.empty() || !policy.preferences.interfaces.empty() ||
           !system.interfaces.empty();
}

// A name first: an interface may be called "2".
bool is_named(const Interface& interface, const std::string& named) {
    if (interface.name == named || std::to_string(interface.index) == named) return true;
    const auto address = Address::parse(named);
    return address && std::any_of(interface.sources.begin(), interface.sources.end(),
                                  [&](const Interface::Source& source) {
                                      return source.address.family == address->family &&
                                             source.address.ip == address->ip;
                                  });
}

PathSelection select_paths(const std::vector<Interface>& interfaces, const Policy& policy,
                           const Preferences& system, const Local& local) {
    PathSelection selection;
    const std::string required = requirement(policy.preferences, system);
    std::vector<std::pair<int, const Interface*>> ranked;
    for (const Interface* each : named_ones(interfaces, local, selection)) {
        const InterfacePreference* found = find(*each, policy.preferences, system);
        const Preference preference = found ? found->preference : Preference::none;
        if (preference == Preference::prohibit)
            selection.refused.push_back({each->name, name_of(*found) + " is prohibited"});
        else if (!required.empty() && preference != Preference::require)
            selection.refused.push_back({each->name, "required is " + required});
        else
            ranked.emplace_back(static_cast<int>(preference), each);
    }
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    for (const auto& [preference, each] : ranked) {
        if (selection.chosen.size() < most_paths)
            selection.chosen.push_back(*each);
        else
            selection.refused.push_back({each->name, "beyond the " + std::to_string(most_paths) +
                                                         " paths that are tried at most"});
    }
    if (selection.chosen.empty())
        selection.error = nothing_left(interfaces, required, local, selection);
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
