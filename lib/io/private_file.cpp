// Who may read the file, and whose it is.
#include "lib/io/private_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>

namespace post::io {

namespace {

constexpr mode_t others = S_IRWXG | S_IRWXO;

Error failed(int number, const std::string& what) {
    return Error(Errc::file, std::error_code(number, std::generic_category()), Stage::call,
                 Bytes(what));
}

Error unsafe(const std::string& what) {
    return Error(Errc::invalid_argument, {}, Stage::call, what);
}

Error check(const struct stat& about, const std::string& path, const char* mode) {
    if (about.st_uid != ::geteuid())
        return unsafe(path + " belongs to another user: name one of your own");
    if ((about.st_mode & others) != 0)
        return unsafe(path + " is open to other users: chmod " + mode + " " + path);
    return {};
}

std::string real_path(const std::string& path) {
    const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr),
                                                      [](void* text) { std::free(text); });
    return real ? real.get() : std::string();
}

}  // namespace

Result<PrivateFile> PrivateFile::at(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    PrivateFile file;
    file.name_ = slash == std::string::npos ? path : path.substr(slash + 1);
    if (file.name_.empty() || file.name_ == "." || file.name_ == "..")
        return unsafe("\"" + path + "\" names no file");
    if (::mkdir(folder.c_str(), S_IRWXU) != 0 && errno != EEXIST)
        return failed(errno, "making the folder " + folder);
    // Without the slash at its end, which would follow a link.
    const std::string plain = folder == "/" ? folder
                                            : folder.substr(0, folder.find_last_not_of('/') + 1);
    file.folder_ = Descriptor(::open(plain.empty() ? "/" : plain.c_str(),
                                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!file.folder_ && (errno == ELOOP || errno == ENOTDIR))
        return unsafe(plain + " is no folder, or a symbolic link: name the folder itself");
    if (!file.folder_) return failed(errno, "opening the folder " + plain);
    struct stat about {};
    if (::fstat(file.folder_.get(), &about) != 0) return failed(errno, "looking at " + plain);
    if (Error error = check(about, plain, "700")) return error;
    file.path_ = real_path(folder) + "/" + file.name_;
    return file;
}

Result<PrivateFile::Id> PrivateFile::make() const {
    struct stat about {};
    const int folder = folder_.get();
    for (int tries = 0; ::fstatat(folder, name_.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0;
         ++tries) {
        if (errno != ENOENT || tries > 1) return failed(errno, "looking at " + path_);
        const Descriptor made(::openat(folder, name_.c_str(),
                                       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                       S_IRUSR | S_IWUSR));
        if (!made && errno != EEXIST) return failed(errno, "making " + path_);
    }
    if (!S_ISREG(about.st_mode) || about.st_nlink != 1)
        return unsafe(path_ + " is no plain file, or has a second name: remove it");
    if (Error error = check(about, path_, "600")) return error;
    return Id{about.st_dev, about.st_ino};
}

std::optional<PrivateFile::Id> PrivateFile::id() const {
    struct stat about {};
    if (::fstatat(folder_.get(), name_.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0)
        return std::nullopt;
    return Id{about.st_dev, about.st_ino};
}

bool PrivateFile::rename(const char* ending) const {
    return ::renameat(folder_.get(), name_.c_str(), folder_.get(), (name_ + ending).c_str()) == 0;
}

void PrivateFile::remove(const char* ending) const {
    ::unlinkat(folder_.get(), (name_ + ending).c_str(), 0);
}

bool PrivateFile::lock() const {
    constexpr int most_tries = 100;
    for (int tries = 0; ::flock(folder_.get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
        if (tries == most_tries) return false;
        ::poll(nullptr, 0, 1);  // a millisecond: whoever has it opens a file, or renames one
    }
    return true;
}

void PrivateFile::unlock() const { ::flock(folder_.get(), LOCK_UN); }

}  // namespace post::io
