// DTLS sessions on a bad network, and before somebody who forges: a handshake arrives, and a
// session stays.
#include <random>

#include <doctest/doctest.h>

#include "tests/seed.hpp"
#include "tests/unit/dtls_support.hpp"

namespace post::test {

namespace {

using Progress = crypto::DtlsSession::Progress;

// Certificates of both sides, with chains, so that each flight is long.
DtlsPairOptions long_flights(std::size_t mtu) {
    static const Identity root = dtls_identity({"Root of a large house with a long name"}, nullptr,
                                               true);
    static const Identity middle = dtls_identity({"Middle of a large house"}, &root, true);
    static const Identity leaf = dtls_identity({"server.example"}, &middle);
    DtlsPairOptions options;
    options.server.identity = options.client.identity = leaf;
    options.client.trust = Trust::authorities(root.certificates().view());
    options.server.client_certificate = crypto::ClientCertificate::required;
    options.server.client_trust = options.client.trust;
    options.client_options.mtu = options.server_options.mtu = mtu;
    return options;
}

Datagram alert_of(std::uint16_t epoch, std::uint8_t level, std::uint8_t number) {
    Datagram record(15);
    crypto::put_header(record, {.type = crypto::DtlsType::alert, .epoch = epoch, .sequence = 77},
                       2);
    record[13] = std::byte{level};
    record[14] = std::byte{number};
    return record;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("dtls: flights are cut to fit the path") {
        for (std::size_t mtu : {300u, 548u, 1200u}) {
            CAPTURE(mtu);
            DtlsPair pair(long_flights(mtu));
            pair.run();
            CHECK_MESSAGE(pair.complete(), pair.client.error().message());
            CHECK(pair.largest <= mtu);
            CHECK(pair.largest > mtu / 2);
            CHECK(pair.talks());
        }
    }

    TEST_CASE("dtls: a handshake bears the loss of any datagram") {
        for (std::size_t mtu : {300u, 1200u}) {
            DtlsPair whole(long_flights(mtu));
            whole.run();
            const std::size_t datagrams = whole.sent;
            for (std::size_t lost = 0; lost < datagrams; ++lost) {
                CAPTURE(mtu);
                CAPTURE(lost);
                DtlsPair pair(long_flights(mtu));
                std::size_t number = 0;
                pair.wire = [&](bool, Datagram& datagram) {
                    if (number++ == lost) datagram.clear();
                };
                const Instant before = pair.now;
                pair.run(2s);
                CHECK_MESSAGE(pair.complete(), pair.client.error().message());
                CHECK(pair.sent <= 3 * datagrams);
                CHECK(pair.now - before == 2s);
                CHECK(pair.talks());
            }
        }
    }

    // The ticket goes with the last flight of the server, which is repeated only for a client that
    // repeats its own.
    TEST_CASE("dtls: a handshake that gives a ticket, or takes one, bears any loss") {
        std::mt19937_64 random(seed());
        crypto::TicketKeys keys(
            [&](std::span<std::byte> bytes) {
                for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() & 0xff);
            },
            nullptr);
        keys.refresh(Instant(1s));
        DtlsPairOptions options;
        options.server.tickets = {&keys, "a test", 1};
        options.client_options.srtp = false;
        for (const std::size_t mtu : {300u, 1200u}) {
            options.client_options.mtu = options.server_options.mtu = mtu;
            options.client.session = {};
            for (const bool resumes : {false, true}) {
                DtlsPair whole(options);
                whole.run();
                REQUIRE(whole.complete());
                CHECK(whole.client.resumed() == resumes);
                const auto tickets = whole.client.take_tickets();
                for (std::size_t first = 0; first < whole.sent; ++first) {
                    for (std::size_t count = 1; count <= 2; ++count) {
                        CAPTURE(mtu);
                        CAPTURE(resumes);
                        CAPTURE(first);
                        CAPTURE(count);
                        DtlsPair pair(options);
                        std::size_t number = 0;
                        pair.wire = [&](bool, Datagram& datagram) {
                            if (number >= first && number < first + count) datagram.clear();
                            ++number;
                        };
                        pair.run(10s);
                        CHECK_MESSAGE(pair.complete(), pair.client.error().message());
                        CHECK(pair.talks());
                    }
                }
                if (resumes) continue;
                REQUIRE(tickets.size() == 1);
                options.client.session = tickets[0].session;
            }
        }
    }

