// Random programs over a bad network: whatever both sides do, every message has exactly one last
// word, nothing is received twice or out of order, and everything comes to rest.
#include <cstdio>
#include <map>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

class Story {
public:
    explicit Story(std::uint64_t seed)
        : dice_(seed, 1),
          scene_(seed, {.delay = 10ms,
                        .jitter = 3ms,
                        .rate = 5'000'000,
                        .loss = 0.03,
                        .reorder = 0.03,
                        .duplicate = 0.01,
                        .corrupt = 0.005}) {
        // Small budgets, so that both borders are met.
        ListenOptions options;
        options.bounds.largest_message = 100'000;
        options.bounds.receive_budget = 400'000;
        // What is left open shall end in silence, and not rest.
        options.bounds.keep_alive = Duration::zero();
        options.bounds.continuity = {};
        scene_.listener = scene_.listen(options);
        scene_.listener.accept([this](Carrier carrier) { return take({std::move(carrier), 's'}); });
        initiate();
    }

    void run() {
        for (int i = 0; i < 150; ++i) {
            step();
            scene_.world.run_for(std::chrono::milliseconds(dice_.below(40)));
        }
        end();
    }

private:
    struct End {
        Carrier carrier;
        char side;  // 'c' or 's'
    };

    // A message says which end of which Carrier sent it, and what number it has there.
    void send(End& end) {
        Carrier& carrier = end.carrier;
        const std::uint64_t size = dice_.below(4) == 0 ? dice_.below(60'000) : dice_.below(300);
        const std::string lane = end.side + std::to_string(carrier.association().id().value()) +
                                 '/' + std::to_string(carrier.id().value());
        const std::uint32_t niceness = static_cast<std::uint32_t>(dice_.below(3));
        std::string text = lane + ':' + std::to_string(niceness) + ':' +
                           std::to_string(numbers_[{lane, niceness}]++) + ':';
        text.append(size, 'x');
        SendOptions options;
        options.niceness = niceness;
        options.final = dice_.below(40) == 0;
        if (dice_.below(5) == 0) options.lifetime = std::chrono::milliseconds(dice_.below(300));
        auto sending = carrier.send(std::move(text), options, fates_.watch());
        if (dice_.below(8) != 0) sendings_.push_back(std::move(sending));
    }

    void check(InMessage& message) {
        const std::string text = message.content().string();
        const std::string lane = text.substr(0, text.find(':'));
        std::uint64_t number = 0;
        unsigned niceness = 0;
        REQUIRE(std::sscanf(text.c_str() + lane.size(), ":%u:%lu:", &niceness, &number) == 2);
        CHECK(niceness == message.niceness().value());
        auto& next = expected_[{lane, niceness}];
        CHECK(number >= next);  // in order, and nothing twice
        next = number + 1;
    }

    bool take(End end) {
        Carrier& carrier = end.carrier;
        const char side = end.side;
        if (dice_.below(10) == 0) return true;  // dropped at once
        if (dice_.below(10) < 8)
            carrier.ready([this](Carrier& self, InMessage message) {
                check(message);
                if (dice_.below(200) == 0) self.abort(AbortCode{5});
                return dice_.below(300) != 0;
            });
        if (dice_.below(3) == 0)
            carrier.accept([this, side](Carrier fork) { return take({std::move(fork), side}); });
        carriers_.push_back(std::move(end));
        return true;
    }

    void initiate() {
        InitiateOptions options;
        options.bounds.send_budget = 100'000;
        options.bounds.linger = 5s;
        options.bounds.keep_alive = Duration::zero();
        options.bounds.continuity = {};
        take({scene_.initiate(options), 'c'});
    }

    void step() {
        if (carriers_.empty()) return initiate();
        const std::size_t which = dice_.below(carriers_.size());
        Carrier& carrier = carriers_[which].carrier;
        switch (dice_.below(16)) {
            case 0: initiate(); break;
            case 1:
            case 2: {
                auto fork = carrier.fork({.priority = static_cast<std::uint32_t>(dice_.below(2)),
                                          .announce = dice_.below(4) == 0,
                                          .one_way = dice_.below(4) == 0});
                if (fork) take({std::move(fork), carriers_[which].side});
                break;
            }
            case 3: carrier.close(); break;
            case 4: carrier.abort(AbortCode{static_cast<std::uint32_t>(dice_.below(9))}); break;
            case 5: carrier.finish(); break;
            case 6: carriers_.erase(carriers_.begin() + static_cast<std::ptrdiff_t>(which)); break;
            case 7:
                if (dice_.below(10) == 0) scene_.link.there.options.down ^= true;
                break;
            default:
                for (std::uint64_t n = dice_.below(6); n > 0; --n) send(carriers_[which]);
        }
    }

    void end() {
        scene_.link.change([](sim::LinkOptions& options) { options.down = false; });
        const bool context_goes = dice_.below(3) == 0;
        if (context_goes && dice_.below(2) == 0)
            scene_.server.reset();
        else if (context_goes)
            scene_.client.reset();
        carriers_.clear();
        CHECK(scene_.until([&] { return fates_.all(); }, 120s));
        fates_.check();
        // Nothing is left that would turn for ever.
        scene_.listener.close();
        CHECK(scene_.world.run_until_quiet(200s));
        for (auto& sending : sendings_) CHECK(sending.ready());
    }

    sim::Random dice_;
    Fates fates_;
    std::map<std::pair<std::string, std::uint32_t>, std::uint64_t> numbers_;
    std::map<std::pair<std::string, std::uint32_t>, std::uint64_t> expected_;
    std::vector<Sending> sendings_;
    std::vector<End> carriers_;
    Scene scene_;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("random programs give every message exactly one fate") {
        for (auto seed : seeds(12)) {
            CAPTURE(seed);
            Story(seed).run();
        }
    }
}

}  // namespace post::test
