// ngtcp2's callbacks: each looks up the Connection and hands the news on, nothing more. None may
// let an exception out into C; what is thrown waits in the Connection, and ngtcp2 is told to stop.

#include <cstring>

#include "mappings/quic/connection.hpp"
#include "mappings/quic/keys.hpp"
#include "mappings/quic/settings.hpp"

namespace post::quic {

using streams::Stream;

// A friend of Connection, so that what only callbacks may call stays private.
struct Callbacks {
    static Connection& connection(void* user_data) { return *static_cast<Connection*>(user_data); }
    static Stream* stream(void* stream_user_data) { return static_cast<Stream*>(stream_user_data); }

    // `body` says whether the connection may go on.
    template <class Body> static int guarded(void* user_data, Body body) noexcept {
        return connection(user_data).guarded(body);
    }

    static int recv_crypto_data(ngtcp2_conn*, ngtcp2_encryption_level level, std::uint64_t,
                                const std::uint8_t* data, std::size_t size, void* user_data) {
        int code = 0;
        int guard = guarded(user_data, [&](Connection& self) {
            code = self.advance_tls(level, std::as_bytes(std::span(data, size)));
            return true;
        });
        return guard != 0 ? guard : code;
    }
    static int handshake_completed(ngtcp2_conn*, void* user_data) {
        return guarded(user_data, [](Connection& self) {
            self.on_handshake_completed();
            return true;
        });
    }

    static int stream_open(ngtcp2_conn*, std::int64_t id, void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            self.begin_early();
            return self.streams_.on_opened(id);
        });
    }
    static int recv_stream_data(ngtcp2_conn*, std::uint32_t flags, std::int64_t, std::uint64_t,
                                const std::uint8_t* data, std::size_t size, void* user_data,
                                void* stream_user_data) {
        auto* from = stream(stream_user_data);
        if (from == nullptr) return 0;
        return guarded(user_data, [&](Connection& self) {
            return self.streams_.on_data(*from, std::as_bytes(std::span(data, size)),
                                         (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
        });
    }
    static int stream_reset(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t code,
                            void* user_data, void* stream_user_data) {
        auto* from = stream(stream_user_data);
        if (from == nullptr) return 0;
        return guarded(user_data, [&](Connection& self) {
            return self.streams_.on_reset(*from, code, self.now_);
        });
    }
    static int recv_stop_sending(ngtcp2_conn*, std::int64_t, std::uint64_t code, void* user_data,
                                 void* stream_user_data) {
        auto* from = stream(stream_user_data);
        if (from == nullptr) return 0;
        return guarded(user_data,
                       [&](Connection& self) { return self.streams_.on_stopped(*from, code); });
    }
    static int stream_close(ngtcp2_conn*, std::uint32_t, std::int64_t, std::uint64_t,
                            void* user_data, void* stream_user_data) {
        auto* closed = stream(stream_user_data);
        if (closed == nullptr) return 0;
        return guarded(user_data, [&](Connection& self) {
            self.streams_.on_closed(*closed);
            return true;
        });
    }
    static int acked_stream_data(ngtcp2_conn*, std::int64_t, std::uint64_t offset,
                                 std::uint64_t size, void* user_data, void* stream_user_data) {
        auto* acked = stream(stream_user_data);
        if (acked == nullptr) return 0;
        return guarded(user_data, [&](Connection& self) {
            self.mtu_.on_progress(self.now_);
            self.streams_.on_acked(*acked, offset, size);
            return true;
        });
    }
    static int recv_datagram(ngtcp2_conn*, std::uint32_t, const std::uint8_t* data,
                             std::size_t size, void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            if (self.state_ == Connection::State::established)
                self.streams_.on_alone(std::as_bytes(std::span(data, size)));
            return true;
        });
    }
    static int ack_datagram(ngtcp2_conn*, std::uint64_t id, void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            self.mtu_.on_progress(self.now_);
            self.streams_.on_alone_settled(id, false);
            return true;
        });
    }
    static int lost_datagram(ngtcp2_conn*, std::uint64_t id, void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            self.streams_.on_alone_settled(id, true);
            return true;
        });
    }
    static int extend_max_stream_data(ngtcp2_conn*, std::int64_t, std::uint64_t, void* user_data,
                                      void* stream_user_data) {
        auto* extended = stream(stream_user_data);
        if (extended == nullptr) return 0;
        return guarded(user_data, [&](Connection& self) {
            self.streams_.on_window(*extended);
            return true;
        });
    }
    static int extend_streams_bidi(ngtcp2_conn*, std::uint64_t, void* user_data) {
        return guarded(user_data, [](Connection& self) {
            self.streams_.on_stream_limit(false);
            return true;
        });
    }
    static int extend_streams_uni(ngtcp2_conn*, std::uint64_t, void* user_data) {
        return guarded(user_data, [](Connection& self) {
            self.streams_.on_stream_limit(true);
            return true;
        });
    }

    // The endpoint may be asked before there is a Connection, so it is the cookie itself.
    static void rand(std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx* context) {
        static_cast<Endpoint*>(context->native_handle)
            ->random(std::as_writable_bytes(std::span(out, size)));
    }
    static int new_connection_id(ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token, std::size_t,
                                 void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            auto issued = self.issue_id();
            ngtcp2_cid_init(id, issued.data(), issued.size);
            self.endpoint_.reset_token(issued, std::span<std::uint8_t, 16>(token, 16));
            return true;
        });
    }
    static int remove_connection_id(ngtcp2_conn*, const ngtcp2_cid* id, void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            ConnectionId gone(id->data, id->datalen);
            self.endpoint_.remove_route(gone);
            std::erase(self.ids_, gone);
            return true;
        });
    }
    static int path_challenge(ngtcp2_conn*, std::uint8_t* data, void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            self.endpoint_.random(
                std::as_writable_bytes(std::span(data, NGTCP2_PATH_CHALLENGE_DATALEN)));
            self.ask_first_until_ = {};
            return true;
        });
    }
    // The tokens by which the peer says that it has forgotten us, one for each of its ids in use.
    static int connection_id_status(ngtcp2_conn*, ngtcp2_connection_id_status_type type,
                                    std::uint64_t, const ngtcp2_cid*, const std::uint8_t* token,
                                    void* user_data) {
        if (token == nullptr) return 0;
        return guarded(user_data, [&](Connection& self) {
            ConnectionId key(token, NGTCP2_STATELESS_RESET_TOKENLEN);
            if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_DEACTIVATE) {
                if (std::erase(self.reset_tokens_, key) > 0) self.endpoint_.remove_reset_token(key);
            } else if (self.endpoint_.add_reset_token(key, self.transient_)) {
                self.reset_tokens_.push_back(key);
            }
            return true;
        });
    }
    static int new_token(ngtcp2_conn*, const std::uint8_t* token, std::size_t size,
                         void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            self.keep_token(std::span(token, size));
            return true;
        });
    }
    static int version_negotiation(ngtcp2_conn*, const ngtcp2_pkt_hd*, const std::uint32_t* offered,
                                   std::size_t count, void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            if (self.connect_) self.choose_version(std::span(offered, count));
            return true;
        });
    }
    static int begin_path_validation(ngtcp2_conn*, std::uint32_t, const ngtcp2_path* path,
                                     const ngtcp2_path*, void* user_data) {
        Connection& self = connection(user_data);
        if (self.role_ == Role::server) self.moving_.unvalidated.begin(to_address(path->remote));
        self.moving_.validating = true;
        self.ask_first_until_ = self.now_ + Connection::longest_question;
        return 0;
    }
    static int path_validation(ngtcp2_conn*, std::uint32_t flags, const ngtcp2_path* path,
                               const ngtcp2_path*, ngtcp2_path_validation_result result,
                               void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            self.on_validated(to_address(path->local), to_address(path->remote), result,
                              (flags & NGTCP2_PATH_VALIDATION_FLAG_NEW_TOKEN) != 0);
            return true;
        });
    }
    static int select_preferred(ngtcp2_conn*, ngtcp2_path* path,
                                const ngtcp2_preferred_addr* offered, void* user_data) {
        return guarded(user_data, [&](Connection& self) {
            self.select_preferred(*offered, path);
            return true;
        });
    }
    static int stateless_reset(ngtcp2_conn*, const ngtcp2_pkt_stateless_reset*, void* user_data) {
        connection(user_data).reset_by_peer_ = true;
        return 0;
    }
};

