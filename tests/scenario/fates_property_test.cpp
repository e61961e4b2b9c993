// Random schedules, terms and faults: whatever two applications say of their messages, whatever
// the network does, and however Carriers, the connection or a Context end, every message has
// exactly one last word, and that is true of what the receiver saw (tests/scenario/book.hpp).
#include <algorithm>

#include "tests/scenario/book.hpp"

namespace post::test {

namespace {

class Program {
public:
    // `continuity`: how long its association outlives a connection.
    explicit Program(std::uint64_t seed, Duration continuity = {})
        : dice_(seed, 7), continuity_(continuity), scene_(seed, draw_link()) {
        ListenOptions listening;
        listening.bounds = draw_bounds();
        scene_.listener = scene_.listen(listening);
        scene_.listener.accept(
            [this](Carrier carrier) { return take(std::move(carrier), End::server); });
        InitiateOptions initiating;
        initiating.bounds = draw_bounds();
        take(scene_.initiate(initiating), End::client);
    }

    Book::Sums run() {
        for (std::uint64_t n = 30 + dice_.below(40); n > 0; --n) {
            step();
            scene_.world.run_for(std::chrono::microseconds(dice_.below(25'000)));
            read_slowly();
        }
        end();
        return book_.sums();
    }

private:
    // How an application takes what comes on one end of a Carrier.
    enum class Reader : std::uint8_t { ready, slow, stopped };
    struct Held {
        Carrier carrier;
        CarrierId id;
        End at;
        Reader reader;
        bool gone = false;
    };

    bool one_in(std::uint64_t n) { return dice_.below(n) == 0; }
    Duration milliseconds(std::uint64_t below) {
        return std::chrono::milliseconds(dice_.below(below));
    }

    sim::LinkOptions draw_link() {
        sim::LinkOptions link;
        link.delay = std::chrono::milliseconds(1 + dice_.below(30));
        link.rate = std::uint64_t{1'000'000} << dice_.below(6);
        link.queue = 10 + dice_.below(60);
        if (one_in(2)) link.loss = 0.1 * dice_.unit();
        if (one_in(3)) link.reorder = 0.2 * dice_.unit();
        if (one_in(3)) link.duplicate = 0.2 * dice_.unit();
        if (one_in(5)) link.corrupt = 0.02 * dice_.unit();
        return link;
    }

    // Small ones, so that their borders are met.
    Bounds draw_bounds() {
        Bounds bounds;
        bounds.idle_timeout = 5s;
        bounds.continuity = continuity_;
        bounds.linger = 3s;
        if (one_in(2)) bounds.send_budget = std::uint64_t{1000} << dice_.below(8);
        if (one_in(3)) bounds.association_send_budget = std::uint64_t{10'000} << dice_.below(6);
        if (one_in(3)) bounds.unsettled = std::uint64_t{40'000} << dice_.below(6);
        bounds.largest_message = 100'000;
        if (one_in(3)) bounds.receive_budget = 300'000;
        return bounds;
    }

    bool take(Carrier carrier, End at) {
        const CarrierId id = carrier.id();
        if (one_in(20)) {
            book_.excuse(at, id);
            return true;  // dropped at once
        }
        if (!one_in(4))
            carrier.accept([this, at](Carrier fork) { return take(std::move(fork), at); });
        book_.await(at, id);
        carrier.on_closed([this, at, id](const Error& error) {
            // Its own library threw away what it held.
            if (error == Errc::too_slow || error == Errc::stalled) book_.excuse(at, id);
        });
        held_.push_back({std::move(carrier), id, at, static_cast<Reader>(dice_.below(3))});
        if (held_.back().reader == Reader::ready || ending_) read(held_.back());
        return true;
    }

    void read(Held& held) {
        held.reader = Reader::ready;
        held.carrier.ready([this, id = held.id, at = held.at](Carrier&, InMessage message) {
            show(at, id, std::move(message));
            return true;
        });
    }

    void read_slowly() {
        for (std::size_t i = 0; i < held_.size(); ++i)
            if (held_[i].reader == Reader::slow) read_one(held_[i]);
    }

    bool read_one(Held& held) {
        if (held.gone) return false;
        auto message = held.carrier.receive();
        if (!message.ready()) return false;
        auto answer = message.get();
        if (answer) show(held.at, held.id, *std::move(answer));
        return static_cast<bool>(answer);
    }

    // What comes after others finds them taken, or standing whole in their own queues.
    void show(End at, CarrierId id, InMessage message) {
        const Book::Place place = book_.show(at, id, std::move(message));
        const std::vector<Book::Place> before = book_[place].before;
        for (const Book::Place first : before) {
            CAPTURE(place);
            CAPTURE(first);
            if (!book_.awaited(first)) continue;
            const auto held = std::find_if(held_.begin(), held_.end(), [&](const Held& one) {
                return one.at == at && one.id == book_[first].carrier;
            });
            if (held == held_.end()) continue;  // its Carrier is offered next
            while (book_[first].shown == 0 && read_one(*held)) {}
            // Or its Carrier was too slow, as is told when the other direction has ended, too.
            if (book_[first].shown == 0) missing_.push_back(first);
        }
    }

    void step() {
        if (held_.empty()) return;
        Held& held = held_[dice_.below(held_.size())];
        switch (dice_.below(24)) {
            case 0:
            case 1: return fork(held);
            case 2: return held.gone || !one_in(4) ? void() : held.carrier.finish();
            case 3: return one_in(4) ? leave(held, false) : void();
            case 4: return one_in(4) ? leave(held, true) : void();
            case 5: return held.gone ? void() : read(held);
            case 6: return disturb();
            case 7:  // everybody speaks at once
                for (Held& one : held_) send(one, 1 + dice_.below(3));
                return;
            default: return send(held, 1 + dice_.below(8));
        }
    }

    void fork(Held& held) {
        if (held.gone || held_.size() > 16) return;
        const auto priority = static_cast<std::uint32_t>(dice_.below(3));
        const auto weight = static_cast<std::uint32_t>(1 + dice_.below(8));
        auto fork = held.carrier.fork(
            {.priority = priority, .weight = weight, .announce = one_in(4), .one_way = one_in(6)});
        if (fork) take(std::move(fork), held.at);
    }

    // The application ends the Carrier, in good order or not.
    void leave(Held& held, bool abruptly) {
        if (held.gone) return;
        held.gone = true;
        book_.excuse(held.at, held.id);
        if (abruptly)
            held.carrier.abort(AbortCode{static_cast<std::uint32_t>(dice_.below(9))});
        else if (one_in(2))
            held.carrier.close();
        held.carrier = {};
    }

    void disturb() {
        switch (dice_.below(10)) {
            case 0:
            case 1:
            case 2:
                if (book_.sums().acked > 0) scene_.world.rebind(scene_.near);
                return;
            case 3: scene_.link.change([](sim::LinkOptions& link) { link.down ^= true; }); return;
            case 4: return destroy(End::client);
            case 5: return destroy(End::server);
            default: scene_.link.set(draw_link());
        }
    }

    void destroy(End end) {
        if (!one_in(5)) return;
        book_.excuse(end);
        for (Held& held : held_)
            if (held.at == end) held.gone = true;
        (end == End::client ? scene_.client : scene_.server).reset();
    }

    void send(Held& held, std::uint64_t messages) {
        if (held.gone) return;
        for (; messages > 0; --messages) {
            SendOptions options;
            options.niceness = draw_niceness();
            if (one_in(6)) options.lifetime = milliseconds(400) + 1ms;
            options.ordered = !one_in(4);
            options.immediate = one_in(8);
            options.final = one_in(200);
            if (one_in(10)) options.properties = {{"name", std::string(dice_.below(50), 'v')}};
            book_.send(held.carrier, held.at, draw_size(), std::move(options),
                       draw_antecedents(held.at), !one_in(8));
        }
    }

    // The last classes are those in which many nicenesses meet.
    std::uint32_t draw_niceness() {
        const std::uint64_t from = one_in(3) ? 60 : 0;
        const std::uint64_t count = one_in(4) ? 71 - from : 3;
        return static_cast<std::uint32_t>(from + dice_.below(count));
    }

    std::size_t draw_size() {
        if (one_in(30)) return dice_.below(90'000);
        return one_in(6) ? dice_.below(6'000) : dice_.below(300);
    }

    // Of any Carrier; most of them of late, some long settled, whatever became of them.
    std::vector<Book::Place> draw_antecedents(End from) {
        std::vector<Book::Place> before;
        if (book_.size() == 0 || !one_in(4)) return before;
        for (std::uint64_t n = 1 + dice_.below(3); n > 0; --n) {
            const std::size_t back = dice_.below(one_in(2) ? 10 : book_.size());
            const Book::Place place = book_.size() - 1 - std::min(back, book_.size() - 1);
            if (book_[place].from == from && book_[place].id) before.push_back(place);
        }
        return before;
    }

    void end() {
        ending_ = true;
        scene_.link.set({.delay = 10ms});
        // Some connections end here, in the midst of it.
        if (one_in(8)) scene_.link.change([](sim::LinkOptions& link) { link.down = true; });
        for (Held& held : held_)
            if (!held.gone) read(held);
        CHECK(scene_.until([&] { return book_.settled() && book_.shown(); }, 120s));
        scene_.world.run_for(1s);
        book_.poll();
        book_.check();
        for (const Book::Place first : missing_) {
            CAPTURE(first);
            CHECK_FALSE(book_.awaited(first));
        }
    }

    sim::Random dice_;
    const Duration continuity_;
    Book book_;
    std::vector<Held> held_;
    std::vector<Book::Place> missing_;  // what was shown came after these
    bool ending_ = false;
    Scene scene_;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("whatever is said of messages and whatever happens, each has one true last word") {
        Book::Sums all;
        const auto of_this_run = seeds(250);
        for (auto seed : of_this_run) {
            CAPTURE(seed);
            const Book::Sums sums = Program(seed).run();
            all.acked += sums.acked;
            all.expired += sums.expired;
            all.failed += sums.failed;
            all.successors += sums.successors;
            all.orphans += sums.orphans;
        }
        // It would be for nothing if one of them never came.
        INFO("acked ", all.acked, ", expired ", all.expired, ", failed ", all.failed,
             ", successors ", all.successors, ", orphans ", all.orphans);
        if (of_this_run.size() < 100) return;
        const int messages = all.acked + all.expired + all.failed;
        for (const int kind : {all.acked, all.expired, all.failed}) CHECK(kind * 50 > messages);
        CHECK(all.successors * 50 > messages);
        CHECK(all.orphans * 200 > messages);
    }

    TEST_CASE("the last word is true where associations outlive their connections") {
        for (const auto seed : seeds(60)) {
            CAPTURE(seed);
            Program(seed, 30s).run();
        }
        // A Carrier aborted while there was no connection, one that nobody at the peer accepted,
        // and a message dropped in a report that was lost with the connection. Messages that are
        // sent again when what they come after has failed meanwhile, on each of the stacks. A grant
        // for a message that was given up, which kept the next long one from its own (1978, and 476
        // over DTLS).
        for (const std::uint64_t seed :
             {221, 180, 170, 275, 119, 730, 893, 430, 1064, 1095, 1218, 1978, 476, 866}) {
            CAPTURE(seed);
            Program(seed, 30s).run();
        }
    }
}

}  // namespace post::test
