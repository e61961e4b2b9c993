// The same story on every stack: two applications talk by a schedule that a seed decides, over a
// network that loses, and what they saw is written down: the messages of each Carrier in their
// order, the last word of each message, the end of each Carrier. All stacks have to tell the same.
// Carriers are known by what their first message says, since whose fork comes first is the
// network's choice; nothing here depends on how fast anything is.
#include <algorithm>
#include <array>
#include <map>

#include "tests/scenario/scene.hpp"

namespace post::test {

namespace {

// A stack more is a name more.
constexpr std::array stacks{Stack::quic, Stack::sctp_dtls, Stack::sctp_udp, Stack::tls};

Policy policy_for(Stack stack) {
    return {stack == Stack::sctp_udp ? Security::none : Security::required, {stack}};
}

// What was seen, by where: "server c3 class 1" has texts, "fate c3#12" a last word.
using Diary = std::map<std::string, std::vector<std::string>>;

std::string difference(const Diary& one, const Diary& other) {
    std::string text;
    const auto lines = [](const Diary& diary, const std::string& where) {
        const auto at = diary.find(where);
        return at == diary.end() ? std::vector<std::string>{} : at->second;
    };
    Diary both = one;
    both.insert(other.begin(), other.end());
    for (const auto& [where, unused] : both) {
        const auto here = lines(one, where);
        const auto there = lines(other, where);
        if (here == there) continue;
        const auto [at, other_at] = std::mismatch(here.begin(), here.end(), there.begin(),
                                                  there.end());
        text += where + ": " + std::to_string(here.size()) + " and " +
                std::to_string(there.size()) + ", first " +
                (at == here.end() ? "nothing" : at->substr(0, 40)) + " and " +
                (other_at == there.end() ? "nothing" : other_at->substr(0, 40)) + '\n';
    }
    return text;
}

class Story {
public:
    Story(std::uint64_t seed, Stack stack)
        : dice_(seed, 3), scene_(seed, {.delay = 10ms, .rate = 20'000'000, .loss = 0.02}) {
        ListenOptions listening;
        listening.policy = policy_for(stack);
        scene_.listener = scene_.listen(listening);
        scene_.listener.accept([this](Carrier carrier) { return serve(std::move(carrier)); });
        InitiateOptions initiating;
        initiating.policy = policy_for(stack);
        hold(scene_.initiate(initiating));
    }

    Diary run() {
        for (std::uint64_t n = 20 + dice_.below(30); n > 0; --n) {
            step();
            scene_.world.run_for(std::chrono::milliseconds(dice_.below(40)));
        }
        CHECK(scene_.until([this] { return unsettled_ == 0 && said_ == heard_; }, 60s));
        CHECK(clients_.front().carrier.association().active());
        end();
        CHECK(scene_.unhandled.empty());
        return diary_;
    }

private:
    struct Held {
        std::string name;
        Carrier carrier;
        bool finished = false;
        bool one_way = false;
    };

    void write(const std::string& where, std::string what) {
        diary_[where].push_back(std::move(what));
    }

    static std::string where(const std::string& side, const std::string& name, Niceness niceness) {
        return side + ' ' + name + " class " + std::to_string(niceness.value());
    }

    // "c3#12?: " and padding; '?' wants an echo, '!' a fork.
    void say(Carrier& carrier, const std::string& name, char wish, std::size_t size,
             std::uint32_t niceness) {
        const std::string number = name + '#' + std::to_string(numbers_[name]++);
        std::string text = number + wish + std::string(size, 'x');
        ++unsettled_, ++said_;
        carrier.send(std::move(text), {.niceness = niceness}, [this, number](const Fate& fate) {
            if (fate.kind == Fate::Kind::sent) return;
            --unsettled_;
            write("fate " + number,
                  fate.kind == Fate::Kind::acked ? "acked" : fate.error.message());
        });
    }

    // Puts down what came; answers its number and wish.
    std::string hear(const std::string& side, const std::string& name, InMessage& message) {
        const Niceness niceness = message.niceness();
        const std::string text = message.content().string();
        const std::size_t wish = text.find_first_of("?!.");
        ++heard_;
        write(where(side, name, niceness),
              text.substr(0, wish + 1) + ' ' + std::to_string(text.size()));
        return text.substr(0, wish + 1);
    }

    // The client's end.
    void hold(Carrier carrier, bool one_way = false) {
        const std::string name = 'c' + std::to_string(clients_.size());
        clients_.push_back({name, std::move(carrier), false, one_way});
        Carrier& own = clients_.back().carrier;
        own.on_closed(
            [this, name](const Error& error) { write("end client " + name, describe(error)); });
        if (!one_way) listen_to(own, name);
        own.accept([this](Carrier fork) { return take_fork(std::move(fork)); });
        say(own, name, '.', 0, 0);
    }

