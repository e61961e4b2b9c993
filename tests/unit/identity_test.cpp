// Identity and Trust: PEM in, pins out, and texts that say what is wrong.
#include <post/identity.hpp>

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "mappings/crypto/credentials.hpp"

namespace post::test {

namespace {

// A folder of its own that goes with the test.
class Folder {
public:
    Folder() {
        std::string name = std::filesystem::temp_directory_path() / "post-identity-XXXXXX";
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    std::string file(const char* name, std::string_view content) const {
        auto path = (path_ / name).string();
        std::ofstream(path, std::ios::binary) << content;
        return path;
    }
    std::string string() const { return path_.string(); }

private:
    std::filesystem::path path_;
};

bool mentions(const Error& error, std::string_view text) {
    return error.detail.view().find(text) != std::string_view::npos;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a self-signed identity has a certificate, a key and a pin") {
        auto identity = Identity::self_signed("dev.example");
        CHECK(identity);
        CHECK(identity.certificates().view().starts_with("-----BEGIN CERTIFICATE-----"));
        CHECK(identity.key().view().find("PRIVATE KEY") != std::string_view::npos);
        CHECK(crypto::is_pin(identity.pin()));
        CHECK(Identity::self_signed("dev.example").pin() != identity.pin());
        CHECK_FALSE(Identity());
    }

    TEST_CASE("an identity survives its PEM") {
        auto identity = Identity::self_signed("localhost");
        auto again = Identity::from_pem(identity.certificates().view(), identity.key().view());
        CHECK(again.pin() == identity.pin());
        Folder folder;
        auto from_files = Identity::from_files(
            folder.file("cert.pem", identity.certificates().view()),
            folder.file("key.pem", identity.key().view()));
        CHECK(from_files.pin() == identity.pin());
        // One file may hold both, with text around.
        auto both = "some words\n" + identity.key().string() + identity.certificates().string();
        auto path = folder.file("both.pem", both);
        CHECK(Identity::from_files(path, path).pin() == identity.pin());
    }

    TEST_CASE("a wrong PEM says which text and which block") {
        auto identity = Identity::self_signed("localhost");
        auto certificates = identity.certificates().string();
        auto key = identity.key().string();

        auto none = Identity::try_from_pem("nothing here", key);
        REQUIRE_FALSE(none);
        CHECK(none.error() == Errc::invalid_pem);
        CHECK(none.error().stage == Stage::call);
        CHECK(mentions(none.error(), "no -----BEGIN CERTIFICATE-----"));

        auto broken = certificates;
        broken.replace(broken.find("MII"), 8, "!!!!!!!!");
        auto second = Identity::try_from_pem(certificates + broken, key);
        REQUIRE_FALSE(second);
        CHECK(second.error() == Errc::invalid_pem);
        CHECK(second.error().cause.category() == gnutls_category());
        CHECK(mentions(second.error(), "PEM block 2"));

        auto bad_key = Identity::try_from_pem(certificates, "-----BEGIN PRIVATE KEY-----\nAAAA\n");
        REQUIRE_FALSE(bad_key);
        CHECK(bad_key.error() == Errc::invalid_pem);
        CHECK(mentions(bad_key.error(), "private key"));
        CHECK_FALSE(Identity::try_from_pem(certificates, ""));
        CHECK_FALSE(Identity::try_from_pem("", ""));

        CHECK_THROWS_AS(Identity::from_pem("x", "y"), Failure);
    }

    TEST_CASE("somebody else's key does not fit") {
        auto one = Identity::self_signed("localhost");
        auto other = Identity::self_signed("localhost");
        auto mixed = Identity::try_from_pem(one.certificates().view(), other.key().view());
        REQUIRE_FALSE(mixed);
        CHECK(mixed.error() == Errc::key_mismatch);
    }

