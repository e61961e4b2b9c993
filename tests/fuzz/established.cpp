// Fuzz target for what an authenticated peer sends: after an honest handshake the data are a list
// of steps: packets of any frames, sealed with the real keys (tests/hostile/siege.hpp), between
// them what the application does and time. Whatever comes, nothing crashes, and a connection that
// is lost says so once.
#include <array>
#include <cstdlib>
#include <string>

#include "tests/fuzz/choices.hpp"
#include "tests/hostile/frames.hpp"
#include "tests/hostile/siege.hpp"

namespace {

using namespace post;
using test::Choices;
using test::Siege;

std::string one_frame(Choices& choices) {
    namespace frame = test::frame;
    switch (choices.byte() % 16) {
        case 0: return frame::ping();
        case 1: return frame::padding(choices.byte());
        case 2: {
            std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges(choices.byte() % 8);
            for (auto& [gap, length] : ranges) gap = choices.number(), length = choices.number();
            const auto largest = choices.number();
            return frame::ack(largest, choices.number(), ranges);
        }
        case 3: {
            const auto stream = choices.number();
            return frame::reset_stream(stream, choices.number(), choices.number());
        }
        case 4: return frame::stop_sending(choices.number(), choices.number());
        case 5: return frame::crypto(choices.number(), choices.text(choices.byte()));
        case 6: return frame::new_token(choices.text(choices.byte()));
        case 7: return frame::max_data(choices.number());
        case 8: return frame::max_stream_data(choices.number(), choices.number());
        case 9: return frame::new_connection_id(choices.number(), choices.number());
        case 10: return frame::retire_connection_id(choices.number());
        case 11: return frame::path_challenge(choices.number());
        case 12: return choices.text(choices.byte());
        case 13: return frame::datagram(choices.text(choices.byte()));
        default: {
            const auto stream = choices.number();
            const auto flags = choices.byte();
            const auto offset = flags & 2 ? choices.number() : 0;
            return frame::stream(stream, offset, choices.text(choices.byte()), flags & 1);
        }
    }
}

void say(Siege& siege, Choices& choices) {
    std::string frames;
    for (auto count = 1 + choices.byte() % 8; count > 0; --count) frames += one_frame(choices);
    if (frames.empty()) frames = test::frame::ping();
    frames.resize(std::min<std::size_t>(frames.size(), 1400));
    siege.say(frames);
}

// What an association does with its mapping.
void act(Siege& siege, Choices& choices, std::array<std::uint64_t, 8>& next) {
    const CarrierId carrier{choices.byte() % 8};
    auto& victim = siege.victim();
    switch (choices.byte() % 11) {
        case 0: siege.supply().push(Open{carrier, {}, CarrierKind::messages}); break;
        case 1: siege.supply().push(Open{carrier, {}, CarrierKind::one_way}); break;
        case 2: {
            const std::string text(choices.byte(), 'x');
            const Sequence sequence{next[carrier.value()]++};
            siege.supply().push(Piece{carrier, {}, sequence, 0, text.size(), Bytes(text), {}});
            break;
        }
        case 3: siege.supply().push(Finish{carrier}); break;
        case 4: victim.reset(carrier, Error(Errc::cancelled)); break;
        case 5: victim.stop(carrier, Error(Errc::too_slow)); break;
        case 6: victim.extend_window(carrier, choices.word()); break;
        case 7: victim.extend_budget(choices.word()); break;
        case 8: victim.update_keys(); break;
        case 9:
            siege.supply().push(Delivered{carrier, {}, Sequence{choices.byte()}, {}, {}, 0});
            break;
        case 10: {
            const std::string text(choices.byte(), 'a');
            const Sequence sequence{next[carrier.value()]++};
            const Marks alone{.ordered = false, .reliable = false};
            siege.supply().push(Piece{carrier, {}, sequence, 0, text.size(), Bytes(text), alone});
            break;
        }
    }
    siege.flush();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Choices choices(std::as_bytes(std::span(data, size)));
    test::SiegeOptions options;
    const auto how = choices.byte();
    options.victim = how & 1 ? Role::client : Role::server;
    options.raw = (how & 2) != 0;
    options.take = (how & 4) != 0;
    Siege siege(options);
    std::array<std::uint64_t, 8> next{};  // sequence numbers
    for (int steps = 0; steps < 64 && !choices.empty() && !siege.lost(); ++steps) {
        switch (choices.byte() % 8) {
            case 0: act(siege, choices, next); break;
            case 1: siege.pass(std::chrono::milliseconds(choices.word())); break;
            default: say(siege, choices); break;
        }
    }
    std::size_t lost = 0;
    for (const auto& event : siege.events()) lost += std::holds_alternative<event::Lost>(event);
    if (lost > 1) std::abort();
    return 0;
}
