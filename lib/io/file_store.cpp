// A store in a file of SQLite's. A peer is one row with all that is kept of it in one value, so
// that a change is one row read and one written, and memory and file keep the same.
//
// The journal is a write-ahead log: a change is appended and not synchronized (synchronous=NORMAL),
// which costs tens of microseconds and no wait for the disk, and readers and the one writer do not
// disturb each other. A process that is killed loses nothing that it finished; a loss of power may
// lose the last changes, and leaves the file whole. Now and then, each 256 pages, the log is moved
// into the file, and then it does wait.
//
// Nothing here throws once it is open: what SQLite cannot do is left undone. A file that is damaged
// is set aside, under a lock that all processes take, and only if it is still the one that we have
// open; else somebody else was faster, and we take theirs.
#include <sqlite3.h>

#include <cstdio>
#include <memory>
#include <string_view>

#include <post/association_store.hpp>

#include "lib/io/kept_codec.hpp"
#include "lib/io/private_file.hpp"

namespace post {

namespace {

constexpr int schema = 1;
constexpr int application = 0x706f7374;  // "post"
// What a file is trusted with: whoever damaged it may have meant it.
constexpr const char* settings =
    "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;"
    "PRAGMA temp_store=MEMORY; PRAGMA secure_delete=ON; PRAGMA synchronous=NORMAL;"
    "PRAGMA max_page_count=2048; PRAGMA journal_size_limit=4194304;"
    "PRAGMA wal_autocheckpoint=256;";
constexpr const char* tables =
    "CREATE TABLE peers(remote TEXT NOT NULL, alpn TEXT NOT NULL, trust TEXT NOT NULL,"
    " identity TEXT NOT NULL, network TEXT NOT NULL, used INTEGER NOT NULL, kept BLOB NOT NULL,"
    " UNIQUE(remote, alpn, trust, identity, network));"
    "CREATE INDEX by_use ON peers(used);";
// Below max_page_count with all that goes with it.
constexpr std::int64_t most_bytes = 6 * 1024 * 1024;

class Statement {
public:
    explicit Statement(sqlite3_stmt* native) : native_(native) {}
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    // It stays prepared.
    ~Statement() {
        sqlite3_reset(native_);
        sqlite3_clear_bindings(native_);
    }

    void bind(const AssociationKey& key) {
        for (const std::string* part :
             {&key.remote, &key.alpn, &key.trust, &key.identity, &key.network})
            bind(*part);
    }
    void bind(std::string_view text) {
        sqlite3_bind_text64(native_, ++bound_, text.data(), text.size(), SQLITE_STATIC,
                            SQLITE_UTF8);
    }
    void bind(std::int64_t number) { sqlite3_bind_int64(native_, ++bound_, number); }
    void bind(std::span<const std::byte> bytes) {
        sqlite3_bind_blob64(native_, ++bound_, bytes.data(), bytes.size(), SQLITE_STATIC);
    }
    int step() { return sqlite3_step(native_); }

    std::string text(int column) const {
        const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(native_, column));
        const auto size = static_cast<std::size_t>(sqlite3_column_bytes(native_, column));
        return data ? std::string(data, size) : std::string();
    }
    std::span<const std::byte> blob(int column) const {
        const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(native_, column));
        const auto size = static_cast<std::size_t>(sqlite3_column_bytes(native_, column));
        return data ? std::span(data, size) : std::span<const std::byte>();
    }
    std::int64_t number(int column) const { return sqlite3_column_int64(native_, column); }

private:
    sqlite3_stmt* native_;
    int bound_ = 0;
};

