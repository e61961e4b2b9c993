// Fuzz target for resolution: name servers that answer every question in their own way and order.
// Whatever they say, the questions end, the endpoints are few and can be told apart, certificates
// come of authenticated answers alone, and nobody is an endpoint while his are kept from us.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "lib/association/resolution.hpp"
#include "tests/fuzz/choices.hpp"

namespace {

using namespace post;
using core::Resolution;
using test::Choices;

void require(bool condition) {
    if (!condition) std::abort();
}

// Few, so that they meet again.
std::string name(Choices& choices) {
    static const char* const names[] = {"a.example",    "b.example", "c.example", "",
                                        "x.A.example.", "localhost", "d.example", "e.example"};
    return names[choices.byte() % 8];
}

Address address(Choices& choices) {
    Address made;
    made.family = choices.byte() % 2 ? Address::Family::v4 : Address::Family::v6;
    made.ip[0] = 0x20;
    made.ip[3] = static_cast<std::uint8_t>(choices.byte() % 16);
    return made;
}

Answer answer(Choices& choices, Question question) {
    Answer made;
    const RecordKind kinds[] = {RecordKind::a, RecordKind::svcb, RecordKind::https, RecordKind::srv,
                                RecordKind::tlsa};
    made.kind = kinds[static_cast<std::size_t>(question)];
    if (question == Question::addresses && choices.byte() % 2) made.kind = RecordKind::aaaa;
    made.name = name(choices);
    const auto what = choices.byte();
    made.authenticated = what & 1;
    if ((what & 6) == 6) {
        made.denied = what & 8;
        made.error = Error(Errc::resolve_failed, {}, Stage::resolve);
        return made;
    }
    for (auto count = choices.byte() % (Answer::most + 1); count > 0; --count) switch (question) {
            case Question::addresses: made.addresses.push_back(address(choices)); break;
            case Question::svcb:
            case Question::https: {
                ServiceRecord record;
                record.priority = static_cast<std::uint16_t>(choices.byte() % 4);
                record.target = name(choices);
                if (choices.byte() % 2) record.alpn = {"post-quic/1"};
                if (choices.byte() % 2)
                    record.port = static_cast<std::uint16_t>(1 + choices.byte());
                if (choices.byte() % 2) record.ipv4_hint = {address(choices)};
                made.services.push_back(record);
                break;
            }
            case Question::srv:
                made.servers.push_back({static_cast<std::uint16_t>(choices.byte() % 4),
                                        static_cast<std::uint16_t>(choices.byte()),
                                        static_cast<std::uint16_t>(1 + choices.byte()),
                                        name(choices)});
                break;
            case Question::tlsa: made.tlsa.push_back({3, 1, 1, Bytes(std::string(32, 'x'))}); break;
        }
    return made;
}

Remote remote(Choices& choices) {
    switch (choices.byte() % 4) {
        case 0: return Remote("post://a.example:1");
        case 1: return Remote("https://b.example");
        case 2: return Remote::service("c.example", "echo", Scheme::post);
        default:
            return Remote::any({"post://a.example:1", "post://b.example:2", "post://192.0.2.1:1"});
    }
}

class Run {
public:
    explicit Run(Choices& choices) : choices_(choices) {
        options_.dane = choices_.byte() % 2;
        options_.seed = choices_.byte();
        resolution_.begin(remote(choices_), options_);
    }
    void run() {
        take();
        while (!asked_.empty()) {
            const std::size_t at = choices_.byte() % asked_.size();
            const Resolution::Lookup lookup = asked_[at];
            const bool part = lookup.question == Question::addresses && choices_.byte() % 4 == 0;
            const bool complete = !part || choices_.empty();
            const Answer said = answer(choices_, lookup.question);
            said_authenticated_ |= said.authenticated && lookup.question == Question::tlsa;
            resolution_.handle_answer(lookup.id, said, complete);
            if (complete) asked_.erase(asked_.begin() + static_cast<std::ptrdiff_t>(at));
            take();
            check();
        }
        require(resolution_.complete());
        const auto known = resolution_.answered();
        require(known.aaaa && known.a && known.services);
    }

private:
    void take() {
        while (const auto lookup = resolution_.poll_lookup()) {
            asked_.push_back(*lookup);
            ++lookups_;
            certificates_ += lookup->question == Question::tlsa;
        }
        // A way has its own, an alias of services again and again, and targets have theirs.
        constexpr std::size_t ways = 3;
        constexpr std::size_t bases = 1 + Resolution::most_targets;
        require(certificates_ <= (options_.dane ? 4 * bases : 0));
        require(lookups_ - certificates_ <=
                ways * (3 + Resolution::most_aliases) + Resolution::most_targets);
    }
    void check() {
        const auto all = resolution_.endpoints();
        require(all.size() <= Resolution::most_endpoints);
        for (std::size_t i = 0; i < all.size(); ++i)
            for (std::size_t j = 0; j < i; ++j) require(!(all[i].address == all[j].address));
        for (const auto& fresh : resolution_.poll_endpoints()) told_.push_back(fresh.address);
        for (const Address& endpoint : told_)
            for (const auto transport : {Resolution::Transport::udp, Resolution::Transport::tcp})
                if (!resolution_.certificates(endpoint, transport).records.empty())
                    require(options_.dane && said_authenticated_);
        require(!resolution_.error() || all.empty());
    }

    Choices& choices_;
    Resolution resolution_;
    Resolution::Options options_;
    std::vector<Resolution::Lookup> asked_;
    std::vector<Address> told_;
    std::size_t lookups_ = 0;
    std::size_t certificates_ = 0;
    bool said_authenticated_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Choices choices(std::as_bytes(std::span(data, size)));
    Run(choices).run();
    return 0;
}
