// Channels by what a peer can say to them: DCEP that makes no sense, deprecated identifiers,
// strange ones, messages in parts. The association under them is not connected: what they say goes
// nowhere.
#include "mappings/sctp/channels.hpp"

#include <doctest/doctest.h>

#include "tests/unit/framing_support.hpp"

using namespace post;
using namespace post::sctp;
using test::hex;

namespace {

class Rig {
public:
    explicit Rig(bool post = false, Limits limits = {})
        : channels({.role = Role::server, .limits = limits, .dcep = true, .even = false}, blocks_),
          socket_(engine_, engine_.open_line(TransientId{1}), {}) {
        channels.establish(socket_, post, {16, 16});
    }

    bool hear(StreamId stream, std::uint32_t identifier, std::span<const std::byte> bytes,
              bool last = true, bool unordered = false) {
        Message message;
        message.label.stream = stream;
        message.label.ppid = identifier;
        message.label.unordered = unordered;
        message.bytes = bytes;
        message.last = last;
        return channels.on_message(message, Instant(std::chrono::seconds(1)));
    }
    bool hear(StreamId stream, std::uint32_t identifier, std::string_view text, bool last = true) {
        return hear(stream, identifier, std::as_bytes(std::span(text)), last);
    }
    bool open(StreamId stream, std::string label = {}) {
        ChannelOpen open;
        open.label = std::move(label);
        return hear(stream, ppid::dcep, sctp::write(open));
    }
    void reset(StreamId stream) { channels.on_notice(notice::Reset{true, false, {stream}}); }

    template <class Kind> std::vector<Kind> all() {
        channels.inbox().drain(events_);
        std::vector<Kind> found;
        for (const auto& event : events_)
            if (const auto* one = std::get_if<Kind>(&event)) found.push_back(*one);
        return found;
    }
    // "text: " in front of strings.
    std::vector<std::string> messages() {
        std::vector<std::string> texts;
        for (const auto& one : all<event::Arrived>())
            texts.push_back((one.piece.marks.text ? "text: " : "") + one.piece.bytes.string());
        return texts;
    }

private:
    wire::ReceiveBlocks blocks_;
    Engine engine_{[] {}};

public:
    Channels channels;

private:
    Socket socket_;
    std::vector<Event> events_;
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("a channel's messages are strings or bytes, and empty ones have none") {
        Rig rig;
        REQUIRE(rig.open(0));
        rig.hear(0, 51, "a");
        rig.hear(0, 53, "b");
        rig.hear(0, 56, std::string_view("\0", 1));
        rig.hear(0, 57, std::string_view("\0", 1));
        CHECK(rig.messages() == Texts{"text: a", "b", "text: ", ""});
    }

