// What is required and prohibited refuses; what is preferred and avoided is counted.
#include "lib/policy/selection.hpp"

#include <algorithm>

#include "lib/policy/features.hpp"
#include "lib/policy/stacks.hpp"

namespace post::core {

namespace {

template <class Key> struct Wish {
    Key about;
    Preference preference;
    bool of_system;
};

// The system fills in what the application says nothing of.
template <class Key>
std::vector<Wish<Key>> merge(const std::map<Key, Preference>& application,
                             const std::map<Key, Preference>& system) {
    std::vector<Wish<Key>> wishes;
    for (const auto& [about, preference] : application)
        wishes.push_back({about, preference, false});
    for (const auto& [about, preference] : system)
        if (!application.contains(about)) wishes.push_back({about, preference, true});
    return wishes;
}

Preference weakened(Preference preference) {
    if (preference == Preference::require) return Preference::prefer;
    if (preference == Preference::prohibit) return Preference::avoid;
    return preference;
}

// Moves the system's demands out of the way; what was moved.
template <class Key> std::vector<Wish<Key>> relax(std::vector<Wish<Key>>& wishes) {
    std::vector<Wish<Key>> relaxed;
    for (Wish<Key>& wish : wishes) {
        if (!wish.of_system || weakened(wish.preference) == wish.preference) continue;
        relaxed.push_back(wish);
        wish.preference = weakened(wish.preference);
    }
    return relaxed;
}

std::string quoted(const char* name) { return "'" + std::string(name) + "'"; }
std::string by(bool of_system) { return of_system ? " by the system" : ""; }

struct Wishes {
    std::vector<Wish<Feature>> features;
    std::vector<Wish<Stack>> stacks;
};

// How well a stack meets them; `refused` says why it does not.
struct Verdict {
    int score = 0;
    std::string refused;
    std::string reason;
};

void count(Verdict& verdict, Preference preference, bool has, const std::string& what) {
    if (preference == Preference::prefer && has) {
        ++verdict.score;
        verdict.reason += "; " + what + " is preferred";
    } else if (preference == Preference::avoid && has) {
        --verdict.score;
        verdict.reason += "; " + what + " is to be avoided";
    }
}

Verdict judge(Stack stack, const Wishes& wishes, bool plain) {
    Verdict verdict;
    const auto refuse = [&](const std::string& why) {
        if (!verdict.refused.empty()) verdict.refused += "; ";
        verdict.refused += why;
    };
    for (const Wish<Feature>& wish : wishes.features) {
        const Support support = explain(stack, wish.about, expected(stack, plain));
        const bool has = support.level != Support::Level::unsupported;
        const std::string name = quoted(to_string(wish.about));
        if (wish.preference == Preference::require && !has)
            refuse(name + " is required" + by(wish.of_system) +
                   ", and unsupported: " + support.reason);
        if (wish.preference == Preference::prohibit && has)
            refuse(name + " is prohibited" + by(wish.of_system) + ", and " +
                   to_string(support.level) + ": " + support.reason);
        count(verdict, wish.preference, has, name);
    }
    bool wanted = true;
    std::string instead;
    for (const Wish<Stack>& wish : wishes.stacks) {
        const bool has = wish.about == stack;
        if (wish.preference == Preference::require) {
            if (instead.empty()) wanted = false;
            if (has) wanted = true;
            instead += (instead.empty() ? "" : ", ") + std::string(to_string(wish.about)) +
                       by(wish.of_system);
        }
        if (wish.preference == Preference::prohibit && has)
            refuse("the stack is prohibited" + by(wish.of_system));
        count(verdict, wish.preference, has, "the stack");
    }
    if (!wanted) refuse("required is " + instead);
    return verdict;
}

struct Ranked {
    Selection::Chosen chosen;
    int score;
};

std::vector<Ranked> rank(const Policy& policy, const Wishes& wishes, bool plain,
                         Selection& selection) {
    std::vector<Ranked> ranked;
    selection.refused.clear();
    int number = 0;
    for (const Stack stack : policy.stacks) {
        ++number;
        const bool secure = row(stack).secure;
        if (!secure && policy.security == Security::required) {
            selection.refused.push_back({stack, "not secure, and security is required"});
            continue;
        }
        if (plain && !row(stack).plain) {
            selection.refused.push_back({stack, "on it only Post peers are served"});
            continue;
        }
        Verdict verdict = judge(stack, wishes, plain);
        if (!verdict.refused.empty()) {
            selection.refused.push_back({stack, std::move(verdict.refused)});
            continue;
        }
        std::string reason = "number " + std::to_string(number) + " of the policy's stacks";
        reason += verdict.reason;
        if (!secure) reason += "; not secure: after every secure one has failed";
        ranked.push_back({{stack, secure, std::move(reason)}, verdict.score});
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
        if (a.chosen.secure != b.chosen.secure) return a.chosen.secure;
        return a.score > b.score;
    });
    return ranked;
}

Error nothing_left(const Selection& selection) {
    std::string text = "no stack of the policy can do what is required:";
    if (selection.refused.empty()) text = "the policy names no stack";
    for (const Selection::Refused& refused : selection.refused)
        text += "\n  " + std::string(to_string(refused.stack)) + ": " + refused.reason;
    return Error(Errc::unsupported, {}, Stage::call, Bytes(std::move(text)));
}

}  // namespace

