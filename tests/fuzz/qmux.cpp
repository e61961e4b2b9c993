// Fuzz target for what an authenticated peer says in QMux: records of any frames, or any bytes, cut
// anywhere, to a Qmux with its Streams; between them what the application does, and records of our
// own. Whatever comes, nothing crashes, and what we write is what we would take.
#include <cstdlib>

#include "mappings/tls/qmux.hpp"
#include "tests/fake/queue_supply.hpp"
#include "tests/fuzz/choices.hpp"
#include "tests/hostile/frames.hpp"

namespace {

using namespace post;
using test::Choices;
namespace frame = test::frame;

void require(bool condition) {
    if (!condition) std::abort();
}

Limits limits() {
    Limits limits;
    limits.carrier_window = 4096;
    limits.budget = 16 * 1024;
    limits.carriers = 8;
    limits.most_carriers = 64;
    return limits;
}

class Victim {
public:
    Victim(Role role, bool post, bool take)
        : take_(take), streams_(role, limits(), 7, pools_), qmux_(role, limits(), streams_) {
        streams_.attach(qmux_);
        streams_.establish(post);
    }
    bool alive() const { return alive_; }

    void hear(std::string_view bytes, std::size_t part) {
        auto rest = std::as_bytes(std::span(bytes));
        while (alive_ && !rest.empty()) {
            const auto now = rest.first(std::min(std::max<std::size_t>(part, 1), rest.size()));
            alive_ = qmux_.handle_input(now_, now);
            rest = rest.subspan(now.size());
        }
        if (!alive_) require(qmux_.violation() || qmux_.peer_close() || streams_.violation());
        drain();
    }
    void speak() {
        streams_.apply_credit();
        for (int records = 0; alive_; ++records) {
            require(records < 1000);
            std::array<std::byte, 1400> space;
            const auto size = qmux_.fill(now_, supply_, space);
            if (size == 0) break;
            check_record(std::span<const std::byte>(space).first(size));
        }
        drain();
    }
    // What an association does with its mapping.
    void act(Choices& choices) {
        const CarrierId carrier{choices.byte() % 8};
        switch (choices.byte() % 9) {
            case 0: supply_.push(Open{carrier, {}, CarrierKind::messages}); break;
            case 1: supply_.push(Open{carrier, {}, CarrierKind::one_way}); break;
            case 2: {
                const std::string text(choices.word() % 6000, 'x');
                const Sequence sequence{next_[carrier.value()]++};
                supply_.push(Piece{carrier, {}, sequence, 0, text.size(), Bytes(text), {}});
                break;
            }
            case 3: supply_.push(Finish{carrier}); break;
            case 4: streams_.reset(carrier, Error(Errc::cancelled)); break;
            case 5: streams_.stop(carrier, Error(Errc::too_slow), now_); break;
            case 6: streams_.extend_window(carrier, choices.word()); break;
            case 7: streams_.extend_budget(choices.word()); break;
            case 8: qmux_.ping(now_); break;
        }
    }
    void pass(Duration time) {
        now_ += time;
        streams_.handle_timeout(now_);
    }

private:
    void check_record(std::span<const std::byte> bytes) {
        wire::Reader record(bytes);
        require(record.varint() == record.left());
        while (!record.empty()) require(tls::next_frame(record).has_value());
    }
    void drain() {
        std::vector<Event> events;
        streams_.inbox().drain(events);
        test::spread_runs(events);
        for (const auto& event : events) {
            if (const auto* one = std::get_if<event::Unblocked>(&event); one && one->carrier)
                supply_.unblock(*one->carrier);
            const auto* piece = std::get_if<event::Arrived>(&event);
            if (!piece || !take_) continue;
            streams_.extend_window(piece->piece.carrier, piece->piece.bytes.size());
            streams_.extend_budget(piece->piece.bytes.size());
        }
    }

    const bool take_;
    bool alive_ = true;
    Instant now_{std::chrono::seconds(1)};
    streams::Pools pools_;
    streams::Streams streams_;
    tls::Qmux qmux_;
    test::QueueSupply supply_;
    std::array<std::uint64_t, 8> next_{};
};

std::string one_frame(Choices& choices) {
    switch (choices.byte() % 16) {
        case 0: return frame::padding(choices.byte());
        case 1: return frame::qx_ping(choices.number());
        case 2: return frame::qx_answer(choices.number());
        case 3: return frame::reset_stream(choices.number(), choices.number(), choices.number());
        case 4: return frame::stop_sending(choices.number(), choices.number());
        case 5: return frame::max_data(choices.number());
        case 6: return frame::max_stream_data(choices.number(), choices.number());
        case 7: return "\x12" + frame::number(choices.number());
        case 8: return "\x13" + frame::number(choices.number());
        case 9: return "\x15" + frame::number(choices.number()) + frame::number(choices.number());
        case 10: return frame::datagram(choices.text(choices.byte()));
        case 11: return choices.text(choices.byte());
        default: {
            const auto id = choices.number();
            const auto flags = choices.byte();
            const auto offset = flags & 2 ? choices.number() : 0;
            return frame::stream(id, offset, choices.text(choices.byte()), flags & 1);
        }
    }
}

// Its parameters: permitted ones with any values, and others.
std::string parameters(Choices& choices) {
    std::string content;
    for (auto count = choices.byte() % 8; count > 0; --count) {
        const auto id = choices.byte() % 0x12;
        content += frame::parameter(id, choices.number());
    }
    return frame::qx_parameters(content);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Choices choices(std::as_bytes(std::span(data, size)));
    const auto how = choices.byte();
    Victim victim(how & 1 ? Role::client : Role::server, (how & 2) == 0, (how & 4) != 0);
    if ((how & 8) == 0) victim.hear(frame::record(parameters(choices)), 1 + how / 16 * 5);
    for (int steps = 0; steps < 64 && victim.alive() && !choices.empty(); ++steps) {
        switch (choices.byte() % 8) {
            case 0: victim.act(choices); break;
            case 1: victim.pass(std::chrono::milliseconds(choices.word())); break;
            case 2: victim.speak(); break;
            case 3:
                victim.hear(choices.text(choices.word() % 20000), 1 + choices.byte() * 80);
                break;
            default: {
                std::string frames;
                for (auto count = 1 + choices.byte() % 8; count > 0; --count)
                    frames += one_frame(choices);
                victim.hear(frame::record(frames), ~std::size_t{0});
            }
        }
    }
    victim.speak();
    return 0;
}
