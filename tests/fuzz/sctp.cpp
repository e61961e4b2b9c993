// Fuzz target for SCTP: what strangers send to whoever listens, and what a peer sends inside of an
// association. Two honest ends (tests/contract/sctp_pair.hpp) play, over DTLS or right over UDP,
// and the data are a list of steps: datagrams as they are, true ones with bytes changed, cut or
// said again, packets of any chunks that are next in line for an association, between them what the
// applications do and time. Whatever comes, nothing crashes, and a connection that is lost says so
// once. Time is virtual, also for libFuzzer: run it with -timeout=0.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "mappings/sctp/dcep.hpp"
#include "mappings/sctp/packet.hpp"
#include "tests/contract/sctp_pair.hpp"
#include "tests/fuzz/choices.hpp"

namespace {

using namespace post;
using namespace post::sctp;
using test::Choices;
using Datagram = std::vector<std::byte>;

template <class PairType> class Play {
public:
    static constexpr bool in_the_clear = std::is_same_v<PairType, test::SctpUdpPair>;

    Play(const test::PairOptions& options, bool connected) : pair_(options) {
        pair_.on_sent = [this](bool to_server, std::span<const std::byte> bytes) {
            auto& heard = heard_[to_server];
            if (heard.size() < most_heard) heard.emplace_back(bytes.begin(), bytes.end());
            if constexpr (in_the_clear) follow(to_server, bytes);
        };
        if (connected) pair_.connect();
    }

    void step(Choices& choices) {
        const auto choice = choices.byte();
        const bool to_server = (choice & 1) == 0;
        switch (choice >> 1 & 7) {
            case 0: return inject(to_server, bytes_of(choices.text(choices.word() % 1500)), choice);
            case 1:
            case 2: return inject(to_server, changed(to_server, choices), choice);
            case 3: return pair_.run(std::chrono::milliseconds(choices.word() % 1500));
            case 4: return act(to_server ? pair_.client : pair_.server, choices);
            default: return inject(to_server, made(to_server, choices), choice);
        }
    }

    void end() {
        pair_.run(std::chrono::seconds(1));
        for (auto* one : {&pair_.client, &pair_.server})
            if (one->template all<event::Lost>().size() > 1) std::abort();
        if (pair_.stuck_deadlines() > 0) std::abort();
    }

private:
    static constexpr std::size_t most_heard = 256;

    static Datagram bytes_of(const std::string& text) {
        const auto bytes = std::as_bytes(std::span(text));
        return {bytes.begin(), bytes.end()};
    }

    // What of a direction's packets the next one has to continue.
    void follow(bool to_server, std::span<const std::byte> packet) {
        if (packet.size() < common_header) return;
        for (std::size_t at = common_header; at < packet.size();) {
            const auto chunk = chunk_at(packet, at);
            if (!chunk) return;
            if (chunk->type != ChunkType::init)
                header_[to_server].assign(packet.begin(), packet.begin() + common_header);
            if ((chunk->type == ChunkType::data || chunk->type == ChunkType::i_data) &&
                chunk->size >= 8)
                next_[to_server] = get32(packet, at + 4) + 1;
            constexpr std::uint8_t unordered = 4;
            if (chunk->type == ChunkType::i_data && chunk->size >= 20 &&
                !(chunk->flags & unordered))
                messages_[to_server][get16(packet, at + 8)] = get32(packet, at + 12) + 1;
            at = after(*chunk);
        }
    }

    // What nobody's checksum lets through is not worth much.
    void inject(bool to_server, Datagram datagram, std::uint64_t choice) {
        if (datagram.empty()) return;
        if (in_the_clear && datagram.size() >= common_header) {
            const auto& header = header_[to_server];
            if ((choice & 16) && !header.empty())
                std::copy(header.begin(), header.end(), datagram.begin());
            if ((choice & 32) == 0) write_checksum(datagram);
        }
        pair_.inject(to_server, datagram);
        pair_.transmit_now();
    }

    // One that was really sent, spoilt.
    Datagram changed(bool to_server, Choices& choices) {
        const auto& heard = heard_[to_server];
        if (heard.empty()) return {};
        Datagram made = heard[choices.byte() % heard.size()];
        for (auto left = choices.byte() % 4; left > 0 && !made.empty(); --left)
            made[choices.word() % made.size()] ^= static_cast<std::byte>(choices.byte());
        if (choices.byte() % 8 == 1) made.resize(choices.word() % (made.size() + 1));
        return made;
    }

    // Chunks of any kind, for the association that there is.
    Datagram made(bool to_server, Choices& choices) {
        Datagram packet = header_[to_server];
        if (packet.empty()) return {};
        for (auto count = 1 + choices.byte() % 4; count > 0; --count)
            add_chunk(packet, to_server, choices);
        return packet;
    }

    void add_chunk(Datagram& packet, bool to_server, Choices& choices) {
        static constexpr std::uint8_t types[] = {0,   64,  64, 64, 64,  3,   192, 194,
                                                 130, 130, 9,  4,  128, 193, 7,   6};
        const auto kind = choices.byte();
        const std::size_t at = packet.size();
        packet.resize(at + chunk_header);
        packet[at] = static_cast<std::byte>(kind < 0xf0 ? types[kind % 16] : choices.byte());
        packet[at + 1] = static_cast<std::byte>(choices.byte());
        if (packet[at] == std::byte{64} || packet[at] == std::byte{0}) {
            const bool whole = choices.byte() % 8 != 0;
            if (whole) packet[at + 1] = packet[at + 1] | std::byte{3};
            data_header(packet, to_server, packet[at] == std::byte{64}, choices);
        }
        const auto body = bytes_of(choices.text(choices.byte()));
        packet.insert(packet.end(), body.begin(), body.end());
        const std::size_t lie = choices.byte() % 16 == 0 ? choices.word() % 64 : 0;
        put16(packet, at + 2, static_cast<std::uint16_t>(packet.size() - at + lie));
        packet.resize((packet.size() + 3) & ~std::size_t{3});
    }

    // RFC 8260, 2.1    I-DATA { TSN, stream, reserved, message, PPID }, DATA has no message
    void data_header(Datagram& packet, bool to_server, bool interleaved, Choices& choices) {
        static constexpr std::uint32_t ppids[] = {
            ppid::post, ppid::post, ppid::association,    ppid::alone,
            ppid::dcep, ppid::text, ppid::part_of_binary, ppid::empty_text};
        const std::size_t at = packet.size();
        packet.resize(at + (interleaved ? 16 : 12));
        auto& next = next_[to_server];
        const auto gap = static_cast<std::uint32_t>(choices.byte() % 8 == 0 ? choices.byte() : 0);
        put32(packet, at, next + gap);
        ++next;
        const auto stream = static_cast<std::uint16_t>(choices.number());
        put16(packet, at + 4, stream);
        const std::uint32_t number = messages_[to_server][stream]++;
        if (interleaved)
            put32(packet, at + 8, number);
        else
            put16(packet, at + 6, static_cast<std::uint16_t>(number));
        put32(packet, packet.size() - 4, ppids[choices.byte() % 8]);
    }

    // What an association does with its mapping.
    void act(test::End& end, Choices& choices) {
        if (!end.mapping) return;
        const CarrierId carrier{choices.byte() % 8};
        switch (choices.byte() % 9) {
            case 0: end.open(); break;
            case 1: end.open(CarrierKind::one_way); break;
            case 2: end.send(carrier, std::string(choices.word() % 40'000, 'x')); break;
            case 3: end.send_alone(carrier, std::string(choices.byte(), 'a')); break;
            case 4: end.finish(carrier); break;
            case 5: end.mapping->reset(carrier, Error(Errc::cancelled)); break;
            case 6: end.mapping->stop(carrier, Error(Errc::too_slow)); break;
            case 7: end.take = !end.take; break;
            case 8:
                if (choices.byte() % 8 == 0) end.mapping->close(Error(Errc::cancelled));
                break;
        }
        pair_.transmit_now();
    }

    std::vector<Datagram> heard_[2];  // by whether it went to the server
    Datagram header_[2];
    std::uint32_t next_[2]{};
    std::map<std::uint16_t, std::uint32_t> messages_[2];  // by stream: the next one's number
    PairType pair_;
};

template <class PairType> void play(Choices& choices, std::uint64_t how) {
    test::PairOptions options;
    options.raw = (how & 2) != 0;
    options.client.most_carriers = options.server.most_carriers = 64;
    Play<PairType> play(options, (how & 4) == 0);
    for (int steps = 0; steps < 64 && !choices.empty(); ++steps) play.step(choices);
    play.end();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Choices choices(std::as_bytes(std::span(data, size)));
    const auto how = choices.byte();
    if (how & 1)
        play<test::SctpPair>(choices, how);
    else
        play<test::SctpUdpPair>(choices, how);
    return 0;
}
