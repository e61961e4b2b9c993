// LogFolder: opened and closed for each piece, since a server may have more connections than it may
// have files open.
#include "lib/io/log_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "lib/io/descriptor.hpp"

namespace post::io {

void LogFolder::append(const std::string& file, std::span<const std::byte> bytes) const {
    const std::string path = folder_ + '/' + file;
    const Descriptor opened(
        ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    while (opened && !bytes.empty()) {
        const ssize_t size = ::write(opened.get(), bytes.data(), bytes.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return;
        bytes = bytes.subspan(static_cast<std::size_t>(size));
    }
}

}  // namespace post::io
