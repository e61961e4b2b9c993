// Time and randomness of the whole program belong to the World while there is one, GnuTLS
// included: a TLS 1.3 handshake with fresh keys and certificates is the same in every byte.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <ctime>
#include <deque>
#include <iomanip>
#include <memory>
#include <sstream>
#include <string>

#include <dlfcn.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/seed.hpp"
#include "tests/sim/child.hpp"
#include "tests/sim/digest.hpp"
#include "tests/sim/world.hpp"

using namespace post;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""s;

namespace {

using Sixteen = std::array<unsigned char, 16>;

Sixteen tls_random() {
    Sixteen bytes;
    REQUIRE(gnutls_rnd(GNUTLS_RND_KEY, bytes.data(), bytes.size()) == 0);
    return bytes;
}

void require(int code) { REQUIRE_MESSAGE(code >= 0, gnutls_strerror(code)); }

// One end of a TLS connection in memory. What it sends goes to the other's queue and is digested.
struct End {
    explicit End(unsigned flags, sim::Digest& digest) : sent(digest) {
        require(gnutls_init(&session, flags));
        require(gnutls_priority_set_direct(session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", nullptr));
        gnutls_transport_set_ptr(session, this);
        gnutls_transport_set_push_function(
            session, [](gnutls_transport_ptr_t self, const void* data, size_t size) {
                auto& end = *static_cast<End*>(self);
                const auto* bytes = static_cast<const std::byte*>(data);
                end.sent.add({bytes, size});
                end.peer->queue.insert(end.peer->queue.end(), bytes, bytes + size);
                return static_cast<ssize_t>(size);
            });
        gnutls_transport_set_pull_function(
            session, [](gnutls_transport_ptr_t self, void* data, size_t size) -> ssize_t {
                auto& end = *static_cast<End*>(self);
                if (end.queue.empty()) {
                    gnutls_transport_set_errno(end.session, EAGAIN);
                    return -1;
                }
                const std::size_t n = std::min(size, end.queue.size());
                std::copy_n(end.queue.begin(), n, static_cast<std::byte*>(data));
                end.queue.erase(end.queue.begin(), end.queue.begin() + static_cast<long>(n));
                return static_cast<ssize_t>(n);
            });
    }
    ~End() { gnutls_deinit(session); }
    End(const End&) = delete;
    End& operator=(const End&) = delete;

    gnutls_session_t session = nullptr;
    End* peer = nullptr;
    std::deque<std::byte> queue;
    sim::Digest& sent;
};

// A fresh key, a certificate of it for now, a handshake with a ticket, and data both ways.
std::uint64_t digest_of_a_handshake() {
    sim::Digest digest;
    gnutls_x509_privkey_t key = nullptr;
    gnutls_x509_crt_t certificate = nullptr;
    require(gnutls_x509_privkey_init(&key));
    require(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                         GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    require(gnutls_x509_crt_init(&certificate));
    require(gnutls_x509_crt_set_version(certificate, 3));
    require(gnutls_x509_crt_set_serial(certificate, "\x01", 1));
    require(gnutls_x509_crt_set_dn(certificate, "CN=server.test", nullptr));
    require(gnutls_x509_crt_set_activation_time(certificate, time(nullptr)));
    require(gnutls_x509_crt_set_expiration_time(certificate, time(nullptr) + 86400));
    require(gnutls_x509_crt_set_key(certificate, key));
    require(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0));

    gnutls_certificate_credentials_t credentials = nullptr;
    gnutls_certificate_credentials_t nothing = nullptr;
    require(gnutls_certificate_allocate_credentials(&credentials));
    require(gnutls_certificate_allocate_credentials(&nothing));
    require(gnutls_certificate_set_x509_key(credentials, &certificate, 1, key));
    gnutls_datum_t ticket_key{};
    require(gnutls_session_ticket_key_generate(&ticket_key));
    {
        End client(GNUTLS_CLIENT | GNUTLS_NONBLOCK, digest);
        End server(GNUTLS_SERVER | GNUTLS_NONBLOCK, digest);
        client.peer = &server;
        server.peer = &client;
        require(gnutls_credentials_set(client.session, GNUTLS_CRD_CERTIFICATE, nothing));
        require(gnutls_credentials_set(server.session, GNUTLS_CRD_CERTIFICATE, credentials));
        require(gnutls_session_ticket_enable_server(server.session, &ticket_key));
        int client_code = GNUTLS_E_AGAIN;
        int server_code = GNUTLS_E_AGAIN;
        for (int i = 0; i < 20 && (client_code != 0 || server_code != 0); ++i) {
            if (client_code != 0) client_code = gnutls_handshake(client.session);
            if (server_code != 0) server_code = gnutls_handshake(server.session);
        }
        REQUIRE(client_code == 0);
        REQUIRE(server_code == 0);
        std::array<char, 16> buffer;
        CHECK(gnutls_record_send(client.session, "ping", 4) == 4);
        CHECK(gnutls_record_recv(server.session, buffer.data(), buffer.size()) == 4);
        CHECK(gnutls_record_send(server.session, "pong", 4) == 4);
        ssize_t got = GNUTLS_E_AGAIN;
        for (int i = 0; i < 5 && got == GNUTLS_E_AGAIN; ++i)
            got = gnutls_record_recv(client.session, buffer.data(), buffer.size());
        CHECK(got == 4);
        gnutls_datum_t resumption{};
        require(gnutls_session_get_data2(client.session, &resumption));
        gnutls_free(resumption.data);
    }
    gnutls_free(ticket_key.data);
    gnutls_certificate_free_credentials(credentials);
    gnutls_certificate_free_credentials(nothing);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
    return digest.value();
}

// In a world of its own and with fresh generators.
std::uint64_t handshake_in_a_world(std::uint64_t seed) {
    std::uint64_t digest = 0;
    sim::ambient::apart([&] {
        sim::World world{seed};
        world.run_for(1s);
        digest = digest_of_a_handshake();
    });
    return digest;
}

constexpr const char* story = "tells the digest of a TLS handshake";

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("shared libraries ask this program for time and randomness") {
        const std::pair<const char*, void*> replaced[] = {
            {"clock_gettime", reinterpret_cast<void*>(&clock_gettime)},
            {"time", reinterpret_cast<void*>(&time)},
            {"gettimeofday", reinterpret_cast<void*>(&gettimeofday)},
            {"getrandom", reinterpret_cast<void*>(&getrandom)},
            {"getentropy", reinterpret_cast<void*>(&getentropy)},
            {"syscall", reinterpret_cast<void*>(&syscall)},
        };
        Dl_info program{};
        Dl_info found{};
        REQUIRE(dladdr(reinterpret_cast<void*>(&tls_random), &program) != 0);
        for (const auto& entry : replaced) {
            CAPTURE(entry.first);
            void* const seen = dlsym(RTLD_DEFAULT, entry.first);
            REQUIRE(seen != nullptr);
            REQUIRE(dladdr(seen, &found) != 0);
            CHECK(found.dli_fbase == program.dli_fbase);
            CHECK(seen == entry.second);
        }
    }

    TEST_CASE("every clock stands still in a world and moves with it") {
        const auto before = std::chrono::system_clock::now();
        {
            sim::World world{test::seed()};
            const auto steady = std::chrono::steady_clock::now();
            const auto system = std::chrono::system_clock::now();
            CHECK(system.time_since_epoch() == std::chrono::seconds(1'893'456'000));
            CHECK(std::chrono::steady_clock::now() == steady);
            world.run_for(90min);
            CHECK(std::chrono::steady_clock::now() - steady == 90min);
            CHECK(time(nullptr) == 1'893'456'000 + 5400);
            timeval tv{};
            gettimeofday(&tv, nullptr);
            CHECK(tv.tv_sec == 1'893'456'000 + 5400);
            timespec cpu{};
            CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0);
            CHECK(cpu.tv_sec < 3600);  // of this process, and real
        }
        const auto passed = std::chrono::system_clock::now() - before;
        CHECK(passed >= 0s);
        CHECK(passed < 1min);
    }

    TEST_CASE("randomness is the seed's in a world by whatever name it is asked for") {
        const auto draw = [](std::uint64_t seed) {
            sim::World world{seed};
            std::array<Sixteen, 3> bytes;
            CHECK(getrandom(bytes[0].data(), 16, 0) == 16);
            CHECK(syscall(SYS_getrandom, bytes[1].data(), 16, 0) == 16);
            CHECK(getentropy(bytes[2].data(), 16) == 0);
            return bytes;
        };
        CHECK(draw(1) == draw(1));
        CHECK(draw(1) != draw(2));
        CHECK(draw(1)[0] != draw(1)[1]);
        Sixteen real[2];
        CHECK(getrandom(real[0].data(), 16, 0) == 16);
        CHECK(syscall(SYS_getrandom, real[1].data(), 16, 0) == 16);
        CHECK(real[0] != real[1]);
        CHECK(syscall(SYS_getpid) == getpid());
    }

    TEST_CASE("GnuTLS draws the same for the same seed in worlds apart") {
        const auto draw = [](std::uint64_t seed) {
            Sixteen bytes;
            sim::ambient::apart([&] {
                sim::World world{seed};
                bytes = tls_random();
            });
            return bytes;
        };
        (void)tls_random();  // this thread's generator has a history
        CHECK(draw(1) == draw(1));
        CHECK(draw(1) != draw(2));
    }

    TEST_CASE("a story apart throws into its test") {
        CHECK_THROWS_WITH(sim::ambient::apart([] { throw std::runtime_error("inside"); }),
                          "inside");
    }

    TEST_CASE("tells the digest of a TLS handshake" * doctest::skip()) {
        std::ostringstream line;
        line << std::hex << handshake_in_a_world(test::seed());
        sim::say(line.str());
    }

    TEST_CASE("a TLS handshake is the same in every byte in two worlds and in two processes") {
        CHECK(handshake_in_a_world(7) == handshake_in_a_world(7));
        CHECK(handshake_in_a_world(7) != handshake_in_a_world(8));
        const std::string first = sim::run_in_child(story, 7);
        CHECK(first == sim::run_in_child(story, 7));
        CHECK(first != sim::run_in_child(story, 8));
        std::ostringstream here;
        here << std::hex << handshake_in_a_world(7) << '\n';
        CHECK(first == here.str());
    }
}