    TEST_CASE("a file that cannot be read keeps its errno and its name") {
        auto missing = Identity::try_from_files("/nonexistent/cert.pem", "/nonexistent/key.pem");
        REQUIRE_FALSE(missing);
        CHECK(missing.error() == Errc::invalid_pem);
        CHECK(missing.error().cause == std::error_code(ENOENT, std::generic_category()));
        CHECK(mentions(missing.error(), "/nonexistent/cert.pem"));
        Folder folder;
        CHECK_FALSE(Trust::try_authorities_file(folder.string()));
        auto wrong = Trust::try_authorities_file(folder.file("ca.pem", "hello"));
        REQUIRE_FALSE(wrong);
        CHECK(mentions(wrong.error(), "ca.pem"));
    }

    TEST_CASE("trust has five kinds, and off is not one of them") {
        CHECK(Trust().kind() == Trust::Kind::system);
        CHECK(Trust::system() == Trust());
        auto identity = Identity::self_signed("localhost");
        auto authorities = Trust::authorities(identity.certificates().view());
        CHECK(authorities.kind() == Trust::Kind::authorities);
        CHECK(authorities == Trust::authorities(identity.certificates().view()));
        CHECK_FALSE(Trust::try_authorities("no authority"));
        CHECK(Trust::pinned(identity.pin()).pin() == identity.pin());
        CHECK(Trust::danger_anyone().kind() == Trust::Kind::danger_anyone);
        CHECK(Trust::danger_anyone() != Trust::system());
    }

    TEST_CASE("a pin is checked at the call") {
        auto pin = Identity::self_signed("localhost").pin();
        CHECK_NOTHROW(Trust::pinned(pin));
        for (std::string wrong : {std::string(), std::string("sha256//"), pin.substr(8), pin + "x",
                                  "md5/" + pin.substr(8), std::string(pin).replace(12, 1, " ")}) {
            CAPTURE(wrong);
            CHECK_THROWS_AS(Trust::pinned(wrong), Failure);
        }
    }

    TEST_CASE("a fingerprint is the certificate's hash, as SDP writes it") {
        auto identity = Identity::self_signed("localhost");
        auto text = identity.fingerprint();
        CHECK(text.size() == 8 + 32 * 3 - 1);
        CHECK(text.starts_with("sha-256 "));
        CHECK(Trust::fingerprint(text).kind() == Trust::Kind::fingerprint);
        CHECK(Trust::fingerprint(text).fingerprint() == text);
        CHECK(Identity().fingerprint().empty());
        CHECK(Identity::self_signed("localhost").fingerprint() != text);
        auto again = Identity::from_pem("some words\n" + identity.certificates().string(),
                                        identity.key().view());
        CHECK(again.fingerprint() == text);

        auto small = text;
        for (char& c : small) c = static_cast<char>(std::tolower(c));
        CHECK(Trust::fingerprint(small) == Trust::fingerprint(text));
        CHECK(Trust::fingerprint("SHA" + text.substr(3)) == Trust::fingerprint(text));
        CHECK(Trust::fingerprint(text) != Trust::pinned(identity.pin()));
    }

    TEST_CASE("a fingerprint of RFC 8122 is read, and a wrong one refused at the call") {
        // RFC 8122, 5.
        std::string example =
            "SHA-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:"
            "19:E5:7C:AB:4A:AD";
        CHECK(Trust::fingerprint(example).fingerprint() == "sha-256" + example.substr(7));
        auto hash = example.substr(8);
        for (std::string wrong :
             {std::string(), std::string("sha-256"), std::string("sha-256 "), hash,
              "sha-1 " + hash.substr(0, 59), "md5 " + hash.substr(0, 47), "sha-384 " + hash,
              "sha-256  " + hash, example + ":", example + " ", example.substr(0, 40),
              std::string(example).replace(10, 1, "-"), std::string(example).replace(8, 1, "G")}) {
            CAPTURE(wrong);
            CHECK_THROWS_AS(Trust::fingerprint(wrong), Failure);
        }
    }

    TEST_CASE("credentials are made once for the same identity and trust") {
        crypto::CredentialStore store;
        auto identity = Identity::self_signed("localhost");
        auto first = store.lend(identity, Trust::danger_anyone());
        auto second = store.lend(identity, Trust::danger_anyone());
        CHECK(&*first == &*second);
        auto other = store.lend(identity, Trust::pinned(identity.pin()));
        CHECK(&*first != &*other);
    }
}

}  // namespace post::test
