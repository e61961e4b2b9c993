// Fuzz target for the race: what name servers answer and what becomes of attempts, in any order and
// at any time, while the spacing of attempts, their number and the rank of what is not secure hold.
// With a first byte above 127 the data are a file of preferences instead, which is read or refused,
// and comes back when it was read.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include <post/policy.hpp>

#include "lib/association/plan.hpp"
#include "lib/association/race.hpp"
#include "lib/association/race_memory.hpp"
#include "lib/policy/stacks.hpp"
#include "tests/fuzz/choices.hpp"

namespace {

using namespace post;
using core::AttemptId;
using core::Race;
using test::Choices;

void require(bool condition) {
    if (!condition) std::abort();
}

Address address(Choices& choices) {
    Address made;
    made.family = static_cast<Address::Family>(choices.byte() % 3);
    for (std::size_t i = 0; i < 16; i += 5) made.ip[i] = static_cast<std::uint8_t>(choices.byte());
    made.port = static_cast<std::uint16_t>(choices.byte());
    return made;
}

std::vector<core::Endpoint> endpoints(Choices& choices) {
    std::vector<core::Endpoint> all(choices.byte() % 24);
    for (core::Endpoint& each : all) {
        each.address = address(choices);
        const auto said = choices.byte();
        each.priority = static_cast<std::uint32_t>(said % 4);
        if (said & 0x10) each.alpn = {{said & 0x20 ? "post-quic/1" : "h3", "post-qmux/1"}};
        each.from = std::string(said & 0x40 ? "A" : "B");
    }
    return all;
}

Race::Options options(Choices& choices) {
    Race::Options made;
    for (auto count = choices.byte() % 5; count > 0; --count)
        (choices.byte() % 2 ? made.stacks : made.insecure)
            .push_back(static_cast<Stack>(choices.byte() % 6));
    made.attempt_delay = Duration(static_cast<std::int64_t>(choices.number()));
    made.resolution_delay = Duration(static_cast<std::int64_t>(choices.byte() << 20));
    if (choices.byte() % 2)
        made.history_rtt = Duration(static_cast<std::int64_t>(choices.number()));
    made.preferred = choices.byte() % 2 ? Address::Family::v4 : Address::Family::v6;
    made.svcb = choices.byte() % 2;
    if (choices.byte() % 2) made.winner = {Stack::tls, address(choices)};
    if (choices.byte() % 2) made.failed_on = {{Stack::quic, address(choices)}};
    return made;
}

class Run {
public:
    explicit Run(Choices& choices) : choices_(choices), options_(options(choices)) {
        race_.begin(now_, Remote("post://a.example"), options_);
    }
    void run() {
        while (!choices_.empty()) {
            step();
            take();
        }
        require(!race_.report().message().empty());
        require(!race_.establishment().string().empty());
        core::RaceMemory memory;
        memory.remember(now_, {"", ""}, race_.establishment());
        memory.steer(now_, {"", ""}, options_);
    }

private:
    void step() {
        const auto what = choices_.byte();
        const AttemptId id{static_cast<std::uint8_t>(choices_.byte() % 20)};
        switch (what % 6) {
            case 0: {
                auto found = endpoints(choices_);
                const auto kind = static_cast<RecordKind>(choices_.byte() % 3);
                answered_.aaaa |= kind == RecordKind::aaaa;
                answered_.a |= kind == RecordKind::a;
                answered_.services |= kind == RecordKind::svcb;
                race_.handle_resolved(now_, std::move(found),
                                      what & 0x40 ? Error(Errc::resolve_failed) : Error(), kind,
                                      answered_, what & 0x80);
                break;
            }
            case 1: race_.handle_progress(now_, id); break;
            case 2:
                failed_ = true;
                race_.handle_failure(now_, id, Error(Errc::unreachable, {}, Stage::connect));
                break;
            case 3:
                if (what & 0x80) race_.handle_won(now_, id);
                break;
            case 4: now_ += std::chrono::milliseconds(choices_.byte()); break;
            case 5:
                if (race_.deadline() != never) now_ = std::max(now_, race_.deadline());
                break;
        }
    }
    void take() {
        while (const auto connect = race_.next(now_)) {
            require(!race_.establishment().winner());
            require(connect->attempt.value() == begun_ && begun_ < Race::most);
            if (begun_ > 0) require(now_ - last_ >= std::chrono::milliseconds(failed_ ? 10 : 100));
            require(core::wrong_with(connect->remote).empty());
            if (!core::row(connect->stack).secure)
                for (const auto& attempt : race_.establishment().attempts)
                    require(!core::row(attempt.stack).secure ||
                            attempt.result == Establishment::Result::failed);
            last_ = now_;
            failed_ = false;
            ++begun_;
        }
        if (race_.exhausted()) require(race_.deadline() == never);
    }

    Choices& choices_;
    Race::Options options_;
    Race race_;
    Instant now_{std::chrono::seconds(1)};
    Instant last_{};
    core::Resolution::Answered answered_{};
    std::size_t begun_ = 0;
    bool failed_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Choices choices(std::as_bytes(std::span(data, size)));
    if (choices.byte() < 128) {
        Run(choices).run();
        return 0;
    }
    const auto read = Preferences::parse(choices.text(size));
    if (read) require(*Preferences::parse(read->string()) == *read);
    return 0;
}
