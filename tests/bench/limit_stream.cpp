// TCP and TLS as an application without this library would use them: 64 KiB writes and reads.
#include "limit_stream.hpp"

#include <gnutls/gnutls.h>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <post/identity.hpp>

#include "descriptor.hpp"
#include "meter.hpp"
#include "seal.hpp"
#include "trips.hpp"

namespace post::bench {

namespace {

constexpr std::size_t block = 65536;

void check_gnutls(int code, const char* what) {
    if (code < 0) throw std::runtime_error(std::string(what) + ": " + gnutls_strerror(code));
}

// One end of a TLS 1.3 session over a connected socket.
class Session {
public:
    Session(int fd, const Identity* identity) {
        check_gnutls(gnutls_certificate_allocate_credentials(&credentials_), "credentials");
        if (identity) {
            const auto certificate = datum(identity->certificates());
            const auto key = datum(identity->key());
            check_gnutls(gnutls_certificate_set_x509_key_mem(credentials_, &certificate, &key,
                                                             GNUTLS_X509_FMT_PEM),
                         "certificate");
        }
        check_gnutls(gnutls_init(&session_, identity ? GNUTLS_SERVER : GNUTLS_CLIENT), "session");
        check_gnutls(gnutls_priority_set_direct(session_,
                                                "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:"
                                                "+AES-128-GCM",
                                                nullptr),
                     "priority");
        check_gnutls(gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials_),
                     "credentials");
        gnutls_transport_set_int(session_, fd);
        int code = 0;
        do {
            code = gnutls_handshake(session_);
        } while (code < 0 && !gnutls_error_is_fatal(code));
        check_gnutls(code, "handshake");
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() {
        gnutls_deinit(session_);
        gnutls_certificate_free_credentials(credentials_);
    }

