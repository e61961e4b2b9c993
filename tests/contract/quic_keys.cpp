// QUIC: packets protected by one backend at the client and another at the server, with each cipher,
// through key updates (RFC 9001, 6).

#include <ngtcp2/ngtcp2_crypto.h>

#include "mappings/quic/connection.hpp"
#include "tests/contract/support.hpp"
#include "tests/unit/packet_protection_support.hpp"

namespace post::test {

namespace {

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

QuicOptions options_of(const Ends& ends, Cipher cipher) {
    QuicOptions options(seeded());
    options.client_protection = ends.client;
    options.server_protection = ends.server;
    options.client_security.cipher = cipher;
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

// The header of an Initial packet up to its number, whose place is the return value.
std::size_t read_initial(ngtcp2_pkt_hd& header, const std::vector<std::byte>& packet) {
    auto size = ngtcp2_pkt_decode_hd_long(
        &header, reinterpret_cast<const std::uint8_t*>(packet.data()), packet.size());
    REQUIRE(size > 0);
    REQUIRE(header.type == NGTCP2_PKT_INITIAL);
    return static_cast<std::size_t>(size);
}

// The Retry of a server that calls itself `server` and wants `token` back.
std::vector<std::byte> retry_to(const std::vector<std::byte>& initial, const ngtcp2_cid& server,
                                std::vector<std::uint8_t> token) {
    ngtcp2_pkt_hd asked;
    read_initial(asked, initial);
    std::vector<std::byte> packet(200);
    auto size = ngtcp2_crypto_write_retry(reinterpret_cast<std::uint8_t*>(packet.data()),
                                          packet.size(), asked.version, &asked.scid, &server,
                                          &asked.dcid, token.data(), token.size());
    REQUIRE(size > 0);
    packet.resize(static_cast<std::size_t>(size));
    return packet;
}

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
                    REQUIRE(pair.run_until([&] { return connection(first).update_keys(); }));
                    CHECK_FALSE(connection(first).update_keys());
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
            auto options = options_of(ends, Cipher::automatic);
            options.link.loss = 0.05;
            options.link.jitter = 5ms;
            QuicPair pair(options);
            Talk talk(pair);
            int updates = 0;
            for (int round = 0; round < 20; ++round) {
                updates += connection(pair.client).update_keys();
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
            QuicPair pair(options_of(ends, Cipher::automatic));
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
        options.client_security.cipher = Cipher::chacha20_poly1305;
        options.server_security.cipher = Cipher::aes_256_gcm;
        QuicPair pair(options);
        pair.run(5s);
        REQUIRE(pair.client.lost());
        CHECK(*pair.client.lost() == Errc::handshake_failed);
        CHECK_FALSE(pair.server.established());
    }

    TEST_CASE("quic: a genuine Retry gives a client its Initial keys anew, a forged one nothing") {
        for (const auto* protection : protections()) {
            CAPTURE(std::string(protection->name()));
            QuicOptions options(seeded());
            options.listening = false;
            options.client_protection = protection == &crypto::gnutls_protection()
                                            ? Backend::gnutls
                                            : Backend::ipsec_mb;
            QuicPair pair(options);
            pair.transmit_now();
            REQUIRE(pair.history(true).size() == 1);
            const auto server_id = hex("a1a2a3a4a5a6a7a8");
            ngtcp2_cid server{};
            ngtcp2_cid_init(&server, reinterpret_cast<const std::uint8_t*>(server_id.data()),
                            server_id.size());
            const auto retry = retry_to(pair.history(true)[0], server, {1, 2, 3, 4});

            for (std::size_t place = retry.size() - 20; place < retry.size(); ++place) {
                auto forged = retry;
                forged[place] ^= std::byte{1};
                pair.inject(false, forged);
            }
            pair.transmit_now();
            CHECK(pair.history(true).size() == 1);

            pair.inject(false, retry);
            pair.transmit_now();
            REQUIRE(pair.history(true).size() == 2);
            auto packet = pair.history(true)[1];
            ngtcp2_pkt_hd again;
            auto place = read_initial(again, packet);
            CHECK(again.tokenlen == 4);
            CHECK(ngtcp2_cid_eq(&again.dcid, &server) != 0);

            crypto::InitialSecrets initial;
            derive_initial(initial, crypto::QuicVersion::v1, server_id);
            crypto::PacketSecrets secrets(crypto::Aead::aes_128_gcm);
            derive(secrets, crypto::initial_suite(), crypto::QuicVersion::v1,
                   initial.client.bytes());
            // RFC 9000, 17.2.5.3: numbers go on, so this is packet 1.
            CHECK(Direction(crypto::gnutls_protection(), secrets, crypto::Aead::aes_128_gcm)
                      .unprotect(packet, place, 1));
        }
    }

    TEST_CASE("quic: keys are not updated before the handshake is confirmed") {
        QuicPair pair{QuicOptions(seeded())};
        CHECK_FALSE(connection(pair.client).update_keys());
        REQUIRE(pair.connect());
    }
}

}  // namespace post::test
