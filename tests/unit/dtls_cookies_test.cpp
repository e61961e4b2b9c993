// DTLS cookies: who gets a session, who gets an answer, and who gets nothing.
#include "mappings/crypto/dtls_cookies.hpp"

#include <array>
#include <memory>

#include <doctest/doctest.h>

#include "mappings/crypto/dtls_messages.hpp"
#include "mappings/wire/reader.hpp"
#include "tests/unit/dtls_support.hpp"

namespace post::test {

namespace {

using crypto::DtlsCookies;
using crypto::DtlsPrestate;
using crypto::DtlsSession;
using Answer = std::vector<std::byte>;

const Address somebody = Address::parse("192.0.2.7", 5000).value();

// A server's door, and a client before it.
struct Door {
    Door() : client(store, options.client, options.client_options) {
        client.start(now);
        hello = client.poll_datagram();
    }
    DtlsCookies::Verdict examine(const Datagram& datagram, const Address& from = somebody) {
        return cookies.examine(now, from, datagram, random);
    }
    void tell_client(const Datagram& datagram) {
        Datagram room(datagram.size());
        DtlsSession::Sink sink = [](std::span<std::byte>) {};
        client.handle_input(now, datagram, room, sink);
    }
    // The ClientHello with the cookie of an answer.
    Datagram second_hello() {
        const auto verdict = examine(hello);
        REQUIRE(std::holds_alternative<Answer>(verdict));
        tell_client(std::get<Answer>(verdict));
        return client.poll_datagram();
    }