    ssize_t send(const char* bytes, std::size_t size) {
        return gnutls_record_send(session_, bytes, size);
    }
    // What one record has, or less; GNUTLS_E_AGAIN: nothing is there.
    ssize_t try_receive(char* bytes, std::size_t size) {
        return gnutls_record_recv(session_, bytes, size);
    }
    // At most one record of 16 KiB.
    ssize_t receive(char* bytes, std::size_t size) {
        ssize_t got = 0;
        do {
            got = try_receive(bytes, size);
        } while (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED);
        return got;
    }

private:
    static gnutls_datum_t datum(const Bytes& bytes) {
        auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
        return {const_cast<unsigned char*>(data), static_cast<unsigned>(bytes.size())};
    }
    gnutls_certificate_credentials_t credentials_ = nullptr;
    gnutls_session_t session_ = nullptr;
};

Descriptor accept_one(const ServerEnd& end) {
    const Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    const auto address = loopback(0);
    check(::bind(listener.get(), generic(address), sizeof address) == 0, "bind");
    check(::listen(listener.get(), 1) == 0, "listen");
    end.announce(bound_port(listener.get()));
    return Descriptor(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept");
}

Descriptor connect_one(const ClientEnd& end) {
    Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    const auto address = loopback(end.settings.port);
    check(::connect(socket.get(), generic(address), sizeof address) == 0, "connect");
    return socket;
}

// Messages of 64 bytes over a session. Who sleeps does so in epoll_wait, as an event loop does.
class Echo {
public:
    Echo(int fd, Session& session, Waiting waiting)
        : session_(session),
          waiting_(waiting),
          epoll_(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1") {
        const int on = 1;
        check(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
        check(::fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
        epoll_event event{};
        event.events = EPOLLIN;
        check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    }
    void send() { session_.send(message_.data(), message_.size()); }
    // False: the peer has gone.
    bool receive() {
        for (std::size_t got = 0; got < message_.size();) {
            const ssize_t more = session_.try_receive(message_.data() + got, message_.size() - got);
            if (more > 0) {
                got += static_cast<std::size_t>(more);
                continue;
            }
            if (more == 0 || gnutls_error_is_fatal(static_cast<int>(more))) return false;
            epoll_event event{};
            if (waiting_ == Waiting::sleeping) ::epoll_wait(epoll_.get(), &event, 1, -1);
        }
        return true;
    }

private:
    Session& session_;
    Waiting waiting_;
    Descriptor epoll_;
    std::array<char, 64> message_{};
};

template <class Receive> void measure(const ClientEnd& end, const Receive& receive) {
    std::vector<char> buffer(block);
    const auto run_for = [&](double seconds) {
        const auto limit = std::chrono::duration<double>(seconds);
        const auto start = std::chrono::steady_clock::now();
        double bytes = 0;
        while (std::chrono::steady_clock::now() - start < limit) {
            const ssize_t got = receive(buffer.data(), buffer.size());
            if (got <= 0) throw std::runtime_error("the sender ended first");
            bytes += static_cast<double>(got);
        }
        return bytes;
    };
    run_for(end.settings.warm_up);
    const Meter meter(end);
    const double bytes = run_for(end.settings.seconds);
    report_bulk(end, bytes, meter.used());
}

}  // namespace

void serve_tcp(const ServerEnd& end) {
    const Descriptor socket = accept_one(end);
    const std::vector<char> content(block, 'x');
    while (::send(socket.get(), content.data(), content.size(), MSG_NOSIGNAL) > 0) {}
}

void measure_tcp(const ClientEnd& end) {
    const Descriptor socket = connect_one(end);
    measure(end,
            [&](char* bytes, std::size_t size) { return ::recv(socket.get(), bytes, size, 0); });
}

void serve_tls(const ServerEnd& end) {
    const Identity identity = Identity::self_signed("localhost");
    const Descriptor socket = accept_one(end);
    const std::vector<char> content(block, 'x');
    Session session(socket.get(), &identity);
    while (session.send(content.data(), content.size()) > 0) {}
}

void measure_tls(const ClientEnd& end) {
    const Descriptor socket = connect_one(end);
    Session session(socket.get(), nullptr);
    measure(end, [&](char* bytes, std::size_t size) { return session.receive(bytes, size); });
}

void serve_tls_echo(const ServerEnd& end) {
    const Identity identity = Identity::self_signed("localhost");
    const Descriptor socket = accept_one(end);
    Session session(socket.get(), &identity);
    Echo echo(socket.get(), session, end.waiting);
    while (echo.receive()) echo.send();
}

void measure_tls_trip(const ClientEnd& end) {
    const Descriptor socket = connect_one(end);
    Session session(socket.get(), nullptr);
    Echo echo(socket.get(), session, end.waiting);
    Trips trips;
    const auto run_for = [&](double seconds) {
        const auto limit = std::chrono::duration<double>(seconds);
        const auto start = std::chrono::steady_clock::now();
        while (std::chrono::steady_clock::now() - start < limit) {
            trips.begin();
            echo.send();
            if (!echo.receive()) throw std::runtime_error("the server has gone");
            trips.end();
        }
    };
    run_for(end.settings.warm_up);
    trips.clear();
    const Meter meter(end);
    run_for(end.settings.seconds);
    trips.report(end, meter.used());
}

void calibrate(const ClientEnd& end) {
    gnutls_aead_cipher_hd_t aead = nullptr;
    std::array<unsigned char, 16> key{};
    std::array<unsigned char, 12> nonce{};
    const gnutls_datum_t datum{key.data(), key.size()};
    check_gnutls(gnutls_aead_cipher_init(&aead, GNUTLS_CIPHER_AES_128_GCM, &datum), "AES-GCM");
    std::vector<unsigned char> plain(1452);
    std::vector<unsigned char> sealed(plain.size() + Seal::tag_size);
    const auto limit = std::chrono::duration<double>(end.settings.seconds / 4);
    double records = 0;
    const Meter meter(end);
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < limit) {
        for (int i = 0; i < 100; ++i) {
            std::size_t size = sealed.size();
            gnutls_aead_cipher_encrypt(aead, nonce.data(), nonce.size(), nullptr, 0, Seal::tag_size,
                                       plain.data(), plain.size(), sealed.data(), &size);
        }
        records += 100;
    }
    const auto used = meter.used();
    gnutls_aead_cipher_deinit(aead);
    const double bits = records * static_cast<double>(plain.size()) * 8;
    end.report("rate", bits / used.wall / 1e9, "Gbit/s");
    end.report("rate of CPU time", bits / used.client / 1e9, "Gbit/s");
}

}  // namespace post::bench
