// The store in a file, on a real file system: processes that are killed, two that write, damage, a
// full disk, and folders that are open to others.
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

#include <post/post.hpp>

#include "tests/seed.hpp"
#include "tests/unit/temporary_folder.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

const WallTime noon{1'900'000'000s};

AssociationKey key_of(std::size_t number) {
    const std::string name = "peer" + std::to_string(number);
    return {"post://" + name + ":4433", "", "system for " + name, "", ""};
}

// A value whose parts all say the same number: one that is half of one change and half of another
// one would say two.
KeptAssociation whole(std::uint64_t number) {
    KeptAssociation kept;
    const std::string text = std::to_string(number);
    for (int i = 0; i < 3; ++i) {
        ResumptionTicket ticket;
        ticket.session = text + std::string(number * 37 % 900, 'x');
        ticket.issued = noon;
        ticket.expires = noon + 1h;
        kept.keep(noon, std::move(ticket));
    }
    kept.rate = number;
    return kept;
}

bool is_whole(const KeptAssociation& kept) { return kept == whole(kept.rate); }

// What went wrong with a store, as it was told.
struct Troubles {
    std::vector<std::string> told;
    FileStoreOptions options() {
        FileStoreOptions options;
        options.on_trouble = [this](const Error& error) { told.push_back(error.detail.string()); };
        return options;
    }
};

// How often something that takes long is done: `few` times, or POST_ROUNDS.
std::size_t rounds(std::size_t few) {
    const char* text = std::getenv("POST_ROUNDS");
    return text ? std::strtoull(text, nullptr, 10) : few;
}

std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
}

std::string refusal(const std::string& path) {
    const auto store = try_file_store(path);
    return store ? "" : store.error().message() + store.error().detail.string();
}

mode_t mode_of(const std::string& path) {
    struct stat about {};
    return ::stat(path.c_str(), &about) == 0 ? about.st_mode & 0777 : 0;
}

// Another process, which ends with what `body` returns.
template <class Body> pid_t in_child(Body body) {
    const pid_t child = fork();
    if (child == 0) _exit(body());
    return child;
}

