// A streambuf over a Stream, which turns the Context while it waits.
#include <post/iostream.hpp>

#include <algorithm>

#include "lib/context_root.hpp"

namespace post {

namespace {

// Turns the Context until the operation has its answer. False: it cannot be turned from here.
template <class Pending> bool wait_for(Pending& operation) {
    if (operation.ready()) return true;
    core::Root* root = operation.anchor() ? operation.anchor()->root : nullptr;
    return root && root->turn_until([&] { return operation.ready(); });
}

}  // namespace

StreamBuffer::StreamBuffer(Stream stream) : stream_(std::move(stream)) {
    setp(output_.data(), output_.data() + output_.size());
}

StreamBuffer::~StreamBuffer() { sync(); }

StreamBuffer::int_type StreamBuffer::underflow() {
    if (error_) return traits_type::eof();
    sync();
    auto reading = stream_.read();
    if (!wait_for(reading)) return traits_type::eof();
    auto bytes = reading.get();
    if (!bytes) {
        error_ = bytes.error();
        return traits_type::eof();
    }
    input_ = std::move(*bytes);
    if (input_.empty()) return underflow();
    auto* begin = reinterpret_cast<char*>(const_cast<std::byte*>(input_.data()));
    setg(begin, begin, begin + input_.size());
    return traits_type::to_int_type(*begin);
}

StreamBuffer::int_type StreamBuffer::overflow(int_type byte) {
    if (sync() != 0) return traits_type::eof();
    if (!traits_type::eq_int_type(byte, traits_type::eof()))
        return sputc(traits_type::to_char_type(byte));
    return traits_type::not_eof(byte);
}

int StreamBuffer::sync() {
    const std::string_view bytes(pbase(), static_cast<std::size_t>(pptr() - pbase()));
    setp(output_.data(), output_.data() + output_.size());
    return bytes.empty() || write(bytes) ? 0 : -1;
}

std::streamsize StreamBuffer::xsputn(const char* bytes, std::streamsize size) {
    if (size <= epptr() - pptr()) return std::streambuf::xsputn(bytes, size);
    if (sync() != 0) return 0;
    return write(std::string_view(bytes, static_cast<std::size_t>(size))) ? size : 0;
}

bool StreamBuffer::write(Content bytes) {
    auto writing = stream_.write(std::move(bytes));
    if (!wait_for(writing)) return false;
    if (const auto done = writing.get(); !done) {
        if (!error_) error_ = done.error();
        return false;
    }
    return true;
}

void StreamBuffer::finish() {
    sync();
    stream_.finish();
}

}  // namespace post
