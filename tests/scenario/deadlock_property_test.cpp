// Large and small messages on many Carriers, of which some are read slowly and some not at all, and
// messages that wait for others across them: whoever is read gets all that is sent to it, whatever
// the windows and budgets are, and neither end ever holds more than it said it would. Only one that
// leaves messages untaken can be reset for it, when the budget of all is spent.
#include <algorithm>

#include "lib/carrier/carriers.hpp"
#include "tests/scenario/book.hpp"

namespace post::test {

namespace {

class Traffic {
public:
    explicit Traffic(std::uint64_t seed)
        : dice_(seed, 8),
          largest_(draw_largest()),
          scene_(seed, {.delay = std::chrono::milliseconds(1 + dice_.below(20)),
                        .rate = one_in(2) ? 0U : 100'000'000U,
                        .queue = 200,
                        .loss = one_in(2) ? 0.005 : 0}) {
        receiving_.largest_message = largest_;
        // All that untouched windows can hold, and a message: what nobody takes fills no more.
        receiving_.receive_budget = std::max<std::uint64_t>(2 * largest_, 1 << 20)
                                    << dice_.below(3);
        sending_.send_budget = std::uint64_t{1000} << dice_.below(11);
        sending_.unsettled = std::uint64_t{64 * 1024} << dice_.below(10);
        ListenOptions listening;
        listening.bounds = receiving_;
        scene_.listener = scene_.listen(listening);
        scene_.listener.accept([this](Carrier carrier) { return take(std::move(carrier)); });
        open();
    }

    void run() {
        INFO("largest ", largest_, ", receive budget ", receiving_.receive_budget, ", send budget ",
             sending_.send_budget, ", unsettled ", sending_.unsettled, ", Carriers ",
             lines_.size());
        const bool done = scene_.until(
            [&] {
                advance();
                return served();
            },
            limit);
        CHECK(done);
        if (!done) tell();
        // And those that nobody read lose nothing by it.
        for (Line& line : lines_)
            if (!line.over) read(line, Reader::ready);
        CHECK(scene_.until(
            [&] {
                advance();
                return done && written() && book_.settled() && book_.shown();
            },
            limit));
        book_.check();
        for (Book::Place place = 0; place < book_.size(); ++place) {
            const bool reset = line_of(place).over && book_[place].failed > 0;
            if (book_[place].acked == 0 && !reset && !orphan(place)) FAIL_CHECK("lost: ", place);
        }
        CHECK(held_there() == 0);
    }

private:
    static constexpr Duration limit = 200s;

    enum class Reader : std::uint8_t { ready, slow, stopped };
    // A Carrier, with what is still to be sent on it.
    struct Line {
        Carrier near;
        Carrier far;
        Reader reader;
        bool late;  // some of its messages come after such that nobody reads
        std::size_t left;
        std::optional<Book::Place> last;
        CarrierId id;
        bool over = false;  // reset, since it was too slow
    };

    bool one_in(std::uint64_t n) { return dice_.below(n) == 0; }

    // A few programs have to be large; the others find the same borders sooner.
    std::uint64_t draw_largest() {
        if (one_in(10)) return 12 << 20;
        return std::uint64_t{64 * 1024} << dice_.below(5);
    }

    void open() {
        InitiateOptions initiating;
        initiating.bounds = sending_;
        const std::size_t count = 2 + dice_.below(10);
        for (std::size_t i = 0; i < count; ++i) {
            Line line;
            line.near = i == 0 ? scene_.initiate(initiating) : lines_[0].near.fork();
            line.id = line.near.id();
            line.reader = static_cast<Reader>(dice_.below(3));
            line.late = line.reader != Reader::stopped && one_in(5);
            line.left = 3 + dice_.below(12);
            lines_.push_back(std::move(line));
        }
    }

    bool take(Carrier carrier) {
        const auto line = std::find_if(lines_.begin(), lines_.end(),
                                       [&](const Line& one) { return one.id == carrier.id(); });
        REQUIRE(line != lines_.end());
        book_.await(End::server, line->id);
        line->far = std::move(carrier);
        anchor_ = line->far.activate().anchor();
        line->far.on_closed([this, id = line->id](const Error& error) {
            Line& reset = line_of(id);
            if (error != Errc::too_slow || reset.reader == Reader::ready) return;
            reset.over = true;
            reset.left = 0;
            book_.excuse(End::server, id);
        });
        read(*line, line->reader);
        return true;
    }

    void read(Line& line, Reader reader) {
        line.reader = reader;
        if (reader == Reader::slow) return read_one(line.id);
        if (reader == Reader::stopped || !line.far) return;
        line.far.ready([this, id = line.id](Carrier&, InMessage message) {
            book_.show(End::server, id, std::move(message));
            return true;
        });
    }