    DtlsPairOptions options;
    crypto::CredentialStore store;
    Instant now{1h};
    std::uint8_t next_random = 0;
    crypto::RotatingSecret::Random random = [this](std::span<std::byte> bytes) {
        for (auto& byte : bytes) byte = static_cast<std::byte>(++next_random);
    };
    DtlsCookies cookies;
    DtlsSession client;
    Datagram hello;
};

// One record with one fragment as two of each.
Datagram in_two(const Datagram& datagram, std::size_t at) {
    std::span<const std::byte> rest = datagram;
    const auto record = crypto::next_record(rest);
    wire::Reader reader(record->fragment);
    const auto whole = crypto::DtlsFragment::read(reader);
    REQUIRE(whole);
    Datagram cut;
    for (const bool front : {true, false}) {
        crypto::DtlsFragment part = *whole;
        part.offset = front ? 0 : static_cast<std::uint32_t>(at);
        part.bytes = front ? whole->bytes.first(at) : whole->bytes.subspan(at);
        const auto message = part.written();
        std::array<std::byte, crypto::dtls_header_size> header;
        auto numbered = *record;
        if (!front) ++numbered.sequence;
        crypto::put_header(header, numbered, message.size());
        cut.insert(cut.end(), header.begin(), header.end());
        cut.insert(cut.end(), message.begin(), message.end());
    }
    return cut;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("dtls: a cookie opens the door to a session") {
        Door door;
        const auto second = door.second_hello();
        const auto verdict = door.examine(second);
        REQUIRE(std::holds_alternative<DtlsPrestate>(verdict));
        DtlsSession server(door.store, door.options.server, door.options.server_options,
                           std::get<DtlsPrestate>(verdict));
        Datagram room(2000);
        DtlsSession::Sink sink = [](std::span<std::byte>) {};
        server.handle_input(door.now, second, room, sink);
        for (int i = 0; i < 4; ++i) {
            for (auto out = server.poll_datagram(); !out.empty(); out = server.poll_datagram())
                door.tell_client(out);
            for (auto out = door.client.poll_datagram(); !out.empty();
                 out = door.client.poll_datagram())
                server.handle_input(door.now, out, room, sink);
        }
        CHECK(server.progress() == DtlsSession::Progress::complete);
        CHECK_MESSAGE(door.client.progress() == DtlsSession::Progress::complete,
                      door.client.error().message());
    }

    // As OpenSSL writes it, which takes 256 bytes for the largest datagram.
    TEST_CASE("dtls: a ClientHello in two fragments of one datagram opens the door as well") {
        Door door;
        const auto whole = door.hello;
        for (const std::size_t at : {std::size_t{1}, std::size_t{40}, whole.size() - 26}) {
            CAPTURE(at);
            const auto cut = in_two(whole, at);
            CHECK(DtlsCookies::is_client_hello(cut));
            CHECK(std::get<Answer>(door.examine(cut)) == std::get<Answer>(door.examine(whole)));
        }
        const auto second = in_two(door.second_hello(), 60);
        CHECK(std::holds_alternative<DtlsPrestate>(door.examine(second)));
        // Overlapping, with a gap, out of order, cut off, or with something behind.
        for (const std::size_t byte : {21u, 24u}) {
            auto wrong = in_two(whole, 40);
            wrong[13 + 12 + 40 + 13 + byte - 13] ^= std::byte{1};
            CHECK_FALSE(DtlsCookies::is_client_hello(wrong));
        }
        for (std::size_t size = 0; size < second.size(); ++size)
            CHECK_FALSE(DtlsCookies::is_client_hello(std::span(second).first(size)));
        auto more = second;
        more.push_back(std::byte{0});
        CHECK_FALSE(DtlsCookies::is_client_hello(more));
    }

    TEST_CASE("dtls: an answer is never longer than the question") {
        Door door;
        for (std::size_t size = 0; size <= door.hello.size(); ++size) {
            CAPTURE(size);
            const Datagram part(door.hello.begin(),
                                door.hello.begin() + static_cast<std::ptrdiff_t>(size));
            const auto verdict = door.examine(part);
            CHECK_FALSE(std::holds_alternative<DtlsPrestate>(verdict));
            CHECK(std::holds_alternative<Answer>(verdict) == (size == door.hello.size()));
        }
        // Nor for the shortest that passes for a ClientHello at all.
        Datagram shortest(13 + 12 + 36);
        shortest[0] = std::byte{22};
        shortest[1] = shortest[2] = std::byte{0xfe};
        shortest[12] = std::byte{48};
        shortest[13] = std::byte{1};
        shortest[16] = shortest[24] = std::byte{36};
        const auto verdict = door.examine(shortest);
        REQUIRE(std::holds_alternative<Answer>(verdict));
        CHECK(std::get<Answer>(verdict).size() <= shortest.size());
    }

    TEST_CASE("dtls: a cookie is good for one address and one port") {
        Door door;
        const auto second = door.second_hello();
        for (const auto& other :
             {Address::parse("192.0.2.8", 5000), Address::parse("192.0.2.7", 5001),
              Address::parse("2001:db8::7", 5000)})
            CHECK(std::holds_alternative<Answer>(door.examine(second, *other)));
        CHECK(std::holds_alternative<DtlsPrestate>(door.examine(second)));
    }

    TEST_CASE("dtls: a cookie outlives one change of the secret, and not two") {
        Door door;
        const auto second = door.second_hello();
        door.now += DtlsCookies::period;
        CHECK(std::holds_alternative<DtlsPrestate>(door.examine(second)));
        door.now += DtlsCookies::period;
        CHECK(std::holds_alternative<Answer>(door.examine(second)));
        Door long_ago;
        const auto stale = long_ago.second_hello();
        long_ago.now += 10 * DtlsCookies::period;
        CHECK(std::holds_alternative<Answer>(long_ago.examine(stale)));
    }

    TEST_CASE("dtls: a wrong bit in the cookie, or another server's, gets a new one") {
        Door door;
        const auto second = door.second_hello();
        // record 13, message 12, version 2, random 32, session id 1 + 0, length of the cookie 1
        constexpr std::size_t cookie_at = 13 + 12 + 2 + 32 + 1 + 1;
        for (std::size_t i = 0; i < 16; ++i) {
            auto wrong = second;
            wrong[cookie_at + i] ^= std::byte{1};
            CHECK(std::holds_alternative<Answer>(door.examine(wrong)));
        }
        auto no_length = second;
        no_length[cookie_at - 1] = std::byte{255};
        CHECK_FALSE(std::holds_alternative<DtlsPrestate>(door.examine(no_length)));
        Door other;
        other.next_random = 100;
        CHECK(std::holds_alternative<Answer>(other.examine(second)));
    }

    TEST_CASE("dtls: what is no ClientHello gets no answer") {
        Door door;
        CHECK(DtlsCookies::is_client_hello(door.hello));
        // In fragments: RFC 6347, 4.2.2.
        DtlsPairOptions narrow;
        narrow.client_options.mtu = 256;
        narrow.client_options.alpn.clear();
        for (char c = 'a'; c < 'i'; ++c) narrow.client_options.alpn.emplace_back(30, c);
        DtlsSession client(door.store, narrow.client, narrow.client_options);
        client.start(door.now);
        for (auto out = client.poll_datagram(); !out.empty(); out = client.poll_datagram())
            CHECK(std::holds_alternative<std::monostate>(door.examine(out)));
        for (std::size_t i : {0u, 1u, 3u, 4u, 11u, 13u, 17u, 20u, 23u}) {
            CAPTURE(i);
            auto wrong = door.hello;
            wrong[i] ^= std::byte{0x40};
            CHECK(std::holds_alternative<std::monostate>(door.examine(wrong)));
        }
        CHECK(std::holds_alternative<std::monostate>(door.examine(bytes_of("hello"))));
        CHECK(std::holds_alternative<std::monostate>(door.examine(Datagram(1200))));
    }
}

}  // namespace post::test
