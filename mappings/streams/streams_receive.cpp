// What arrives on streams: bytes to frames to events, and the rules a peer can break on the way.

#include <string>

#include "mappings/streams/streams.hpp"

namespace post::streams {

namespace {

template <class... Handlers> struct Overloaded : Handlers... { using Handlers::operator()...; };
template <class... Handlers> Overloaded(Handlers...) -> Overloaded<Handlers...>;

Error broken_rule(const std::string& detail) {
    return Error(Errc::protocol_violation, {}, Stage::established, detail);
}

std::string named(CarrierId carrier) { return "Carrier " + std::to_string(carrier.value()); }

}  // namespace

bool Streams::on_data(Stream& stream, std::span<const std::byte> bytes, bool finish) {
    if (!bytes.empty()) {
        bool fine = post_ ? on_frames(stream, bytes) : on_raw(stream, bytes);
        if (!fine) return false;
    }
    return !finish || on_finish(stream);
}

bool Streams::on_frames(Stream& stream, std::span<const std::byte> bytes) {
    auto& decoder = stream.decoder;
    auto kept = inbox_.keep(bytes);
    Bytes input = Bytes::lent(kept.data(), kept.size());
    std::uint64_t content = 0;
    for (;;) {
        // Short messages are the common case: a run of them is one event.
        const auto run = early_ ? event::ArrivedRun{} : decoder.next_run(input, inbox_.list());
        if (!run.contents.empty()) {
            content += run.bytes;
            stream.brought_message = true;
            inbox_.arrived(run);
            if (!kept.empty()) inbox_.hold(std::move(kept));
            continue;
        }
        auto frame = decoder.next(input);
        if (!frame) return violate(frame.error());
        if (!frame->has_value()) break;
        if (auto* part = std::get_if<Piece>(&**frame)) {
            content += part->bytes.size();
            if (!part->bytes.empty()) part->bytes = inbox_.share(part->bytes);
        }
        if (!on_frame(stream, std::move(**frame))) return false;
    }
    // What was framing is never taken by anybody above, so its window goes back from here.
    auto overhead = bytes.size() - content;
    budget_credit_ += overhead;
    add_credit(stream, overhead);
    stream.grew = true;
    if (!stream.begun && decoder.begun() && stream.purpose == Stream::Purpose::carrier) {
        stream.begun = true;
        begun_.push_back(stream.carrier());
    }
    return true;
}

// Most that were inside a frame are so no more.
std::vector<Mapping::Begun> Streams::poll_begun() {
    std::vector<Mapping::Begun> found;
    std::erase_if(begun_, [&](CarrierId carrier) {
        Stream* const stream = find(carrier);
        if (!stream) return true;
        stream->begun = stream->decoder.begun() && !stream->peer_done;
        if (stream->begun) found.push_back({carrier, stream->grew});
        stream->grew = false;
        return !stream->begun;
    });
    return found;
}

bool Streams::on_raw(Stream& stream, std::span<const std::byte> bytes) {
    auto kept = inbox_.keep(bytes);
    stream.brought_message = true;
    if (inbox_.extend_whole(stream.carrier(), kept)) return true;
    Piece piece;
    piece.carrier = stream.carrier();
    piece.sequence = Sequence{stream.decoder.count()};
    piece.total = kept.size();
    piece.bytes = std::move(kept);
    piece.marks.early = early_;
    inbox_.arrived(std::move(piece));
    return true;
}

// FORMAT.md, 5.2.
bool Streams::mark_early(const Stream& stream, Piece& piece) {
    piece.marks.early = true;
    if (!stream.keyed) return violate(broken_rule("early data of a Carrier without EARLY"));
    return piece.marks.idempotent ||
           violate(broken_rule("a message that is not idempotent came as early data"));
}

bool Streams::deliver(Stream& stream, Piece&& piece) {
    if (early_ && !mark_early(stream, piece)) return false;
    stream.brought_message = stream.brought_message || piece.last();
    inbox_.arrived(std::move(piece));
    return true;
}

bool Streams::on_frame(Stream& stream, framing::Frame&& frame) {
    return std::visit(Overloaded{
                          [&](Piece& piece) { return deliver(stream, std::move(piece)); },
                          [&](Open& open) { return on_open_frame(stream, open); },
                          // Counts with the end of the stream: on_finish.
                          [&](Finish&) { return true; },
                          [&](Settings& settings) { return on_settings(stream, settings); },
                          [&](EarlyKey& key) {
                              stream.keyed = true;
                              inbox_.add(key);
                              return true;
                          },
                          // QUIC has words of its own for these.
                          [&](framing::Credit&) { return true; },
                          [&](framing::GivenUp&) { return true; },
                          [&](framing::Unwanted&) { return true; },
                          [&](auto& other) {
                              inbox_.add(std::move(other));
                              return true;
                          },
                      },
                      frame);
}

bool Streams::on_open_frame(Stream& stream, const Open& open) {
    if (stream.purpose != Stream::Purpose::unknown)
        return violate(broken_rule("OPEN on a stream that is open"));
    // FORMAT.md, 2: even ids belong to the client, odd ones to the server.
    auto parity = role_ == Role::client ? 1u : 0u;
    if (open.carrier.value() % 2 != parity)
        return violate(
            broken_rule("OPEN of " + named(open.carrier) + ", an id that is ours to give"));
    if (find(open.carrier) != nullptr)
        return violate(broken_rule("OPEN of " + named(open.carrier) + ", which is open"));
    if ((open.kind == CarrierKind::one_way) != stream.one_way)
        return violate(broken_rule("OPEN of " + named(open.carrier) +
                                   ": its kind does not fit the direction of its stream"));
    stream.purpose = Stream::Purpose::carrier;
    table_.name(stream);
    inbox_.add(event::Opened{open});
    if (stream.stop_pending)
        inbox_.add(event::Stopped{stream.carrier(), error_of(take_stop_code(stream))});
    return true;
}

bool Streams::on_settings(Stream& stream, const Settings& settings) {
    if (stream.purpose == Stream::Purpose::unknown) {
        if (!stream.one_way || peer_association_)
            return violate(broken_rule(peer_association_ ? "SETTINGS on a second stream"
                                                         : "SETTINGS on a bidirectional stream"));
        stream.purpose = Stream::Purpose::association;
        peer_association_ = true;
    }
    inbox_.add(settings);
    return true;
}

// The stream's end. It must stand behind a FIN frame: a cut message is an error and never a short
// message (ATTACKS A33).
bool Streams::on_finish(Stream& stream) {
    if (stream.purpose == Stream::Purpose::association)
        return violate(broken_rule("the association's stream ended"));
    if (stream.purpose == Stream::Purpose::unknown)
        return violate(broken_rule("a stream ended before OPEN"));
    stream.peer_done = true;
    if (!post_ || stream.decoder.finished()) {
        inbox_.add(event::Finished{stream.carrier()});
        return true;
    }
    const char* where = stream.decoder.between_frames() ? "without a FIN frame" : "inside a frame";
    inbox_.add(event::Reset{stream.carrier(),
                            broken_rule(named(stream.carrier()) + ": its stream ended " + where)});
    return true;
}

}  // namespace post::streams
