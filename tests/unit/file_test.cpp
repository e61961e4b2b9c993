// Files as messages: what is read in pieces, what is written in parts, and what goes wrong.
#include <post/file.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace post::test {

namespace {

namespace fs = std::filesystem;

struct Folder {
    Folder() {
        std::string name = (fs::temp_directory_path() / "post-file-").string() +
                           std::string(6, 'X');
        path = mkdtemp(name.data());
    }
    ~Folder() { fs::remove_all(path); }
    std::string operator/(const std::string& name) const { return (path / name).string(); }
    fs::path path;
};

std::string text_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// Parts of a message, of which `bytes` have not been cut off yet.
struct Parts {
    explicit Parts(const std::string& text, std::uint64_t sequence = 0)
        : message(Bytes(text), Niceness{1}, Sequence{sequence}), total(text.size()) {}
    InMessage next(std::size_t bytes) { return message.take_front(bytes, total); }
    InMessage message;
    std::uint64_t total;
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a file is the content of a message, in pieces") {
        const Folder folder;
        const std::string path = folder / "file";
        std::ofstream(path) << "abcdefghij";
        auto content = file_content(path);
        REQUIRE(content);
        CHECK(content->size == 10);
        CHECK(*content->produce(0, 4) == "abcd");
        CHECK(*content->produce(4, 100) == "efghij");
        SUBCASE("one that became shorter is an error") {
            fs::resize_file(path, 5);
            CHECK(*content->produce(4, 100) == "e");
            CHECK(content->produce(5, 100).error() == Errc::file);
        }
        SUBCASE("one that is removed meanwhile is still there") {
            fs::remove(path);
            CHECK(*content->produce(4, 100) == "efghij");
        }
    }

    TEST_CASE("what is no file says what it is") {
        const Folder folder;
        auto missing = file_content(folder / "missing");
        REQUIRE_FALSE(missing);
        CHECK(missing.error() == Errc::file);
        CHECK(missing.error().cause.value() == ENOENT);
        CHECK(missing.error().detail.string().find("missing") != std::string::npos);
        CHECK(file_content(folder.path.string()).error() == Errc::unsupported);
        std::ofstream(folder / "empty").flush();
        CHECK(file_content(folder / "empty").error() == Errc::unsupported);
    }

    TEST_CASE("parts become a file when the last one is there") {
        const Folder folder;
        Parts parts("abcdefghij");
        FileWriter writer(folder / "file");
        CHECK(*writer.add(parts.next(4)) == false);
        CHECK_FALSE(fs::exists(folder / "file"));
        CHECK(fs::exists(folder / "file.part"));
        CHECK(*writer.add(parts.next(6)) == true);
        CHECK(writer.written() == 10);
        CHECK(text_of(folder / "file") == "abcdefghij");
        CHECK_FALSE(fs::exists(folder / "file.part"));
    }

    TEST_CASE("a whole message is a file at once") {
        const Folder folder;
        CHECK(*FileWriter(folder / "file").add(InMessage(Bytes("all"), {}, {})) == true);
        CHECK(text_of(folder / "file") == "all");
    }

    TEST_CASE("what breaks off leaves nothing behind") {
        const Folder folder;
        {
            Parts parts("abcdefghij");
            FileWriter writer(folder / "file");
            CHECK(*writer.add(parts.next(4)) == false);
            SUBCASE("the writer goes") {}
            SUBCASE("the sender gives up") {
                parts.message.cut_short(parts.total);
                CHECK(writer.add(parts.message).error() == Errc::cancelled);
            }
            SUBCASE("a part of another message comes between") {
                Parts other("0123456789", 1);
                (void)other.next(4);
                CHECK(writer.add(other.next(2)).error() == Errc::invalid_argument);
                CHECK(*writer.add(parts.next(2)) == false);
            }
            SUBCASE("a part is missing") {
                (void)parts.next(1);
                CHECK(writer.add(parts.next(2)).error() == Errc::invalid_argument);
            }
        }
        CHECK(fs::is_empty(folder.path));
    }

    TEST_CASE("where nothing can be written the errno says why") {
        FileWriter writer("/nowhere/at/all");
        const auto refused = writer.add(InMessage(Bytes("all"), {}, {}));
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == Errc::file);
        CHECK(refused.error().cause.value() == ENOENT);
    }
}

}  // namespace post::test