void fill(ngtcp2_callbacks& callbacks, Role role) {
    callbacks = {};
    fill_keys(callbacks, role);
    if (role == Role::client) {
        callbacks.recv_version_negotiation = Callbacks::version_negotiation;
        callbacks.recv_new_token = Callbacks::new_token;
        callbacks.select_preferred_addr = Callbacks::select_preferred;
    }
    callbacks.recv_crypto_data = Callbacks::recv_crypto_data;
    callbacks.handshake_completed = Callbacks::handshake_completed;
    callbacks.stream_open = Callbacks::stream_open;
    callbacks.recv_stream_data = Callbacks::recv_stream_data;
    callbacks.stream_reset = Callbacks::stream_reset;
    callbacks.stream_close = Callbacks::stream_close;
    callbacks.acked_stream_data_offset = Callbacks::acked_stream_data;
    callbacks.recv_datagram = Callbacks::recv_datagram;
    callbacks.ack_datagram = Callbacks::ack_datagram;
    callbacks.lost_datagram = Callbacks::lost_datagram;
    callbacks.extend_max_stream_data = Callbacks::extend_max_stream_data;
    callbacks.extend_max_local_streams_bidi = Callbacks::extend_streams_bidi;
    callbacks.extend_max_local_streams_uni = Callbacks::extend_streams_uni;
    callbacks.rand = Callbacks::rand;
    callbacks.get_new_connection_id = Callbacks::new_connection_id;
    callbacks.remove_connection_id = Callbacks::remove_connection_id;
    callbacks.get_path_challenge_data = Callbacks::path_challenge;
    callbacks.path_validation = Callbacks::path_validation;
#if NGTCP2_VERSION_NUM >= 0x010e00
    callbacks.begin_path_validation = Callbacks::begin_path_validation;
#endif
    callbacks.recv_stateless_reset = Callbacks::stateless_reset;
    callbacks.dcid_status = Callbacks::connection_id_status;
#if NGTCP2_VERSION_NUM >= 0x011800
    // Before 1.24 a STOP_SENDING is only noticed by the next write to its stream.
    callbacks.recv_stop_sending = Callbacks::recv_stop_sending;
#endif
}

}  // namespace post::quic
