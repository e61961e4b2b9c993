// AssociationStore: what is kept of a peer has its limits, and a store in memory and one in a file
// keep the same.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include <doctest/doctest.h>

#include <post/association_store.hpp>

#include "lib/io/kept_codec.hpp"
#include "tests/seed.hpp"
#include "tests/unit/temporary_folder.hpp"

namespace post::test {

namespace {

using namespace std::chrono_literals;

const WallTime noon{1'900'000'000s};

AssociationKey key_of(const std::string& name) {
    return {"post://" + name + ":4433", "", "system for " + name, "", ""};
}

ResumptionTicket ticket(const std::string& session, Stack stack = Stack::quic,
                        WallTime issued = noon) {
    return {.stack = stack, .session = session, .issued = issued, .expires = issued + 1h};
}

AddressToken token(const std::string& bytes, const Address& remote, WallTime issued = noon) {
    return {remote, bytes, issued};
}

const Address one = *Address::parse("192.0.2.1", 4433);
const Address two = *Address::parse("2001:db8::2", 4433);

void keep(AssociationStore& store, const AssociationKey& key, const ResumptionTicket& kept) {
    CHECK(store.change(key, [&](KeptAssociation& all) { all.keep(kept.issued, kept); }));
}

std::string take(AssociationStore& store, const AssociationKey& key, WallTime now = noon,
                 Stack stack = Stack::quic) {
    std::optional<ResumptionTicket> taken;
    CHECK(store.change(key, [&](KeptAssociation& all) { taken = all.take_ticket(now, stack); }));
    return taken ? taken->session.string() : "";
}

// The same story with a store in memory and one in a file.
void on_each_store(const std::function<void(AssociationStore&)>& story) {
    SUBCASE("in memory") { story(*memory_store()); }
    SUBCASE("in a file") {
        const TemporaryFolder folder;
        story(*file_store(folder.path() + "/store"));
    }
}

KeptAssociation full(WallTime now) {
    KeptAssociation kept;
    for (const Stack stack : {Stack::quic, Stack::tls}) {
        ResumptionTicket given = ticket(std::string(700, 's'), stack, now);
        given.parameters = std::string(30, 'p');
        given.early_data = 0xffffffff;
        for (int i = 0; i < 4; ++i) kept.keep(now, given);
    }
    kept.keep(now, token("t1", one, now));
    kept.keep(now, token("t2", two, now));
    kept.winner = KeptAssociation::Leaf{Stack::tls, two, now};
    kept.failed = {{Stack::quic, one, now}, {Stack::sctp_dtls, two, now}};
    kept.rtt = 20ms;
    kept.mtu = 1452;
    kept.rate = 1'000'000;
    return kept;
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a ticket is given out once, the newest first, four a stack") {
        KeptAssociation kept;
        for (const char* name : {"a", "b", "c", "d", "e"}) kept.keep(noon, ticket(name));
        kept.keep(noon, ticket("t", Stack::tls));
        CHECK(kept.tickets.size() == 5);
        CHECK(kept.has_ticket(noon, Stack::quic));
        for (const char* name : {"e", "d", "c", "b"})
            CHECK(kept.take_ticket(noon, Stack::quic)->session == name);
        CHECK_FALSE(kept.has_ticket(noon, Stack::quic));
        CHECK_FALSE(kept.take_ticket(noon, Stack::quic));
        CHECK(kept.take_ticket(noon, Stack::tls)->session == "t");
        CHECK(kept.empty());
    }

    TEST_CASE(
        "A17: a server that gives many and large tickets and tokens fills 8 KiB and 8 tokens") {
        KeptAssociation kept;
        for (int i = 0; i < 100; ++i) {
            kept.keep(noon, ticket(std::string(3000, 'x'), i % 2 ? Stack::quic : Stack::tls));
            Address remote = one;
            remote.port = static_cast<std::uint16_t>(i);
            kept.keep(noon, token(std::string(1024, 'x'), remote));
        }
        std::size_t bytes = 0;
        for (const auto& each : kept.tickets) bytes += each.session.size();
        CHECK(bytes <= KeptAssociation::most_ticket_bytes);
        CHECK(kept.tickets.size() == 2);
        CHECK(kept.tokens.size() == 8);
        kept = {};
        kept.keep(noon, ticket(std::string(KeptAssociation::most_ticket_bytes + 1, 'x')));
        kept.keep(noon, ticket(""));
        kept.keep(noon, token(std::string(KeptAssociation::most_token_bytes + 1, 'x'), one));
        kept.keep(noon, token("", one));
        CHECK(kept.empty());
    }

    TEST_CASE("tickets and tokens expire, and those from the future are not believed") {
        struct Row {
            const char* name;
            WallTime now;
            bool good;
        };
        for (const Row& row :
             {Row{"at once", noon, true}, Row{"in time", noon + 3599s, true},
              Row{"too late", noon + 1h, false}, Row{"clocks differ", noon - 60s, true},
              Row{"the clock went back", noon - 61s, false},
              Row{"back by a month", noon - 720h, false},
              Row{"forth by a month", noon + 720h, false}}) {
            CAPTURE(row.name);
            KeptAssociation kept;
            kept.keep(noon, ticket("t"));
            kept.keep(noon, token("a", one));
            CHECK(kept.has_ticket(row.now, Stack::quic) == row.good);
            CHECK(kept.take_ticket(row.now, Stack::quic).has_value() == row.good);
            CHECK(kept.take_token(row.now, two).has_value() == false);
        }
        KeptAssociation kept;
        // However long the server allows.
        ResumptionTicket week = ticket("t");
        week.expires = noon + 168h;
        kept.keep(noon, week);
        CHECK(kept.has_ticket(noon + 24h - 1s, Stack::quic));
        CHECK_FALSE(kept.has_ticket(noon + 24h, Stack::quic));
        kept = full(noon);
        kept.drop_stale(noon - 720h);
        CHECK(kept.tickets.empty());
        CHECK(kept.tokens.empty());
        CHECK_FALSE(kept.winner);
    }

    TEST_CASE("what is kept reads as it was written, and damaged in any bit it is nothing") {
        const auto key = key_of("a.example");
        const KeptAssociation kept = full(noon);
        auto value = io::encode(key, kept);
        CHECK(value.size() < 8 * 1024);
        CHECK(io::decode(key, value) == kept);
        CHECK(io::decode(key, io::encode(key, {})) == KeptAssociation{});
        CHECK_FALSE(io::decode(key_of("b.example"), value));
        for (std::size_t size = 0; size < value.size(); ++size)
            REQUIRE_FALSE(io::decode(key, std::span(value).first(size)));
        for (std::size_t at = 0; at < value.size(); ++at) {
            for (int bit = 0; bit < 8; ++bit) {
                value[at] ^= std::byte{1} << bit;
                REQUIRE_FALSE(io::decode(key, value));
                value[at] ^= std::byte{1} << bit;
            }
        }
    }

    TEST_CASE("a store gives back what it was given, and a ticket once") {
        on_each_store([](AssociationStore& store) {
            const auto a = key_of("a.example");
            CHECK_FALSE(store.find(a));
            CHECK(take(store, a).empty());
            CHECK(store.list().empty());
            CHECK(store.change(a, [](KeptAssociation& all) { all = full(noon); }));
            REQUIRE(store.find(a));
            CHECK(*store.find(a) == full(noon));
            const auto taken = take(store, a);
            CHECK(taken == std::string(700, 's'));
            CHECK(store.find(a)->tickets.size() == 7);
            // When nothing is left of a peer it is gone.
            CHECK(store.change(a, [](KeptAssociation& all) { all = {}; }));
            CHECK_FALSE(store.find(a));
            CHECK(store.list().empty());
        });
    }

    TEST_CASE("nothing of one key is used for another") {
        on_each_store([](AssociationStore& store) {
            const auto key = key_of("a.example");
            keep(store, key, ticket("mine"));
            for (std::string AssociationKey::*part :
                 {&AssociationKey::remote, &AssociationKey::alpn, &AssociationKey::trust,
                  &AssociationKey::identity, &AssociationKey::network}) {
                AssociationKey other = key;
                other.*part += "x";
                CHECK_FALSE(store.find(other));
                CHECK(take(store, other).empty());
            }
            // Nor is what lies on the border of two parts mistaken.
            AssociationKey moved = key;
            moved.alpn = moved.trust.substr(0, 1);
            moved.trust.erase(0, 1);
            CHECK_FALSE(store.find(moved));
            CHECK(take(store, key) == "mine");
        });
    }

    TEST_CASE("a store lists what it keeps, the last used first, and forgets on request") {
        on_each_store([](AssociationStore& store) {
            keep(store, key_of("a.example"), ticket("1"));
            keep(store, key_of("b.example"), ticket("2", Stack::quic, noon + 1s));
            auto other = key_of("a.example");
            other.alpn = "other";
            keep(store, other, ticket("3", Stack::quic, noon + 2s));
            auto listed = store.list();
            REQUIRE(listed.size() == 3);
            CHECK(listed[0].key == other);
            CHECK(listed[1].key == key_of("b.example"));
            CHECK(listed[2].kept.tickets.front().session == "1");
            CHECK(store.forget("post://nobody:4433") == 0);
            CHECK(store.forget("post://a.example:4433") == 2);
            CHECK(store.list().size() == 1);
            CHECK(store.forget("") == 1);
            CHECK(store.list().empty());
        });
    }

    TEST_CASE("A17: of too many peers the one not used for longest goes, and old ones do") {
        on_each_store([](AssociationStore& store) {
            constexpr int most = AssociationStore::most_peers;
            const auto name = [](int i) { return key_of("peer" + std::to_string(i)); };
            for (int i = 0; i < most; ++i)
                keep(store, name(i), ticket("x", Stack::quic, noon + std::chrono::seconds(i)));
            keep(store, name(0), ticket("x", Stack::quic, noon + 2000s));
            keep(store, name(most), ticket("x", Stack::quic, noon + 2001s));
            CHECK(store.list().size() == most);
            CHECK(store.find(name(0)));
            CHECK_FALSE(store.find(name(1)));
            CHECK(store.find(name(2)));
            keep(store, name(most + 1), ticket("x", Stack::quic, noon + 31 * 24h));
            CHECK(store.list().size() == 1);
        });
    }
}

}  // namespace post::test
