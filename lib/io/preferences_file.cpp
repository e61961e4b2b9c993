// Preferences from a file.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <post/policy.hpp>

#include "lib/io/descriptor.hpp"

namespace post {

namespace {

constexpr std::size_t most_bytes = 64 * 1024;

Error unreadable(const std::string& path, int number) {
    return Error(Errc::file, std::error_code(number, std::generic_category()), Stage::call,
                 Bytes("reading " + path));
}

}  // namespace

Result<Preferences> Preferences::read(const std::string& path) {
    // A pipe would wait for its other end.
    const io::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) return unreadable(path, errno);
    struct stat about {};
    if (::fstat(file.get(), &about) != 0) return unreadable(path, errno);
    if (!S_ISREG(about.st_mode)) return unreadable(path, EINVAL);
    std::string text(most_bytes + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return unreadable(path, errno);
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    if (size > most_bytes) return unreadable(path, EFBIG);
    text.resize(size);
    return parse(text, path);
}

}  // namespace post