    TEST_CASE("dtls: flights are repeated when they are due, and ever more seldom") {
        DtlsPair pair{DtlsPairOptions()};
        pair.wire = [](bool, Datagram& datagram) { datagram.clear(); };
        pair.client.start(pair.now);
        CHECK(pair.client.deadline() == pair.now + 400ms);
        pair.run(399ms);
        CHECK(pair.sent == 1);
        pair.run(1ms);
        CHECK(pair.sent == 2);
        CHECK(pair.client.deadline() == pair.now + 800ms);
        pair.run(800ms + 1600ms + 3200ms);
        CHECK(pair.sent == 5);
        pair.run(10min);
        CHECK(pair.sent < 20);
        CHECK(pair.client.progress() == Progress::waiting);
    }

    TEST_CASE("dtls: narrow paths are found out by their silence") {
        DtlsPair pair(long_flights(1200));
        pair.wire = [](bool, Datagram& datagram) {
            if (datagram.size() > 600) datagram.clear();
        };
        pair.run(10s);
        CHECK_MESSAGE(pair.complete(), pair.client.error().message());
    }

    TEST_CASE("dtls: reordered, repeated and lost datagrams") {
        for (unsigned seed = 1; seed <= 60; ++seed) {
            CAPTURE(seed);
            std::mt19937 random(seed);
            DtlsPair pair(long_flights(seed % 2 ? 400 : 1200));
            std::vector<std::pair<bool, Datagram>> kept;
            bool replaying = false;
            pair.wire = [&](bool to_server, Datagram& datagram) {
                if (replaying) return;
                if (random() % 4 == 0) kept.emplace_back(to_server, datagram);
                const auto fate = random() % 10;
                if (fate == 0) datagram.clear();
            };
            for (int i = 0; i < 400 && !pair.complete(); ++i) {
                pair.run(100ms);
                // What was kept comes again, in any order, and long after.
                std::shuffle(kept.begin(), kept.end(), random);
                while (!kept.empty() && random() % 3 != 0) {
                    pair.deliver(kept.back().first, kept.back().second);
                    kept.pop_back();
                }
            }
            CAPTURE(pair.client.error().message());
            CAPTURE(pair.server.error().message());
            CHECK(pair.complete());
            if (pair.complete()) CHECK(pair.talks());
        }
    }

    TEST_CASE("dtls: flights may come backwards") {
        DtlsPair pair(long_flights(400));
        pair.client.start(pair.now);
        for (int i = 0; i < 6 && !pair.complete(); ++i) {
            for (bool to_server : {true, false}) {
                auto& from = to_server ? pair.client : pair.server;
                std::vector<Datagram> flight;
                for (auto out = from.poll_datagram(); !out.empty(); out = from.poll_datagram())
                    flight.push_back(out);
                std::reverse(flight.begin(), flight.end());
                for (const auto& datagram : flight) pair.deliver(to_server, datagram);
            }
            pair.now += 400ms;
            pair.client.handle_timeout(pair.now);
            pair.server.handle_timeout(pair.now);
        }
        CHECK(pair.complete());
    }

    TEST_CASE("dtls: content that overtakes the end of the handshake waits for it") {
        DtlsPair pair{DtlsPairOptions()};
        Datagram finished;
        pair.wire = [&](bool to_server, Datagram& datagram) {
            // The server's last flight begins with a ChangeCipherSpec.
            if (!to_server && datagram[0] == std::byte{20}) finished = std::exchange(datagram, {});
        };
        pair.run(100ms);
        REQUIRE(pair.server.progress() == Progress::complete);
        REQUIRE(pair.client.progress() == Progress::waiting);
        pair.deliver(false, pair.seal(false, bytes_of("first")));
        CHECK(pair.at_client.empty());
        pair.deliver(false, finished);
        CHECK(pair.client.progress() == Progress::complete);
        CHECK(pair.at_client == std::vector<Datagram>{bytes_of("first")});
    }

    TEST_CASE("dtls: an alert that anybody can write ends nothing") {
        for (bool to_server : {true, false}) {
            DtlsPair pair(long_flights(300));
            pair.wire = [&](bool towards, Datagram&) {
                if (towards == to_server) pair.deliver(to_server, alert_of(0, 2, 40));
            };
            pair.run();
            CHECK(pair.complete());
            pair.deliver(to_server, alert_of(0, 2, 40));
            pair.deliver(to_server, alert_of(1, 2, 40));
            CHECK(pair.complete());
            CHECK(pair.talks());
        }
        // Unless nothing else is ever said.
        DtlsPair pair{DtlsPairOptions()};
        pair.wire = [](bool, Datagram& datagram) { datagram.clear(); };
        pair.run(100ms);
        pair.deliver(false, alert_of(0, 2, 80));
        CHECK(pair.client.rumour() == Errc::handshake_failed);
        CHECK(pair.client.progress() == Progress::waiting);
        pair.run(2s);
        CHECK(pair.client.progress() == Progress::failed);
        CHECK(pair.client.error().cause == std::error_code(80, tls_alert_category()));
    }

