// Files as messages: sent while they are read, written as they arrive; of any length, in little
// memory. Reading and writing is done on the Context's thread, at most 256 KiB at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <post/message.hpp>

namespace post {

// The content of a file, as long as it is now, for Carrier::send. The file is open until the
// message has its fate; one that becomes shorter meanwhile, or cannot be read, is the end of the
// message. Errors: Errc::file with the errno as its cause. An empty file is to be sent as an empty
// message: Generated has at least one byte; so is what can tell no length (a pipe): unsupported.
Result<Generated> file_content(const std::string& path,
                               Function<void(std::uint64_t delivered)> progress = {});

// Writes a message that comes in parts (Carrier::receive and ready with ReceiveParts) to a file:
// under its name with ".part" behind it until it is whole, and then under its own, in one step.
class FileWriter {
public:
    explicit FileWriter(std::string path);
    FileWriter(FileWriter&&) noexcept;
    FileWriter& operator=(FileWriter&&) noexcept;
    ~FileWriter();  // what is not whole is removed

    // Writes a part; true when it was the last one and the file stands under its name. Parts come
    // in their order; those of another message are invalid_argument. Errors: Errc::file with the
    // errno as its cause; cancelled, when the sender gave the message up (InMessage::cut).
    Result<bool> add(const InMessage& part);
    // Bytes that were written.
    std::uint64_t written() const;

private:
    class Open;
    std::unique_ptr<Open> open_;
};

}  // namespace post