int end_of(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_SUITE("live") {
    TEST_CASE("processes that are killed while they write leave a store that opens, and whole") {
        const TemporaryFolder folder;
        const std::string path = folder.path() + "/store";
        std::mt19937_64 random(seed());
        std::size_t seen = 0;
        for (std::size_t round = 0; round < rounds(100); ++round) {
            const auto first = random();
            const pid_t child = in_child([&] {
                const auto store = file_store(path);
                for (std::uint64_t number = first % 1'000'000;; ++number)
                    store->change(key_of(number % 50),
                                  [&](KeptAssociation& kept) { kept = whole(number); });
                return 0;
            });
            ::usleep(static_cast<useconds_t>(random() % 20'000));
            ::kill(child, SIGKILL);
            end_of(child);
            Troubles troubles;
            const auto store = try_file_store(path, troubles.options());
            REQUIRE(store);
            const auto listed = (*store)->list();
            REQUIRE(listed.size() >= seen);
            seen = listed.size();
            for (const auto& each : listed) REQUIRE(is_whole(each.kept));
            REQUIRE(troubles.told.empty());
            REQUIRE(mode_of(path) == 0600);
        }
        CHECK(seen > 0);
        CHECK_FALSE(fs::exists(path + ".damaged"));
    }

    TEST_CASE("two processes write a thousand times each, and nothing is lost") {
        const TemporaryFolder folder;
        const std::string path = folder.path() + "/store";
        const auto count = [&] {
            FileStoreOptions options;
            options.patience = 10s;
            const auto store = file_store(path, std::move(options));
            int failed = 0;
            for (int i = 0; i < 1000; ++i)
                failed += store->change(key_of(0),
                                        [](KeptAssociation& kept) { ++kept.rate, kept.rtt = 1ms; })
                              ? 0
                              : 1;
            return failed;
        };
        const pid_t child = in_child(count);
        CHECK(count() == 0);
        CHECK(end_of(child) == 0);
        CHECK(file_store(path)->find(key_of(0))->rate == 2000);
    }

    TEST_CASE("a ticket is taken by one of two processes only") {
        const TemporaryFolder folder;
        const std::string path = folder.path() + "/store";
        constexpr std::size_t peers = 100;
        {
            const auto store = file_store(path);
            for (std::size_t i = 0; i < peers; ++i)
                CHECK(store->change(key_of(i), [](KeptAssociation& kept) { kept = whole(7); }));
        }
        const auto take_all = [&](const std::string& log) {
            FileStoreOptions options;
            options.patience = 10s;
            const auto store = file_store(path, std::move(options));
            std::ofstream taken(log);
            for (std::size_t i = 0; i < 3 * peers; ++i) {
                std::optional<ResumptionTicket> ticket;
                if (store->change(key_of(i % peers),
                                  [&](KeptAssociation& kept) {
                                      ticket = kept.take_ticket(noon, Stack::quic);
                                  }) &&
                    ticket)
                    taken << i % peers << "\n";
            }
            return 0;
        };
        const pid_t child = in_child([&] { return take_all(folder.path() + "/theirs"); });
        take_all(folder.path() + "/ours");
        CHECK(end_of(child) == 0);
        std::multiset<std::string> all;
        for (const char* name : {"/ours", "/theirs"}) {
            std::istringstream lines(content(folder.path() + name));
            for (std::string line; std::getline(lines, line);) all.insert(line);
        }
        CHECK(all.size() == 3 * peers);
        for (std::size_t i = 0; i < peers; ++i) CHECK(all.count(std::to_string(i)) == 3);
    }

    TEST_CASE("a file with a damaged byte is no crash, and shows nothing that was not there") {
        const TemporaryFolder folder;
        const std::string path = folder.path() + "/store";
        {
            const auto store = file_store(path);
            for (std::size_t i = 0; i < 10; ++i)
                store->change(key_of(i), [&](KeptAssociation& kept) { kept = whole(i + 1); });
        }
        const std::string good = content(path);
        REQUIRE(good.size() >= 4 * 4096);
        const auto look = [&](const std::string& bytes) {
            for (const char* ending : {"-wal", "-shm", ".damaged"}) fs::remove(path + ending);
            write(path, bytes);
            Troubles troubles;
            const auto store = try_file_store(path, troubles.options());
            REQUIRE(store);
            for (const auto& each : (*store)->list()) REQUIRE(is_whole(each.kept));
            for (std::size_t i = 0; i < 10; ++i) {
                const auto kept = (*store)->find(key_of(i));
                if (kept) REQUIRE(*kept == whole(i + 1));
            }
            REQUIRE((*store)->change(key_of(3), [](KeptAssociation& kept) { kept = whole(9); }));
            REQUIRE(*(*store)->find(key_of(3)) == whole(9));
            REQUIRE((*store)->change(key_of(99), [](KeptAssociation& kept) { kept = whole(99); }));
            REQUIRE(*(*store)->find(key_of(99)) == whole(99));
            REQUIRE(troubles.told.empty() != fs::exists(path + ".damaged"));
            return !troubles.told.empty();
        };
        CHECK_FALSE(look(good));
        std::size_t set_aside = 0;
        const std::size_t stride = std::getenv("POST_ROUNDS") ? 1 : 61;
        for (std::size_t at = seed() % stride; at < good.size(); at += stride) {
            CAPTURE(at);
            std::string bad = good;
            bad[at] = static_cast<char>(~bad[at]);
            set_aside += look(bad) ? 1 : 0;
        }
        CHECK(set_aside > 0);
        for (std::size_t size = seed() % 509; size < good.size(); size += 509) {
            CAPTURE(size);
            look(good.substr(0, size));
        }
        CHECK(look("this is no store"));
        CHECK(look(std::string(100'000, '\0')));
        CHECK_FALSE(look(""));
    }

    TEST_CASE("a store of a later version, or somebody else's database, is set aside whole") {
        const TemporaryFolder folder;
        const std::string path = folder.path() + "/store";
        for (const char* change : {"PRAGMA user_version=2", "PRAGMA application_id=1",
                                   "DROP TABLE peers; CREATE TABLE other(a)"}) {
            CAPTURE(std::string(change));
            fs::remove(path + ".damaged");
            file_store(path)->change(key_of(1), [](KeptAssociation& kept) { kept = whole(1); });
            sqlite3* native = nullptr;
            REQUIRE(sqlite3_open(path.c_str(), &native) == SQLITE_OK);
            REQUIRE(sqlite3_exec(native, change, nullptr, nullptr, nullptr) == SQLITE_OK);
            sqlite3_close(native);
            Troubles troubles;
            const auto store = file_store(path, troubles.options());
            CHECK_FALSE(store->find(key_of(1)));
            REQUIRE(troubles.told.size() == 1);
            CHECK(troubles.told[0].find(path + ".damaged") != std::string::npos);
            CHECK(fs::exists(path + ".damaged"));
            CHECK(store->change(key_of(2), [](KeptAssociation& kept) { kept = whole(2); }));
        }
    }

    TEST_CASE("a file that another process has set aside, or removed, is opened anew") {
        const TemporaryFolder folder;
        const std::string path = folder.path() + "/store";
        Troubles ours;
        const auto store = file_store(path, ours.options());
        CHECK(store->change(key_of(1), [](KeptAssociation& kept) { kept = whole(1); }));
        write(path, "damaged while we have it open");
        Troubles theirs;
        const auto other = file_store(path, theirs.options());
        CHECK(theirs.told.size() == 1);
        CHECK(other->change(key_of(2), [](KeptAssociation& kept) { kept = whole(2); }));
        CHECK(store->find(key_of(2)));
        CHECK_FALSE(store->find(key_of(1)));
        CHECK(store->change(key_of(3), [](KeptAssociation& kept) { kept = whole(3); }));
        CHECK(other->find(key_of(3)));
        for (const char* ending : {"", "-wal", "-shm"}) fs::remove(path + ending);
        CHECK_FALSE(store->find(key_of(3)));
        CHECK(store->change(key_of(4), [](KeptAssociation& kept) { kept = whole(4); }));
        CHECK(other->find(key_of(4)));
        CHECK(ours.told.empty());
        // And when the whole folder goes, nothing is remembered, and it is said once.
        fs::remove_all(folder.path());
        CHECK_FALSE(store->change(key_of(5), [](KeptAssociation& kept) { kept = whole(5); }));
        CHECK_FALSE(store->find(key_of(5)));
        CHECK(ours.told.size() == 1);
    }

    TEST_CASE("a full disk ends the remembering, and nothing else") {
        const TemporaryFolder folder;
        const std::string path = folder.path() + "/store";
        const auto in_little_room = [&] {
            Troubles troubles;
            const auto store = file_store(path, troubles.options());
            for (std::size_t i = 0; i < 20; ++i)
                if (!store->change(key_of(i), [&](KeptAssociation& kept) { kept = whole(i); }))
                    return 1;
            ::signal(SIGXFSZ, SIG_IGN);
            rlimit limit{};
            ::getrlimit(RLIMIT_FSIZE, &limit);
            const rlim_t before = limit.rlim_cur;
            limit.rlim_cur = 128 * 1024;
            ::setrlimit(RLIMIT_FSIZE, &limit);
            std::size_t failed = 0;
            for (std::size_t i = 20; i < 1000; ++i)
                if (!store->change(key_of(i), [&](KeptAssociation& kept) { kept = whole(i); }))
                    ++failed;
            if (failed == 0) return 2;
            if (troubles.told.empty() || troubles.told.size() > failed) return 3;
            limit.rlim_cur = before;
            ::setrlimit(RLIMIT_FSIZE, &limit);
            for (const auto& each : store->list())
                if (!is_whole(each.kept)) return 4;
            if (!store->find(key_of(0))) return 5;
            if (!store->change(key_of(2000), [](KeptAssociation& kept) { kept = whole(1); }))
                return 6;
            return store->find(key_of(2000)) ? 0 : 7;
        };
        CHECK(end_of(in_child(in_little_room)) == 0);
        CHECK_FALSE(fs::exists(path + ".damaged"));
        CHECK(file_store(path)->find(key_of(2000)));
    }

    TEST_CASE("the file does not grow beyond its bound, whatever servers give") {
        const TemporaryFolder folder;
        const std::string path = folder.path() + "/store";
        const auto store = file_store(path);
        for (std::size_t i = 0; i < 1500; ++i) {
            const bool kept = store->change(key_of(i), [&](KeptAssociation& all) {
                for (int n = 0; n < 4; ++n) {
                    ResumptionTicket ticket;
                    ticket.session = std::string(2000, 'x');
                    ticket.issued = noon + std::chrono::seconds(i);
                    ticket.expires = ticket.issued + 1h;
                    all.keep(ticket.issued, std::move(ticket));
                }
            });
            REQUIRE(kept);
        }
        CHECK(store->find(key_of(1499)));
        CHECK_FALSE(store->find(key_of(0)));
        CHECK(fs::file_size(path) <= 8 * 1024 * 1024);
        CHECK(fs::file_size(path + "-wal") <= 8 * 1024 * 1024);
    }

    TEST_CASE("a folder or a file that others can reach is refused, and it is said what to do") {
        const TemporaryFolder folder;
        const std::string deep = folder.path() + "/deep";
        const std::string path = deep + "/store";
        CHECK(refusal(path).empty());  // it was made
        CHECK(mode_of(deep) == 0700);
        CHECK(mode_of(path) == 0600);
        fs::permissions(deep, fs::perms::group_exec, fs::perm_options::add);
        CHECK(refusal(path).find("chmod 700 " + deep) != std::string::npos);
        fs::permissions(deep, fs::perms::owner_all);
        fs::permissions(path, fs::perms::others_read, fs::perm_options::add);
        CHECK(refusal(path).find("chmod 600 " + fs::canonical(path).string()) != std::string::npos);
        fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
        CHECK(refusal(path).empty());
        // Links lead somewhere else.
        fs::create_symlink(path, deep + "/link");
        CHECK(refusal(deep + "/link").find("no plain file") != std::string::npos);
        fs::create_directory_symlink(deep, folder.path() + "/linked");
        CHECK(refusal(folder.path() + "/linked/store").find("symbolic link") != std::string::npos);
        fs::create_hard_link(path, deep + "/hard");
        CHECK(refusal(path).find("second name") != std::string::npos);
        fs::remove(deep + "/hard");
        CHECK(refusal(deep + "/").find("names no file") != std::string::npos);
        CHECK(refusal(deep + "/no/where/store").find("making the folder") != std::string::npos);
        CHECK(refusal(path + "/store").find("no folder") != std::string::npos);
        if (::geteuid() == 0) {
            constexpr uid_t somebody = 65534;
            REQUIRE(::chown(path.c_str(), somebody, somebody) == 0);
            CHECK(refusal(path).find("another user") != std::string::npos);
            REQUIRE(::chown(deep.c_str(), somebody, somebody) == 0);
            CHECK(refusal(path).find("another user") != std::string::npos);
        }
    }

    TEST_CASE("the next process resumes what is in the file") {
        const TemporaryFolder folder;
        const auto identity = Identity::self_signed("127.0.0.1");
        for (const Stack stack : {Stack::quic, Stack::tls}) {
            CAPTURE(std::string(to_string(stack)));
            Context server;
            auto listener = server.listen({.identity = identity});
            listener.accept([](Carrier carrier) {
                carrier.ready([](Carrier& self, InMessage message) {
                    self.send(std::move(message).content());
                    return true;
                });
                return true;
            });
            for (const bool resumed : {false, true}) {
                Context client({.store = file_store(folder.path() + "/store")});
                Carrier carrier = client.initiate(
                    "post://127.0.0.1:" + std::to_string(listener.port()),
                    {.policy = {.stacks = {stack}}, .trust = Trust::pinned(identity.pin())});
                bool answered = false;
                carrier.ready([&](Carrier&, InMessage) { return !(answered = true); });
                carrier.send("hello");
                const Instant limit = client.now() + 10s;
                Instant until = limit;
                while (client.now() < until) {
                    server.turn();
                    client.turn();
                    if (answered && until == limit) until = client.now() + 100ms;
                }
                CHECK(answered);
                CHECK(carrier.association().resumed() == resumed);
            }
        }
    }
}

}  // namespace post::test