enum Query : std::uint8_t { look, put, drop, all, begin, commit, rollback, oldest, weigh, stale };
constexpr const char* queries[] = {
    "SELECT kept FROM peers"
    " WHERE remote=?1 AND alpn=?2 AND trust=?3 AND identity=?4 AND network=?5",
    "INSERT INTO peers VALUES(?1,?2,?3,?4,?5,?6,?7)"
    " ON CONFLICT DO UPDATE SET used=excluded.used, kept=excluded.kept",
    "DELETE FROM peers WHERE remote=?1 AND alpn=?2 AND trust=?3 AND identity=?4 AND network=?5",
    "SELECT remote, alpn, trust, identity, network, kept FROM peers ORDER BY used DESC, rowid DESC",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "DELETE FROM peers WHERE rowid IN (SELECT rowid FROM peers ORDER BY used, rowid LIMIT ?1)",
    "SELECT count(*), total(length(kept)) FROM peers",
    "DELETE FROM peers WHERE used < ?1",
};

bool is_damage(int code) {
    const int plain = code & 0xff;
    return plain == SQLITE_CORRUPT || plain == SQLITE_NOTADB;
}

class FileStore final : public AssociationStore {
public:
    FileStore(io::PrivateFile file, FileStoreOptions options)
        : file_(std::move(file)), options_(std::move(options)) {}
    FileStore(const FileStore&) = delete;
    FileStore& operator=(const FileStore&) = delete;
    ~FileStore() override { close(); }

    // What stands in the way from the start.
    Error start() {
        Error error = open();
        if (error && damaged_) {
            set_aside();
            error = open();
        }
        return error;
    }

    std::optional<KeptAssociation> find(const AssociationKey& key) override {
        std::optional<KeptAssociation> kept;
        attempt([&] { return load(key, kept); });
        return kept;
    }

    bool change(const AssociationKey& key, Function<void(KeptAssociation&)> change) override {
        return attempt([&] { return in_one_step([&] { return replace(key, change); }); });
    }

    std::vector<Listed> list() override {
        std::vector<Listed> listed;
        attempt([&] { return load_all(listed); });
        return listed;
    }

    std::size_t forget(std::string_view remote) override {
        std::size_t count = 0;
        for (const Listed& each : list()) {
            if (!remote.empty() && each.key.remote != remote) continue;
            const bool gone = attempt([&] {
                Statement statement = query(drop);
                statement.bind(each.key);
                return statement.step();
            });
            count += gone ? 1 : 0;
        }
        return count;
    }

private:
    struct Closer {
        void operator()(sqlite3* native) const { sqlite3_close_v2(native); }
    };

    // Opening.

    Error open() {
        damaged_ = false;
        const bool locked = file_.lock();
        Error error = open_locked();
        if (locked) file_.unlock();
        if (error) close();
        return error;
    }

