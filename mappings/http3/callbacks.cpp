// nghttp3's callbacks: each looks up the request by the id of its stream and hands the news on.
// None may let an exception out into C: what is thrown waits in the Connection.
#include "mappings/http3/callbacks.hpp"

#include <string_view>

#include "mappings/http3/connection.hpp"

namespace post::http3 {

// A friend of Connection, so that what only callbacks may call stays private.
struct Callbacks {
    template <class Body> static int guarded(void* user_data, Body body) noexcept {
        auto& self = *static_cast<Connection*>(user_data);
        try {
            return body(self) ? 0 : NGHTTP3_ERR_CALLBACK_FAILURE;
        } catch (...) {
            self.thrown_ = std::current_exception();
            return NGHTTP3_ERR_CALLBACK_FAILURE;
        }
    }
    static std::string_view text(nghttp3_rcbuf* buffer) {
        const nghttp3_vec bytes = nghttp3_rcbuf_get_buf(buffer);
        return {reinterpret_cast<const char*>(bytes.base), bytes.len};
    }

    static int recv_data(nghttp3_conn*, std::int64_t id, const std::uint8_t* data, std::size_t size,
                         void* user_data, void*) {
        return guarded(user_data, [&](Connection& self) {
            self.on_body(id, std::as_bytes(std::span(data, size)));
            return true;
        });
    }
    static int deferred_consume(nghttp3_conn*, std::int64_t id, std::size_t size, void* user_data,
                                void*) {
        return guarded(user_data, [&](Connection& self) {
            self.give_back(id, size);
            return true;
        });
    }
    static int begin_headers(nghttp3_conn*, std::int64_t id, void* user_data, void*) {
        return guarded(user_data, [&](Connection& self) {
            self.on_begin(id);
            return true;
        });
    }
    static int recv_header(nghttp3_conn*, std::int64_t id, std::int32_t, nghttp3_rcbuf* name,
                           nghttp3_rcbuf* value, std::uint8_t, void* user_data, void*) {
        return guarded(user_data, [&](Connection& self) {
            return self.on_field(id, text(name), text(value));
        });
    }
    static int end_headers(nghttp3_conn*, std::int64_t id, int, void* user_data, void*) {
        return guarded(user_data, [&](Connection& self) {
            self.on_fields(id);
            return true;
        });
    }
    static int end_trailers(nghttp3_conn*, std::int64_t id, int, void* user_data, void*) {
        return guarded(user_data, [&](Connection& self) {
            self.on_trailers(id);
            return true;
        });
    }
    static int end_stream(nghttp3_conn*, std::int64_t id, void* user_data, void*) {
        return guarded(user_data, [&](Connection& self) {
            self.on_end(id);
            return true;
        });
    }
    static int stop_sending(nghttp3_conn*, std::int64_t id, std::uint64_t code, void* user_data,
                            void*) {
        return guarded(user_data, [&](Connection& self) {
            self.on_unwanted(id, code);
            return true;
        });
    }
    static int reset_stream(nghttp3_conn*, std::int64_t id, std::uint64_t code, void* user_data,
                            void*) {
        return guarded(user_data, [&](Connection& self) {
            self.on_given_up(id, code);
            return true;
        });
    }
    static int shutdown(nghttp3_conn*, std::int64_t id, void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            self.on_retired(id);
            return true;
        });
    }
    static int recv_settings(nghttp3_conn*, const nghttp3_settings* settings, void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            return self.on_settings(Remembered::of(*settings));
        });
    }
    static nghttp3_ssize read_data(std::int64_t id, nghttp3_vec* vectors, std::uint32_t* flags,
                                   void* user_data) {
        std::size_t count = 0;
        const int code = guarded(user_data, [&](Connection& self) {
            Request* request = self.find_stream(id);
            if (!request) return false;
            if (!request->chunk.empty()) {
                // nghttp3 reads through the pointer only.
                auto* base = const_cast<std::byte*>(request->chunk.data());
                vectors[count++] = {reinterpret_cast<std::uint8_t*>(base), request->chunk.size()};
                request->feeding = request->chunk;
                request->chunk = {};
            }
            if (request->last) *flags |= NGHTTP3_DATA_FLAG_EOF;
            if (request->last && request->trailers) *flags |= NGHTTP3_DATA_FLAG_NO_END_STREAM;
            return true;
        });
        if (code != 0) return code;
        return count == 0 && *flags == 0 ? NGHTTP3_ERR_WOULDBLOCK
                                         : static_cast<nghttp3_ssize>(count);
    }
};

nghttp3_ssize read_body(nghttp3_conn*, std::int64_t id, nghttp3_vec* vectors, std::size_t,
                        std::uint32_t* flags, void* connection, void*) {
    return Callbacks::read_data(id, vectors, flags, connection);
}

void fill(nghttp3_callbacks& callbacks) {
    callbacks = {};
    callbacks.recv_data = Callbacks::recv_data;
    callbacks.deferred_consume = Callbacks::deferred_consume;
    callbacks.begin_headers = Callbacks::begin_headers;
    callbacks.recv_header = Callbacks::recv_header;
    callbacks.end_headers = Callbacks::end_headers;
    callbacks.begin_trailers = Callbacks::begin_headers;
    callbacks.recv_trailer = Callbacks::recv_header;
    callbacks.end_trailers = Callbacks::end_trailers;
    callbacks.end_stream = Callbacks::end_stream;
    callbacks.stop_sending = Callbacks::stop_sending;
    callbacks.reset_stream = Callbacks::reset_stream;
    callbacks.shutdown = Callbacks::shutdown;
    callbacks.recv_settings = Callbacks::recv_settings;
}

}  // namespace post::http3