    TEST_CASE("an identifier that nobody knows is bytes") {
        Rig rig;
        REQUIRE(rig.open(0));
        for (const std::uint32_t identifier : {0u, 1u, 55u, 58u, 0x706f7374u, 0xffff'ffffu})
            CHECK(rig.hear(0, identifier, "x"));
        CHECK(rig.messages() == Texts(6, "x"));
    }

    TEST_CASE("the deprecated identifiers are parts of a message") {
        Rig rig;
        REQUIRE(rig.open(0));
        REQUIRE(rig.open(2));
        rig.hear(0, 52, "a");
        rig.hear(0, 52, "b");
        rig.hear(2, 54, "x");
        CHECK(rig.messages().empty());
        rig.hear(0, 53, "c");
        rig.hear(2, 51, "y");
        rig.hear(0, 53, "d");
        CHECK(rig.messages() == Texts{"abc", "text: xy", "d"});
        // What is left of one when the channel ends is nobody's.
        rig.hear(0, 52, "lost");
        rig.reset(0);
        CHECK(rig.channels.has_room());
        CHECK(rig.messages().size() == 3);
    }

    TEST_CASE("parts beyond the longest message end the channel and no other") {
        Rig rig(false, {.largest_message = 10});
        REQUIRE(rig.open(0));
        REQUIRE(rig.open(2));
        rig.hear(0, 52, "0123456789");
        rig.hear(0, 52, "a");
        rig.hear(0, 53, "b");
        rig.hear(2, 53, "0123456789", false);
        rig.hear(2, 53, "a", false);
        rig.hear(2, 53, "b");
        CHECK(rig.messages().empty());
        const auto ended = rig.all<event::Reset>();
        REQUIRE(ended.size() == 2);
        for (const auto& one : ended) CHECK(one.error == Errc::message_too_large);
    }

    TEST_CASE("messages that never become whole are no more than half of the budget") {
        Rig rig(false, {.budget = 1000, .largest_message = 400});
        const std::string part(300, 'x');
        for (const StreamId stream : {StreamId{0}, StreamId{2}, StreamId{4}}) {
            REQUIRE(rig.open(stream));
            rig.hear(stream, 53, part, false);
            CHECK(rig.channels.has_room());
        }
        CHECK(rig.all<event::Reset>().size() == 2);
        rig.hear(0, 53, "y");
        CHECK(rig.messages() == Texts{part + "y"});
    }

    TEST_CASE("DCEP that makes no sense opens nothing, and ends what it is about") {
        const char* const nonsense[] = {
            "",                                     // nothing
            "01",                                   // another type
            "02 00",                                // an ACK with more
            "03",                                   // an OPEN cut off
            "03 00 01 00 00 00 00 00 00 05 00 00",  // a label that is not there
            "03 03 01 00 00 00 00 00 00 00 00 00",  // an unknown channel type
            "03 7f 01 00 00 00 00 00 00 00 00 00",
        };
        for (const char* bytes : nonsense) {
            CAPTURE(bytes);
            Rig rig;
            CHECK(rig.hear(0, ppid::dcep, hex(bytes)));
            CHECK(rig.all<event::Opened>().empty());
            REQUIRE(rig.open(2));
            rig.hear(2, ppid::dcep, hex(bytes));
            REQUIRE(rig.all<event::Opened>().size() == 1);
            CHECK(rig.channels.send_window(CarrierId{0}) == unlimited);
            rig.channels.reset(CarrierId{0}, Error(Errc::cancelled));
            Rig post(true);
            CHECK_FALSE(post.hear(2, ppid::dcep, hex(bytes)));
            CHECK(post.channels.violation() == Errc::protocol_violation);
        }
    }

    TEST_CASE("an ACK of what nobody opened, and messages of it, are nothing") {
        Rig rig;
        CHECK(rig.hear(0, ppid::dcep, hex("02")));
        CHECK(rig.hear(1, ppid::dcep, hex("02")));
        CHECK(rig.hear(15, ppid::dcep, hex("02")));
        CHECK(rig.hear(40'000, ppid::dcep, hex("02")));
        CHECK(rig.hear(0, 53, "x"));
        CHECK(rig.hear(40'000, 53, "x"));
        CHECK(rig.messages().empty());
        CHECK(rig.all<event::Opened>().empty());
    }

    TEST_CASE("the peer opens streams of its own, each once") {
        Rig rig;
        CHECK(rig.open(1));   // ours to open
        CHECK(rig.open(16));  // there is none
        CHECK(rig.open(40'000));
        CHECK(rig.all<event::Opened>().empty());
        CHECK(rig.open(14, "a"));
        CHECK(rig.open(14, "b"));
        const auto opened = rig.all<event::Opened>();
        REQUIRE(opened.size() == 1);
        CHECK(opened[0].open.channel->label == "a");
    }

    TEST_CASE("between Post peers a stream is called once, by who opens it next") {
        Rig rig(true);
        CHECK(rig.open(2, "a"));
        rig.reset(2);
        CHECK(rig.open(2, "b"));
        CHECK(rig.hear(2, ppid::post, hex("35 00 00")));
        CHECK_FALSE(rig.open(2, "c"));
        const auto opened = rig.all<event::Opened>();
        REQUIRE(opened.size() == 1);
        CHECK(opened[0].open.channel->label == "b");
    }

    TEST_CASE("a stream that has no name is announced once all the same: each costs an ACK") {
        Rig rig(true);
        CHECK(rig.open(2));
        CHECK_FALSE(rig.open(2));
        Rig other(true);
        CHECK(other.open(2));
        other.reset(2);
        CHECK(other.open(2));
    }
}
