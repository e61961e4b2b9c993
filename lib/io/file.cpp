// Messages from files and to files.
#include <post/file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace post {

namespace {

Error file_error(std::string what, int number = errno) {
    return Error(Errc::file, std::error_code(number, std::generic_category()), Stage::call,
                 Bytes(std::move(what)));
}

class Descriptor {
public:
    Descriptor(const std::string& path, int flags)
        : number_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&&) = delete;
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    explicit operator bool() const { return number_ >= 0; }
    int number() const { return number_; }

private:
    int number_;
};

Result<Bytes> read_some(const Descriptor& file, const std::string& path, std::uint64_t offset,
                        std::size_t most) {
    Block block(most);
    ssize_t size = 0;
    do {
        size = ::pread(file.number(), block.writable(), most, static_cast<off_t>(offset));
    } while (size < 0 && errno == EINTR);
    if (size < 0) return file_error("reading " + path);
    if (size == 0) return file_error(path + " became shorter while it was sent", 0);
    return block.commit(static_cast<std::size_t>(size));
}

}  // namespace

Result<Generated> file_content(const std::string& path,
                               Function<void(std::uint64_t delivered)> progress) {
    Descriptor file(path, O_RDONLY | O_NONBLOCK);  // a pipe would wait for its other end
    if (!file) return file_error("opening " + path);
    struct stat about {};
    if (::fstat(file.number(), &about) != 0) return file_error("looking at " + path);
    if (!S_ISREG(about.st_mode) || about.st_size == 0)
        return Error(Errc::unsupported, {}, Stage::call,
                     Bytes(path + " is empty, or no file that has a length"));
    Generated content;
    content.size = static_cast<std::uint64_t>(about.st_size);
    content.produce = [file = std::move(file), path](std::uint64_t offset, std::size_t most) {
        return read_some(file, path, offset, most);
    };
    content.progress = std::move(progress);
    return content;
}

class FileWriter::Open {
public:
    explicit Open(std::string path)
        : path_(std::move(path)),
          file_(path_ + ".part", O_WRONLY | O_CREAT | O_TRUNC),
          opened_(file_ ? 0 : errno) {}
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    ~Open() {
        if (file_ && !placed_) ::unlink((path_ + ".part").c_str());
    }

    Result<bool> add(const InMessage& part) {
        if (!file_) return file_error("opening " + path_ + ".part", opened_);
        if (part.cut())
            return Error(Errc::cancelled, {}, Stage::established,
                         Bytes("the sender gave up the message for " + path_));
        const bool first = written_ == 0 && !begun_;
        if (part.offset() != written_ ||
            (!first && (part.sequence() != sequence_ || part.niceness() != niceness_)))
            return Error(Errc::invalid_argument, {}, Stage::call,
                         Bytes("a part of another message for " + path_));
        begun_ = true;
        sequence_ = part.sequence();
        niceness_ = part.niceness();
        Result<bool> result = false;
        part.segments([&](const Bytes& segment) {
            if (result) result = write_all(segment);
        });
        if (!result || !part.last()) return result;
        if (::rename((path_ + ".part").c_str(), path_.c_str()) != 0)
            return file_error("renaming to " + path_);
        placed_ = true;
        return true;
    }
    std::uint64_t written() const { return written_; }

private:
    Result<bool> write_all(const Bytes& bytes) {
        for (std::size_t done = 0; done < bytes.size();) {
            const ssize_t size = ::write(file_.number(), bytes.data() + done, bytes.size() - done);
            if (size < 0 && errno == EINTR) continue;
            if (size < 0) return file_error("writing " + path_ + ".part");
            done += static_cast<std::size_t>(size);
            written_ += static_cast<std::uint64_t>(size);
        }
        return false;
    }

    std::string path_;
    Descriptor file_;
    int opened_;
    std::uint64_t written_ = 0;
    Sequence sequence_;
    Niceness niceness_;
    bool begun_ = false;
    bool placed_ = false;
};

FileWriter::FileWriter(std::string path) : open_(std::make_unique<Open>(std::move(path))) {}
FileWriter::FileWriter(FileWriter&&) noexcept = default;
FileWriter& FileWriter::operator=(FileWriter&&) noexcept = default;
FileWriter::~FileWriter() = default;

Result<bool> FileWriter::add(const InMessage& part) { return open_->add(part); }

std::uint64_t FileWriter::written() const { return open_->written(); }

}  // namespace post
