// QUIC: packets protected by one backend at the client and another at the server, with each cipher,
// through key updates (RFC 9001, 6).

#include "mappings/quic/connection.hpp"
#include "tests/contract/support.hpp"

namespace post::test {

namespace {

using crypto::Cipher;
using Backend = crypto::PacketProtectionBackend;

struct Ends {
    const char* name;
    Backend client;
    Backend server;
};

// With libipsec-mb where it is.
std::vector<Ends> every_pair() {
    std::vector<Ends> pairs = {{"gnutls at both", Backend::gnutls, Backend::gnutls}};
    if (auto found = crypto::ipsec_mb_protection(); found.protection == nullptr) {
        MESSAGE("libipsec-mb is not tested: ", std::string(found.why_not));
        return pairs;
    }
    pairs.push_back({"gnutls to libipsec-mb", Backend::gnutls, Backend::ipsec_mb});
    pairs.push_back({"libipsec-mb to gnutls", Backend::ipsec_mb, Backend::gnutls});
    pairs.push_back({"libipsec-mb at both", Backend::ipsec_mb, Backend::ipsec_mb});
    return pairs;
}

QuicOptions options_of(const Ends& ends, std::optional<Cipher> cipher) {
    QuicOptions options(seeded());
    options.client_protection = ends.client;
    options.server_protection = ends.server;
    options.client_cipher = cipher;
    return options;
}

quic::Connection& connection(End& end) { return dynamic_cast<quic::Connection&>(*end.mapping); }

// Messages both ways on one Carrier, which the client opens.
class Talk {
public:
    explicit Talk(QuicPair& pair) : pair_(pair) {
        REQUIRE(pair_.connect());
        carrier_ = pair_.client.open();
        pair_.client.send(carrier_, Bytes("hello"));
        sent_.push_back("hello");
        REQUIRE(arrived(pair_.server, sent_));
        pair_.server.send(carrier_, Bytes("hello"));
    }
    // Not yet on their way; each is unlike all before.
    void send(std::size_t size) {
        sent_.push_back(std::to_string(sent_.size()) + pattern(size));
        pair_.client.send(carrier_, Bytes(sent_.back()));
        pair_.server.send(carrier_, Bytes(sent_.back()));
    }
    // Everything, in order, byte by byte.
    bool all_arrived() { return arrived(pair_.server, sent_) && arrived(pair_.client, sent_); }

private:
    bool arrived(End& end, const std::vector<std::string>& sent) {
        pair_.run_until([&] { return end.messages(carrier_).size() >= sent.size(); });
        return end.messages(carrier_) == sent;
    }

    QuicPair& pair_;
    CarrierId carrier_;
    std::vector<std::string> sent_;
};

}  // namespace

TEST_SUITE("contract") {
    TEST_CASE("quic: every pair of backends talks, with every cipher, through key updates") {
        for (const auto& ends : every_pair()) {
            CAPTURE(std::string(ends.name));
            for (auto cipher :
                 {Cipher::aes_128_gcm, Cipher::aes_256_gcm, Cipher::chacha20_poly1305}) {
                CAPTURE(static_cast<int>(cipher));
                QuicPair pair(options_of(ends, cipher));
                Talk talk(pair);
                for (int phase = 1; phase <= 6; ++phase) {
                    // Either side begins. What is under way with the old keys is still read.
                    auto& first = phase % 2 != 0 ? pair.client : pair.server;
                    talk.send(5'000);
                    pair.transmit_now();
                    REQUIRE(
                        pair.run_until([&] { return connection(first).update_keys(pair.now()); }));
                    CHECK_FALSE(connection(first).update_keys(pair.now()));
                    talk.send(20'000);
                    REQUIRE(talk.all_arrived());
                    pair.run(1s);
                }
                CHECK_FALSE(pair.client.lost());
                CHECK_FALSE(pair.server.lost());
            }
        }
    }

    TEST_CASE("quic: key updates under loss and reordering lose nothing") {
        for (const auto& ends : every_pair()) {
            CAPTURE(std::string(ends.name));
            auto options = options_of(ends, std::nullopt);
            options.link.loss = 0.05;
            options.link.jitter = 5ms;
            QuicPair pair(options);
            Talk talk(pair);
            int updates = 0;
            for (int round = 0; round < 20; ++round) {
                updates += connection(pair.client).update_keys(pair.now());
                talk.send(20'000);
                REQUIRE(talk.all_arrived());
                pair.run(500ms);
            }
            CHECK(updates >= 10);
        }
    }

    TEST_CASE("quic: a packet with a flipped bit is dropped, and the connection goes on") {
        for (const auto& ends : every_pair()) {
            CAPTURE(std::string(ends.name));
            QuicPair pair(options_of(ends, std::nullopt));
            Talk talk(pair);
            talk.send(3'000);
            REQUIRE(talk.all_arrived());
            for (bool to_server : {true, false}) {
                auto packet = pair.history(to_server).back();
                for (std::size_t place = 11; place < packet.size(); ++place) {
                    auto forged = packet;
                    forged[place] ^= std::byte{0x10};
                    pair.inject(to_server, forged);
                }
            }
            talk.send(3'000);
            CHECK(talk.all_arrived());
        }
    }

    TEST_CASE("quic: a server that takes another cipher than the client is not reached") {
        QuicOptions options(seeded());
        options.client_cipher = Cipher::chacha20_poly1305;
        options.server_cipher = Cipher::aes_256_gcm;
        QuicPair pair(options);
        pair.run(5s);
        REQUIRE(pair.client.lost());
        CHECK(*pair.client.lost() == Errc::handshake_failed);
        CHECK_FALSE(pair.server.established());
    }

    TEST_CASE("quic: keys are not updated before the handshake is confirmed") {
        QuicPair pair{QuicOptions(seeded())};
        CHECK_FALSE(connection(pair.client).update_keys(pair.now()));
        REQUIRE(pair.connect());
    }
}

}  // namespace post::test
