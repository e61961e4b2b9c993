// EarlyGuard: each first flight and each early message is taken once, for as long as tickets are
// good, and never more than fit.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "mappings/early_guard.hpp"

namespace post::test {

namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""s;

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

// A memory that servers share.
class Fleet final : public TicketKeySource {
public:
    Secrets secrets() override { return {}; }
    bool first_use(const Bytes& name, std::chrono::seconds window) override {
        CHECK(window == EarlyGuard::kept_for);
        return works && names.insert(name.string()).second;
    }

    std::set<std::string> names;
    bool works = true;
};

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a first flight is new once, until no ticket of its time is good any more") {
        EarlyGuard guard;
        guard.refresh(Instant{} + 1s);
        CHECK(guard.admit(bytes_of("one")));
        CHECK_FALSE(guard.admit(bytes_of("one")));
        CHECK(guard.admit(bytes_of("two")));
        guard.refresh(Instant{} + 2h);
        CHECK_FALSE(guard.admit(bytes_of("one")));
        CHECK_FALSE(guard.admit(bytes_of("two")));
        CHECK(guard.size() == 2);
        guard.refresh(Instant{} + 2h + 1s);
        CHECK(guard.size() == 0);
        CHECK(guard.admit(bytes_of("one")));
    }

    TEST_CASE("an early message is new once, by all that names it") {
        EarlyGuard guard;
        const auto first = [&](std::uint64_t race, std::uint64_t carrier, std::uint8_t niceness,
                               std::uint64_t sequence) {
            return guard.first(race, CarrierId{carrier}, NicenessClass{niceness},
                               Sequence{sequence});
        };
        CHECK(first(1, 0, 0, 0));
        CHECK(first(2, 0, 0, 0));
        CHECK(first(1, 2, 0, 0));
        CHECK(first(1, 0, 1, 0));
        CHECK(first(1, 0, 0, 1));
        CHECK_FALSE(first(1, 0, 0, 0));
        CHECK_FALSE(first(1, 0, 0, 1));
        CHECK(guard.size() == 5);
    }

    TEST_CASE(
        "a full memory takes no first flight, and what it took may still bring its messages") {
        // Room for one flight with all its messages, and no second one.
        EarlyGuard guard(nullptr, 1 + EarlyGuard::most_messages);
        CHECK(guard.admit(bytes_of("one")));
        CHECK_FALSE(guard.admit(bytes_of("two")));
        for (std::uint64_t i = 0; i < EarlyGuard::most_messages; ++i)
            CHECK(guard.first(1, CarrierId{0}, NicenessClass{}, Sequence{i}));
        CHECK_FALSE(guard.first(1, CarrierId{0}, NicenessClass{}, Sequence{99}));
        CHECK(guard.size() == 1 + EarlyGuard::most_messages);
        guard.refresh(Instant{} + 1h);
        CHECK_FALSE(guard.admit(bytes_of("two")));
        guard.refresh(Instant{} + 2h);
        CHECK(guard.admit(bytes_of("two")));
    }

    TEST_CASE("room that a flight did not use is free again when it must be over") {
        EarlyGuard guard(nullptr, 3 + EarlyGuard::most_messages);
        CHECK(guard.admit(bytes_of("one")));
        CHECK_FALSE(guard.admit(bytes_of("two")));
        guard.refresh(Instant{} + 30s);
        CHECK(guard.admit(bytes_of("two")));
    }

    TEST_CASE("servers with one memory take a flight once, and none when it does not answer") {
        Fleet fleet;
        EarlyGuard one(&fleet);
        EarlyGuard other(&fleet);
        CHECK(one.admit(bytes_of("flight")));
        CHECK_FALSE(other.admit(bytes_of("flight")));
        CHECK(one.first(1, CarrierId{0}, NicenessClass{}, Sequence{}));
        CHECK_FALSE(other.first(1, CarrierId{0}, NicenessClass{}, Sequence{}));
        fleet.works = false;
        CHECK_FALSE(one.admit(bytes_of("another")));
        fleet.works = true;
        // Asked once: a name that nobody could confirm is not asked for again.
        CHECK_FALSE(one.admit(bytes_of("another")));
    }
}

}  // namespace post::test
