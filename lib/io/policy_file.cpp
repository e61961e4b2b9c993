// The environment names files; the first that there is counts.
#include "lib/io/policy_file.hpp"

#include <cerrno>
#include <cstdlib>

namespace post::io {

namespace {

std::optional<std::string> variable(const char* name) {
    const char* value = ::secure_getenv(name);
    return value ? std::optional<std::string>(value) : std::nullopt;
}

// The base directory specification of XDG: what is not absolute is to be ignored.
bool absolute(const std::optional<std::string>& folder) {
    return folder && folder->starts_with('/');
}

bool missing(const Error& error) {
    return error == Errc::file && error.cause.category() == std::generic_category() &&
           (error.cause.value() == ENOENT || error.cause.value() == ENOTDIR);
}

}  // namespace

PolicyEnvironment policy_environment() {
    return {.named = variable("POST_POLICY"),
            .config_home = variable("XDG_CONFIG_HOME"),
            .home = variable("HOME")};
}

Result<Preferences> read_policy(const PolicyEnvironment& environment) {
    if (environment.named) {
        if (environment.named->empty()) return Preferences();
        return Preferences::read(*environment.named);
    }
    std::vector<std::string> places;
    if (absolute(environment.config_home))
        places.push_back(*environment.config_home + "/post/policy.ini");
    else if (absolute(environment.home))
        places.push_back(*environment.home + "/.config/post/policy.ini");
    places.push_back(environment.system);
    for (const std::string& place : places) {
        auto read = Preferences::read(place);
        if (read || !missing(read.error())) return read;
    }
    return Preferences();
}

}  // namespace post::io