    Error open_locked() {
        const auto id = file_.make();
        if (!id) return id.error();
        id_ = *id;
        sqlite3* native = nullptr;
        const int code = sqlite3_open_v2(file_.path().c_str(), &native,
                                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                             SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW,
                                         nullptr);
        native_.reset(native);
        if (code != SQLITE_OK) return failed(code);
        sqlite3_extended_result_codes(native, 1);
        sqlite3_db_config(native, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
        // Who closes a file that was set aside must not take the journal of the new one with it.
        int persist = 1;
        sqlite3_file_control(native, nullptr, SQLITE_FCNTL_PERSIST_WAL, &persist);
        // Values have at most 8 KiB of tickets, and as much of tokens.
        sqlite3_limit(native, SQLITE_LIMIT_LENGTH, 256 * 1024);
        sqlite3_busy_timeout(native, static_cast<int>(options_.patience.count()));
        if (const int refused = run(settings); refused != SQLITE_OK) return failed(refused);
        if (Error error = check_schema()) return error;
        if (const int refused = run("PRAGMA journal_mode=WAL"); refused != SQLITE_OK)
            return failed(refused);
        for (const char* text : queries) {
            sqlite3_stmt* made = nullptr;
            const int refused = sqlite3_prepare_v3(native, text, -1, SQLITE_PREPARE_PERSISTENT,
                                                   &made, nullptr);
            // Our statements are sound: there is no such table, say.
            if (refused == SQLITE_ERROR) return failed(SQLITE_CORRUPT);
            if (refused != SQLITE_OK) return failed(refused);
            statements_.push_back(made);
        }
        return {};
    }

    // A file without anything in it is a new one.
    Error check_schema() {
        std::int64_t found[3]{};
        constexpr const char* questions[] = {"PRAGMA application_id", "PRAGMA user_version",
                                             "SELECT count(*) FROM sqlite_schema"};
        for (int i = 0; i < 3; ++i) {
            const int code = ask(questions[i], found[i]);
            if (code != SQLITE_ROW) return failed(code);
        }
        if (found[0] == application && found[1] == schema) return {};
        if (found[0] != 0 || found[1] != 0 || found[2] != 0) return failed(SQLITE_NOTADB);
        const std::string made = std::string("BEGIN IMMEDIATE;") + tables +
                                 "PRAGMA application_id=" + std::to_string(application) +
                                 ";PRAGMA user_version=" + std::to_string(schema) + ";COMMIT;";
        const int code = run(made.c_str());
        return code == SQLITE_OK ? Error() : failed(code);
    }

    int ask(const char* text, std::int64_t& number) {
        sqlite3_stmt* made = nullptr;
        int code = sqlite3_prepare_v2(native_.get(), text, -1, &made, nullptr);
        if (code != SQLITE_OK) return code;
        code = sqlite3_step(made);
        if (code == SQLITE_ROW) number = sqlite3_column_int64(made, 0);
        sqlite3_finalize(made);
        return code;
    }

    int run(const char* text) {
        return sqlite3_exec(native_.get(), text, nullptr, nullptr, nullptr);
    }

    void close() {
        for (sqlite3_stmt* statement : statements_) sqlite3_finalize(statement);
        statements_.clear();
        native_.reset();
    }

    Error failed(int code) {
        damaged_ = is_damage(code);
        const int number = native_ ? sqlite3_system_errno(native_.get()) : 0;
        return Error(Errc::file, std::error_code(number, std::generic_category()), Stage::none,
                     Bytes(file_.path() + ": " + sqlite3_errstr(code)));
    }

    // Working.

    Statement query(Query which) { return Statement(statements_[which]); }

    // `work` answers with SQLite's code. False: it is not done.
    template <class Work> bool attempt(Work work) {
        for (int tries = 0; tries < 2; ++tries) {
            // It may have been removed, or set aside by another process.
            if (native_ && file_.id() != id_) close();
            Error error = native_ ? Error() : open();
            if (!error) {
                const int code = work();
                if (code == SQLITE_OK || code == SQLITE_DONE) {
                    trouble_.clear();
                    return true;
                }
                error = failed(code);
                if (sqlite3_get_autocommit(native_.get()) == 0) run("ROLLBACK");
                if ((code & 0xff) == SQLITE_FULL && tries == 0 && make_room(256)) continue;
            }
            if (damaged_) {
                set_aside();
                continue;
            }
            // Whatever it was, the next one begins afresh.
            if (native_ && (sqlite3_errcode(native_.get()) & 0xff) != SQLITE_BUSY) close();
            report(error);
            return false;
        }
        return false;
    }

    void set_aside() {
        damaged_ = false;
        close();
        if (!file_.lock()) return;
        if (file_.id() == id_) {
            // First, for a new file would take them for its own.
            file_.remove("-wal");
            file_.remove("-shm");
        }
        if (file_.id() == id_ && file_.rename(".damaged")) {
            report(Error(Errc::file, {}, Stage::none,
                         Bytes(file_.path() + " is damaged, or no store of associations: it is " +
                               "renamed to " + file_.path() + ".damaged, and a new one is begun")));
        }
        file_.unlock();
    }

    void report(const Error& error) {
        if (trouble_ == error.detail.view()) return;
        trouble_ = error.detail.string();
        if (options_.on_trouble) return options_.on_trouble(error);
        std::fprintf(stderr, "post: nothing is remembered for now: %s\n", error.message().c_str());
    }

    template <class Work> int in_one_step(Work work) {
        int code = query(begin).step();
        if (code != SQLITE_DONE) return code;
        code = work();
        if (code != SQLITE_DONE && code != SQLITE_OK) return code;
        return query(commit).step();
    }

    int load(const AssociationKey& key, std::optional<KeptAssociation>& kept) {
        Statement statement = query(look);
        statement.bind(key);
        const int code = statement.step();
        // A value that does not hold together is as good as none.
        if (code == SQLITE_ROW) kept = io::decode(key, statement.blob(0));
        return code == SQLITE_ROW ? SQLITE_DONE : code;
    }

    int load_all(std::vector<Listed>& listed) {
        listed.clear();
        Statement statement = query(all);
        int code = SQLITE_ROW;
        while ((code = statement.step()) == SQLITE_ROW) {
            AssociationKey key{statement.text(0), statement.text(1), statement.text(2),
                               statement.text(3), statement.text(4)};
            if (auto kept = io::decode(key, statement.blob(5)))
                listed.push_back({std::move(key), *std::move(kept)});
        }
        return code;
    }

    int replace(const AssociationKey& key, Function<void(KeptAssociation&)>& change) {
        std::optional<KeptAssociation> found;
        int code = load(key, found);
        if (code != SQLITE_DONE) return code;
        KeptAssociation kept = found.value_or(KeptAssociation{});
        change(kept);
        if (found ? *found == kept : kept.empty()) return SQLITE_DONE;
        if (kept.empty()) {
            Statement statement = query(drop);
            statement.bind(key);
            return statement.step();
        }
        const auto value = io::encode(key, kept);
        {
            Statement statement = query(put);
            statement.bind(key);
            statement.bind(std::int64_t{kept.used.time_since_epoch().count()});
            statement.bind(value);
            code = statement.step();
        }
        return code == SQLITE_DONE && !found ? prune(kept.used) : code;
    }

    // Since there is a peer more.
    int prune(WallTime now) {
        {
            Statement statement = query(stale);
            statement.bind(std::int64_t{(now - KeptAssociation::life).time_since_epoch().count()});
            if (const int code = statement.step(); code != SQLITE_DONE) return code;
        }
        std::int64_t peers = 0;
        std::int64_t bytes = 0;
        {
            Statement statement = query(weigh);
            if (const int code = statement.step(); code != SQLITE_ROW) return code;
            peers = statement.number(0);
            bytes = statement.number(1);
        }
        constexpr auto most = static_cast<std::int64_t>(most_peers);
        if (peers <= most && bytes <= most_bytes) return SQLITE_DONE;
        Statement statement = query(oldest);
        statement.bind(bytes > most_bytes ? peers / 8 + 1 : peers - most);
        return statement.step();
    }

    // The file is as large as it may be.
    bool make_room(std::int64_t peers) {
        Statement statement = query(oldest);
        statement.bind(peers);
        return statement.step() == SQLITE_DONE;
    }

    io::PrivateFile file_;
    FileStoreOptions options_;
    io::PrivateFile::Id id_{};
    std::unique_ptr<sqlite3, Closer> native_;
    std::vector<sqlite3_stmt*> statements_;  // by Query
    std::string trouble_;                    // that was told last
    bool damaged_ = false;                   // what failed last says so
};

}  // namespace

Result<std::shared_ptr<AssociationStore>> try_file_store(const std::string& path,
                                                         FileStoreOptions options) {
    auto file = io::PrivateFile::at(path);
    if (!file) return file.error();
    auto store = std::make_shared<FileStore>(std::move(*file), std::move(options));
    if (Error error = store->start()) return error;
    return std::shared_ptr<AssociationStore>(std::move(store));
}

std::shared_ptr<AssociationStore> file_store(const std::string& path, FileStoreOptions options) {
    return try_file_store(path, std::move(options)).value();
}

}  // namespace post