    void listen_to(Carrier& carrier, const std::string& name) {
        carrier.ready([this, name](Carrier&, InMessage message) {
            hear("client", name, message);
            return true;
        });
    }

    // A Carrier of the server's: its first message says what it is called.
    bool take_fork(Carrier fork) {
        name_later("client", fork, [](Carrier&, const std::string&, const std::string&) {});
        taken_.push_back(std::move(fork));
        return true;
    }

    bool serve(Carrier carrier) {
        name_later("server", carrier,
                   [this](Carrier& self, const std::string& name, const std::string& what) {
                       if (what.back() == '?' && self.can_send())
                           say(self, "re-" + name, '.', 100, 0);
                       if (what.back() == '!') fork_back(self, name);
                   });
        taken_.push_back(std::move(carrier));
        return true;
    }

    template <class Then> void name_later(const std::string& side, Carrier& carrier, Then then) {
        auto name = std::make_shared<std::string>();
        carrier.ready([this, side, name, then](Carrier& self, InMessage message) {
            if (name->empty()) {
                const std::string_view text = message.content().view();
                *name = text.substr(0, text.find('#'));
            }
            const std::string what = hear(side, *name, message);
            then(self, *name, what);
            return true;
        });
        carrier.on_closed([this, side, name](const Error& error) {
            write("end " + side + ' ' + *name, describe(error));
        });
    }

    void fork_back(Carrier& parent, const std::string& name) {
        const std::string called = "s-" + name + '-' + std::to_string(forks_[name]++);
        Carrier fork = parent.fork();
        if (!fork) return write("no fork " + called, "");
        for (int i = 0; i < 3; ++i) say(fork, called, '.', static_cast<std::size_t>(i) * 1500, 0);
        fork.on_closed(
            [this, called](const Error& error) { write("end server " + called, describe(error)); });
        taken_.push_back(std::move(fork));
    }

    void step() {
        Held& held = clients_[dice_.below(clients_.size())];
        switch (dice_.below(10)) {
            case 0:
            case 1: {
                const bool one_way = dice_.below(4) == 0;
                const auto priority = static_cast<std::uint32_t>(dice_.below(3));
                if (held.one_way || held.finished || clients_.size() > 12) return;
                return hold(held.carrier.fork({.priority = priority, .one_way = one_way}), one_way);
            }
            case 2:
                if (&held == &clients_.front() || held.finished) return;
                held.finished = true;
                return held.carrier.finish();
            case 3:
                if (!held.finished) say(held.carrier, held.name, '!', 10, 0);
                return;
            default:
                for (std::uint64_t n = 1 + dice_.below(6); n > 0; --n) {
                    const std::size_t size = dice_.below(20) == 0  ? dice_.below(100'000)
                                             : dice_.below(4) == 0 ? dice_.below(5'000)
                                                                   : dice_.below(200);
                    const char wish = dice_.below(3) == 0 ? '?' : '.';
                    const auto niceness = static_cast<std::uint32_t>(dice_.below(3));
                    if (!held.finished) say(held.carrier, held.name, wish, size, niceness);
                }
        }
    }

    // In good order, but for one that is aborted; nothing is on its way any more.
    void end() {
        Held& last = clients_.back();
        if (!last.finished && clients_.size() > 1) last.carrier.abort(AbortCode{7});
        for (Held& held : clients_)
            if (!held.finished) held.carrier.finish();
        for (Carrier& carrier : taken_) carrier.finish();
        scene_.world.run_for(10s);
    }

    static std::string describe(const Error& error) {
        return error.code.message() + " / " + error.cause.message();
    }

    sim::Random dice_;
    Diary diary_;
    std::vector<Held> clients_;
    std::vector<Carrier> taken_;
    std::map<std::string, int> numbers_;
    std::map<std::string, int> forks_;
    int unsettled_ = 0;
    int said_ = 0;
    int heard_ = 0;
    Scene scene_;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("the same story has the same messages, fates and ends on every stack") {
        for (auto seed : seeds(20)) {
            CAPTURE(seed);
            const Diary first = Story(seed, stacks.front()).run();
            CHECK(first.size() > 10);
            for (const Stack stack : stacks) {
                if (stack == stacks.front()) continue;
                CAPTURE(to_string(stack));
                CHECK(difference(first, Story(seed, stack).run()) == "");
            }
        }
    }

    TEST_CASE("a story that differs is told from the same") {
        const Diary one = Story(seed(), stacks.front()).run();
        Diary other = one;
        other.begin()->second.pop_back();
        CHECK(difference(one, one) == "");
        CHECK(difference(one, other) != "");
        CHECK(difference(one, Story(seed() + 1, stacks.front()).run()) != "");
    }
}

}  // namespace post::test
