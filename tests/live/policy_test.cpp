// The system's file of preferences, as a program meets it.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <post/post.hpp>

namespace post::test {

namespace {

// A file that the environment names, for as long as the test goes on.
struct NamedPolicy {
    explicit NamedPolicy(const std::string& text) {
        std::string name = (std::filesystem::temp_directory_path() / "post-policy-").string() +
                           std::string(6, 'X');
        folder = mkdtemp(name.data());
        std::ofstream(folder / "policy.ini") << text;
        ::setenv("POST_POLICY", (folder / "policy.ini").c_str(), 1);
    }
    ~NamedPolicy() {
        ::setenv("POST_POLICY", "", 1);
        std::filesystem::remove_all(folder);
    }
    std::filesystem::path folder;
};

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("a Context reads the system's file by itself, and what the program says goes first") {
        const NamedPolicy file("[stacks]\ntls = prefer\nsctp-dtls = prohibit\n");
        Context context;
        CHECK(context.preferences().stacks.at(Stack::tls) == Preference::prefer);
        const auto order = [&](const Policy& policy) {
            auto operation = context.plan("post://192.0.2.1", {.policy = policy});
            while (!operation.ready()) context.turn();
            return operation.get().value().string();
        };
        const std::string text = order({});
        CAPTURE(text);
        CHECK(text.find("0 ms  tls") != std::string::npos);
        CHECK(text.find("not  sctp-dtls") != std::string::npos);
        Policy own;
        own.preferences.stacks = {{Stack::tls, Preference::none},
                                  {Stack::sctp_dtls, Preference::none}};
        CHECK(order(own).find("0 ms  quic") != std::string::npos);
        CHECK(order(own).find("ms  sctp-dtls") != std::string::npos);
        CHECK(Context({.preferences = Preferences{}}).preferences() == Preferences{});
    }

    TEST_CASE("a mistake in the system's file is an error with file, line and reason") {
        const NamedPolicy file("[features]\n\nspeed = require\n");
        try {
            Context context;
            FAIL_CHECK("made");
        } catch (const Failure& failure) {
            CHECK(failure.error() == Errc::invalid_argument);
            CHECK(std::string(failure.what()).find("policy.ini:3: 'speed' is no feature") !=
                  std::string::npos);
        }
        Context context({.preferences = Preferences{}});  // it need not be read
    }
}

}  // namespace post::test
