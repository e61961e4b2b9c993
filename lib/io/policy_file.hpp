// The system's file of preferences: where it stands (post/policy.hpp, Preferences), and reading it.
#pragma once

#include <optional>
#include <string>

#include <post/policy.hpp>
#include <post/result.hpp>

namespace post::io {

// What decides where it stands. An unset variable is none.
struct PolicyEnvironment {
    std::optional<std::string> named{};        // POST_POLICY
    std::optional<std::string> config_home{};  // XDG_CONFIG_HOME
    std::optional<std::string> home{};         // HOME
    std::string system = "/etc/post/policy.ini";
};
// That of this process; nothing but `system` where it gained rights when it started.
PolicyEnvironment policy_environment();

// The preferences of the first file that there is; none of them: no preferences. That the named one
// is missing is an error (Errc::file), and so is every mistake (invalid_argument).
Result<Preferences> read_policy(const PolicyEnvironment& environment);

}  // namespace post::io