std::vector<Stack> Selection::stacks(bool secure) const {
    std::vector<Stack> all;
    for (const Chosen& each : chosen)
        if (each.secure == secure) all.push_back(each.stack);
    return all;
}

Selection select(const Policy& policy, const Preferences& system, bool plain) {
    Selection selection;
    Wishes wishes{merge(policy.preferences.features, system.features),
                  merge(policy.preferences.stacks, system.stacks)};
    std::vector<Ranked> ranked = rank(policy, wishes, plain, selection);
    if (ranked.empty()) {
        for (const auto& wish : relax(wishes.features))
            selection.relaxed.push_back(quoted(to_string(wish.about)) + ": " +
                                        to_string(wish.preference));
        for (const auto& wish : relax(wishes.stacks))
            selection.relaxed.push_back(std::string(to_string(wish.about)) + ": " +
                                        to_string(wish.preference));
        if (!selection.relaxed.empty()) ranked = rank(policy, wishes, plain, selection);
    }
    for (Ranked& each : ranked) selection.chosen.push_back(std::move(each.chosen));
    if (selection.chosen.empty()) selection.error = nothing_left(selection);
    return selection;
}

}  // namespace post::core

namespace post {

namespace {

Policy profile(std::map<Feature, Preference> features) {
    Policy policy;
    policy.preferences.features = std::move(features);
    return policy;
}

}  // namespace

Policy Policy::reliable_messages() {
    return profile({{Feature::reliability, Preference::require},
                    {Feature::order, Preference::require},
                    {Feature::congestion_control, Preference::require},
                    {Feature::message_boundaries, Preference::require}});
}

Policy Policy::reliable_stream() {
    return profile({{Feature::reliability, Preference::require},
                    {Feature::order, Preference::require},
                    {Feature::congestion_control, Preference::require}});
}

Policy Policy::unreliable_datagrams() {
    return profile({{Feature::reliability, Preference::avoid},
                    {Feature::order, Preference::avoid},
                    {Feature::message_boundaries, Preference::require},
                    {Feature::unreliable, Preference::prefer}});
}

std::vector<Policy::StackSupport> Policy::explain(Feature feature,
                                                  const Preferences& system) const {
    std::vector<StackSupport> all;
    for (const auto& each : core::select(*this, system).chosen)
        all.push_back(
            {each.stack, core::explain(each.stack, feature, core::expected(each.stack, false))});
    return all;
}

std::string Policy::explain(const Preferences& system) const {
    const core::Selection selection = core::select(*this, system);
    std::string text;
    for (const auto& each : selection.chosen)
        text += std::string(to_string(each.stack)) + ": " + each.reason + "\n";
    for (const auto& each : selection.refused)
        text += "not " + std::string(to_string(each.stack)) + ": " + each.reason + "\n";
    for (const std::string& each : selection.relaxed)
        text += "the system's wish gives way: " + each + "\n";
    for (const auto& each : selection.chosen) {
        text += "\n" + std::string(to_string(each.stack)) + "\n";
        const std::string lines = to_string(
            core::explain(each.stack, core::expected(each.stack, false)));
        for (std::size_t at = 0; at < lines.size();) {
            const std::size_t end = lines.find('\n', at) + 1;
            text += "  " + lines.substr(at, end - at);
            at = end;
        }
    }
    return text;
}

}  // namespace post
