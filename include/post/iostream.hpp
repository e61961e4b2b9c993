// IoStream: a Stream as a std::iostream, for code that knows nothing of this library. Where bytes
// are missing, or there is no room for more, it turns the Context until there are: so it is for a
// thread that owns its Context and has nothing else to do meanwhile, and never for a callback
// (where it fails at once, as a Context does not turn inside of a turn).
//
//     post::IoStream http(context.initiate(remote, {.alpn = "http/1.1"}).as_stream().value());
//     http << "GET / HTTP/1.1\r\nHost: example.net\r\n\r\n" << std::flush;
//     for (std::string line; std::getline(http, line);) std::cout << line << '\n';
//
// Errors are those of std::iostream (eof, bad); error() says more.
#pragma once

#include <array>
#include <iostream>
#include <streambuf>

#include <post/stream.hpp>

namespace post {

// The buffer behind it, for who has a std::ostream or std::istream already.
class StreamBuffer : public std::streambuf {
public:
    explicit StreamBuffer(Stream stream);
    // Sends what is not flushed.
    ~StreamBuffer() override;

    // Flushes, and ends our direction; reading goes on.
    void finish();
    Stream& stream() { return stream_; }
    // What ended reading or writing; none so far, or carrier_closed behind the last byte.
    const Error& error() const { return error_; }

private:
    int_type underflow() override;
    int_type overflow(int_type byte) override;
    int sync() override;
    std::streamsize xsputn(const char* bytes, std::streamsize size) override;
    bool write(Content bytes);

    Stream stream_;
    Bytes input_;
    std::array<char, 4096> output_;
    Error error_;
};

class IoStream : public std::iostream {
public:
    explicit IoStream(Stream stream) : std::iostream(nullptr), buffer_(std::move(stream)) {
        rdbuf(&buffer_);
    }
    IoStream(const IoStream&) = delete;
    IoStream& operator=(const IoStream&) = delete;

    // As StreamBuffer has them. What was read ahead is not in the Stream any more.
    void finish() { buffer_.finish(); }
    Stream& stream() { return buffer_.stream(); }
    const Error& error() const { return buffer_.error(); }

private:
    StreamBuffer buffer_;
};

}  // namespace post