    void read_one(CarrierId id) {
        Line& line = line_of(id);
        if (line.reader != Reader::slow || line.over) return;
        auto message = line.far.receive();
        if (message.ready())
            if (auto answer = message.get()) book_.show(End::server, id, *std::move(answer));
        scene_.world.after(std::chrono::milliseconds(1 + dice_.below(200)),
                           [this, id] { read_one(id); });
    }

    // Every Carrier sends its next message when the one before found room.
    void advance() {
        book_.poll();
        for (Line& line : lines_) {
            const bool moved = !line.last || book_[*line.last].id ||
                               book_[*line.last].last_words() > 0;
            if (line.left > 0 && moved) send(line);
        }
        look();
    }

    void send(Line& line) {
        --line.left;
        SendOptions options;
        options.niceness = static_cast<std::uint32_t>(one_in(2) ? 0 : dice_.below(4));
        options.ordered = !one_in(4);
        line.last = book_.size();
        book_.send(line.near, End::client, draw_size(), std::move(options), draw_before(line),
                   true);
    }

    std::size_t draw_size() {
        if (one_in(4)) return largest_ - dice_.below(largest_ / 2);
        return one_in(3) ? dice_.below(largest_ / 4) : dice_.below(300);
    }

    std::vector<Book::Place> draw_before(const Line& line) {
        std::vector<Book::Place> before;
        for (std::uint64_t n = one_in(3) ? 1 + dice_.below(4) : 0; n > 0 && book_.size() > 0; --n) {
            const Book::Place place = dice_.below(book_.size());
            const Line& of = line_of(place);
            const bool read = of.reader != Reader::stopped && !of.late;
            if (book_[place].id && (read || line.late || line.reader == Reader::stopped))
                before.push_back(place);
        }
        return before;
    }

    // What each end holds now is within what it promised.
    void look() {
        CHECK(held_there() <= receiving_.receive_budget);
        std::uint64_t held = 0;
        for (Book::Place place = 0; place < book_.size(); ++place)
            if (book_[place].id && book_[place].last_words() == 0) held += book_[place].size;
        // Of each class what found room may exceed the budget by one message; another is half way.
        constexpr std::uint64_t classes = 4;
        const std::uint64_t of_each = sending_.send_budget + 2 * largest_;
        CHECK(held <= lines_.size() * classes * of_each + sending_.unsettled);
    }

    // Received and untaken, as the server's Context counts it.
    std::uint64_t held_there() const {
        if (!anchor_) return 0;
        return anchor_->carriers->associations().shared().charge.charged;
    }

    bool written() const {
        return std::all_of(lines_.begin(), lines_.end(),
                           [](const Line& line) { return line.left == 0; });
    }

    const Line& line_of(CarrierId id) const {
        return *std::find_if(lines_.begin(), lines_.end(),
                             [&](const Line& one) { return one.id == id; });
    }
    Line& line_of(CarrierId id) {
        return const_cast<Line&>(static_cast<const Traffic*>(this)->line_of(id));
    }
    const Line& line_of(Book::Place place) const { return line_of(book_[place].carrier); }

    static bool owed(const Line& line) {
        return line.reader != Reader::stopped && !line.late && !line.over;
    }

    // It went with one that it came after, whose Carrier was reset.
    bool orphan(Book::Place place) const {
        const auto& before = book_[place].before;
        return book_[place].expired > 0 &&
               std::any_of(before.begin(), before.end(),
                           [&](Book::Place first) { return book_[first].acked == 0; });
    }

    // Those that are read have all of theirs.
    bool served() const {
        for (const Line& line : lines_)
            if (owed(line) && line.left > 0) return false;
        for (Book::Place place = 0; place < book_.size(); ++place) {
            const bool there = book_[place].acked > 0 && book_[place].shown > 0;
            if (owed(line_of(place)) && !there && !orphan(place)) return false;
        }
        return true;
    }

    void tell() const {
        for (const Line& line : lines_) {
            std::string text;
            for (Book::Place place = 0; place < book_.size(); ++place) {
                const Book::Entry& entry = book_[place];
                if (entry.carrier != line.id) continue;
                text += " " + std::to_string(place) + ":" + std::to_string(entry.size) + "/" +
                        std::to_string(entry.niceness.value()) +
                        (entry.acked     ? "A"
                         : entry.failed  ? "F"
                         : entry.expired ? "E"
                         : entry.sent    ? "S"
                         : entry.id      ? "q"
                                         : "w");
            }
            MESSAGE("Carrier ", line.id.value(), " reader ", static_cast<int>(line.reader),
                    line.late ? " late" : "", " left ", line.left, text);
        }
    }

    sim::Random dice_;
    std::uint64_t largest_;
    Bounds receiving_;
    Bounds sending_;
    Book book_;
    core::AnchorRef anchor_;
    std::vector<Line> lines_;
    Scene scene_;
};

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("whoever is read gets everything, whatever others do, and budgets hold") {
        for (auto seed : seeds(20)) {
            CAPTURE(seed);
            Traffic(seed).run();
        }
    }
}

}  // namespace post::test
