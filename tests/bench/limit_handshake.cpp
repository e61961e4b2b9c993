// Handshakes in memory. What an end's calls of GnuTLS take is its share, from the making of its
// session to the end of it.
#include "limit_handshake.hpp"

#include <gnutls/gnutls.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>

#include <post/identity.hpp>

namespace post::bench {

namespace {

void check(int code, const char* what) {
    if (code < 0) throw std::runtime_error(std::string(what) + ": " + gnutls_strerror(code));
}

double cpu_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// What all handshakes of one end share.
class Credentials {
public:
    explicit Credentials(const Identity* identity) {
        check(gnutls_certificate_allocate_credentials(&native_), "credentials");
        check(gnutls_priority_init(&priority_,
                                   "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:"
                                   "-GROUP-ALL:+GROUP-X25519:%DISABLE_TLS13_COMPAT_MODE",
                                   nullptr),
              "priorities");
        if (!identity) return;
        const auto certificate = datum(identity->certificates());
        const auto key = datum(identity->key());
        check(gnutls_certificate_set_x509_key_mem(native_, &certificate, &key, GNUTLS_X509_FMT_PEM),
              "certificate");
    }
    Credentials(const Credentials&) = delete;
    Credentials& operator=(const Credentials&) = delete;
    ~Credentials() {
        gnutls_priority_deinit(priority_);
        gnutls_certificate_free_credentials(native_);
    }

    gnutls_certificate_credentials_t native() const { return native_; }
    gnutls_priority_t priority() const { return priority_; }

private:
    static gnutls_datum_t datum(const Bytes& bytes) {
        auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
        return {const_cast<unsigned char*>(data), static_cast<unsigned>(bytes.size())};
    }
    gnutls_certificate_credentials_t native_ = nullptr;
    gnutls_priority_t priority_ = nullptr;
};

// One end of one handshake; `cpu` grows by what it takes.
class Player {
public:
    Player(const Credentials& credentials, unsigned flags, double& cpu) : cpu_(cpu) {
        timed([&] {
            check(gnutls_init(&session_, flags | GNUTLS_NONBLOCK), "session");
            check(gnutls_priority_set(session_, credentials.priority()), "priority");
            check(gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials.native()),
                  "credentials");
            gnutls_transport_set_ptr(session_, this);
            gnutls_transport_set_push_function(session_, push);
            gnutls_transport_set_pull_function(session_, pull);
            gnutls_transport_set_pull_timeout_function(session_, has_input);
        });
    }
    Player(const Player&) = delete;
    Player& operator=(const Player&) = delete;
    ~Player() {
        timed([&] { gnutls_deinit(session_); });
    }

    void meet(Player& peer) { peer_ = &peer; }
    // As far as it gets with what the peer has sent; true when it is done.
    bool advance() {
        timed([&] {
            const int code = gnutls_handshake(session_);
            if (code != GNUTLS_E_AGAIN) check(code, "handshake"), done_ = true;
        });
        return done_;
    }

private:
    template <class Work> void timed(const Work& work) {
        const double before = cpu_seconds();
        work();
        cpu_ += cpu_seconds() - before;
    }
    static ssize_t push(gnutls_transport_ptr_t self, const void* bytes, std::size_t size) {
        static_cast<Player*>(self)->peer_->input_.append(static_cast<const char*>(bytes), size);
        return static_cast<ssize_t>(size);
    }
    static ssize_t pull(gnutls_transport_ptr_t self, void* bytes, std::size_t size) {
        auto& player = *static_cast<Player*>(self);
        size = std::min(size, player.input_.size() - player.taken_);
        if (size == 0) {
            gnutls_transport_set_errno(player.session_, EAGAIN);
            return -1;
        }
        std::memcpy(bytes, player.input_.data() + player.taken_, size);
        player.taken_ += size;
        return static_cast<ssize_t>(size);
    }
    static int has_input(gnutls_transport_ptr_t self, unsigned) {
        const auto& player = *static_cast<Player*>(self);
        return player.taken_ < player.input_.size() ? 1 : 0;
    }

    double& cpu_;
    Player* peer_ = nullptr;
    gnutls_session_t session_ = nullptr;
    std::string input_;
    std::size_t taken_ = 0;
    bool done_ = false;
};

struct Used {
    double count = 0;
    double server = 0;  // CPU seconds
    double client = 0;
};

Used shake_hands(const Credentials& server_credentials, const Credentials& client_credentials,
                 double seconds) {
    Used used;
    const auto limit = std::chrono::duration<double>(seconds);
    const auto start = std::chrono::steady_clock::now();
    do {
        // No tickets: resumption is not what is measured.
        Player server(server_credentials, GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET, used.server);
        Player client(client_credentials, GNUTLS_CLIENT, used.client);
        server.meet(client);
        client.meet(server);
        bool done = false;
        for (int turns = 0; !done; ++turns) {
            if (turns > 10) throw std::runtime_error("a handshake makes no progress");
            const bool client_done = client.advance();
            done = server.advance() && client_done;
        }
        ++used.count;
    } while (std::chrono::steady_clock::now() - start < limit);
    return used;
}

}  // namespace

void measure_tls_handshake(const ClientEnd& end) {
    const Identity identity = Identity::self_signed("localhost");
    const Credentials server(&identity);
    const Credentials client(nullptr);
    shake_hands(server, client, end.settings.warm_up);
    const Used used = shake_hands(server, client, end.settings.seconds);
    end.report("rate per server core", used.count / used.server / 1e3, "k/s");
    end.report("server", used.server / used.count * 1e6, "CPU us");
    end.report("client", used.client / used.count * 1e6, "CPU us");
}

}  // namespace post::bench
