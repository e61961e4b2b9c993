// The system's file of preferences: which one counts, and what is wrong with it.
#include "lib/io/policy_file.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

namespace post::test {

namespace {

namespace fs = std::filesystem;

struct Files {
    Files() {
        std::string name = (fs::temp_directory_path() / "post-policy-").string() +
                           std::string(6, 'X');
        folder = mkdtemp(name.data());
        environment = {.config_home = folder / "config",
                       .home = folder / "home",
                       .system = folder / "etc.ini"};
    }
    ~Files() { fs::remove_all(folder); }
    void put(const fs::path& name, const std::string& text) const {
        fs::create_directories((folder / name).parent_path());
        std::ofstream(folder / name) << text;
    }
    // The stack that the file which counts speaks of; empty: none.
    std::string spoken_of() const {
        const auto read = io::read_policy(environment);
        REQUIRE(read);
        return read->stacks.empty() ? "" : to_string(read->stacks.begin()->first);
    }
    fs::path folder;
    io::PolicyEnvironment environment;
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("the first file that there is counts, alone") {
        Files files;
        CHECK(files.spoken_of().empty());
        files.put("etc.ini", "[stacks]\nquic = avoid\n");
        CHECK(files.spoken_of() == "quic");
        files.put("config/post/policy.ini", "[stacks]\ntls = avoid\n");
        CHECK(files.spoken_of() == "tls");
        files.put("named.ini", "[stacks]\nsctp-dtls = avoid\n");
        files.environment.named = files.folder / "named.ini";
        CHECK(files.spoken_of() == "sctp-dtls");
        files.environment.named = "";
        CHECK(files.spoken_of().empty());
    }

    TEST_CASE("without XDG_CONFIG_HOME the user's file is below his home") {
        Files files;
        files.put("home/.config/post/policy.ini", "[stacks]\ntls = avoid\n");
        CHECK(files.spoken_of().empty());
        files.environment.config_home.reset();
        CHECK(files.spoken_of() == "tls");
        files.environment.config_home = "not/absolute";
        CHECK(files.spoken_of() == "tls");
        files.environment.config_home.reset();
        files.environment.home.reset();
        CHECK(files.spoken_of().empty());
    }

    TEST_CASE("a file that was named has to be there") {
        Files files;
        files.environment.named = files.folder / "nowhere.ini";
        const auto read = io::read_policy(files.environment);
        REQUIRE_FALSE(read);
        CHECK(read.error() == Errc::file);
        CHECK(read.error().detail.string().find("nowhere.ini") != std::string::npos);
    }

    TEST_CASE("a mistake is refused with file, line and reason, and no other file is read") {
        Files files;
        files.put("etc.ini", "[stacks]\nquic = avoid\n");
        files.put("config/post/policy.ini", "[stacks]\nquic = perhaps\n");
        const auto read = io::read_policy(files.environment);
        REQUIRE_FALSE(read);
        CHECK(read.error() == Errc::invalid_argument);
        const std::string detail = read.error().detail.string();
        CAPTURE(detail);
        CHECK(
            detail.ends_with("policy.ini:2: 'perhaps' is none of require, prefer, none, avoid, "
                             "prohibit"));
        CHECK(detail.starts_with(files.folder.string()));
    }

    TEST_CASE("a folder in its place is an error, and not the next file's turn") {
        Files files;
        fs::create_directories(files.folder / "config/post/policy.ini");
        CHECK_FALSE(io::read_policy(files.environment));
    }
}

}  // namespace post::test