    TEST_CASE("dtls: nothing that is not authentic ends a session") {
        DtlsPair pair{DtlsPairOptions()};
        std::vector<std::pair<bool, Datagram>> handshake;
        pair.wire = [&](bool to_server, Datagram& datagram) {
            handshake.emplace_back(to_server, datagram);
        };
        pair.run();
        REQUIRE(pair.complete());
        for (const auto& [to_server, datagram] : handshake) pair.deliver(to_server, datagram);
        const auto record = pair.seal(true, bytes_of("once"));
        for (std::size_t size = 0; size < record.size(); ++size)
            pair.deliver(
                true, Datagram(record.begin(), record.begin() + static_cast<std::ptrdiff_t>(size)));
        for (std::size_t bit = 0; bit < 8 * record.size(); ++bit) {
            auto wrong = record;
            wrong[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
            pair.deliver(true, wrong);
        }
        CHECK(pair.at_server.empty());
        for (int i = 0; i < 3; ++i) pair.deliver(true, record);
        CHECK(pair.at_server == std::vector<Datagram>{bytes_of("once")});
        std::mt19937 random(1);
        for (int i = 0; i < 2000; ++i) {
            Datagram garbage(random() % 100);
            for (auto& byte : garbage) byte = static_cast<std::byte>(random() & 0xff);
            if (garbage.size() > 13 && i % 2) {
                std::copy_n(record.begin(), 11, garbage.begin());
                garbage[0] = static_cast<std::byte>(20 + random() % 5);
                garbage[11] = std::byte{0};
                garbage[12] = static_cast<std::byte>(garbage.size() - 13);
            }
            pair.deliver(i % 4 < 2, garbage);
        }
        CHECK(pair.complete());
        CHECK(pair.server.dropped() > 1000);
        CHECK(pair.talks());
    }

    TEST_CASE("dtls: a bit flipped on the way never makes two ends differ") {
        std::size_t completed = 0;
        std::size_t runs = 0;
        for (std::size_t bit = 3; bit < 8 * 1100; bit += 61) {
            for (std::size_t victim : {0u, 1u, 2u, 3u}) {
                CAPTURE(bit);
                CAPTURE(victim);
                DtlsPair pair{DtlsPairOptions()};
                std::size_t number = 0;
                bool hit = false;
                pair.wire = [&](bool, Datagram& datagram) {
                    if (number++ != victim || bit / 8 >= datagram.size()) return;
                    datagram[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
                    hit = true;
                };
                pair.run(5s);
                if (!hit) continue;
                ++runs;
                if (pair.complete()) {
                    ++completed;
                    CHECK(pair.talks());
                    CHECK(pair.client.exporter("EXPORTER-post", {}, 32) ==
                          pair.server.exporter("EXPORTER-post", {}, 32));
                } else {
                    CHECK((pair.client.error() || pair.server.error() ||
                           pair.client.progress() == Progress::waiting));
                }
            }
        }
        CHECK(completed > 0);
        CHECK(completed < runs);
    }

    TEST_CASE("dtls: records may come in any order within a window, each once") {
        DtlsPair pair{DtlsPairOptions()};
        pair.run();
        std::vector<Datagram> records;
        for (int i = 0; i < 600; ++i)
            records.push_back(pair.seal(true, bytes_of(std::to_string(i))));
        for (std::size_t i = 200; i-- > 0;) pair.deliver(true, records[i]);
        CHECK(pair.at_server.size() == 200);
        pair.deliver(true, records[599]);
        CHECK(pair.at_server.size() == 201);
        pair.deliver(true, records[599 - 255]);  // the oldest that can be told
        CHECK(pair.at_server.size() == 202);
        pair.deliver(true, records[599 - 256]);
        CHECK(pair.at_server.size() == 202);
        for (const auto& record : records) pair.deliver(true, record);
        CHECK(pair.at_server.size() == 200 + 256);
    }
}

}  // namespace post::test
