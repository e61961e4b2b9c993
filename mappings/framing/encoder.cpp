// The writing side of Post frames (FORMAT.md). Short messages take the branch at the top of
// write(Piece); everything else is written field by field.
#include <algorithm>
#include <bit>
#include <cassert>

#include "mappings/framing/error_codes.hpp"
#include "mappings/framing/frames.hpp"
#include "mappings/framing/next_table.hpp"
#include "mappings/framing/post_framing.hpp"
#include "mappings/wire/writer.hpp"

namespace post::framing {

using wire::Writer;

// A begun message has the number of its place in `begun`; a place with `used` off is free.
struct Encoder::State {
    struct Begun {
        NicenessClass niceness;
        Sequence sequence;
    };
    NextTable next;  // of the classes above 0
    std::vector<Begun> begun;
    std::uint64_t used = 0;

    std::optional<std::size_t> find(NicenessClass niceness, Sequence sequence) const {
        for (std::size_t i = 0; i < begun.size(); ++i)
            if (used >> i & 1 && begun[i].sequence == sequence && begun[i].niceness == niceness)
                return i;
        return std::nullopt;
    }
    std::size_t begin(const Piece& piece) {
        const auto slot = static_cast<std::size_t>(std::countr_one(used));
        assert(slot < slots);
        if (slot == begun.size()) begun.emplace_back();
        begun[slot] = {piece.niceness, piece.sequence};
        used |= std::uint64_t{1} << slot;
        return slot;
    }
    void end(std::size_t slot) { used &= ~(std::uint64_t{1} << slot); }
};

namespace {

Writer& type(Writer& writer, Type type) { return writer.u8(static_cast<std::uint8_t>(type)); }

// Only these marks have a short form, and `ask`.
bool brief_marks(const Marks& marks) {
    return marks.ordered & marks.reliable & !marks.idempotent & !marks.final & !marks.text;
}

std::size_t done(const Writer& writer) {
    assert(writer.ok());
    return writer.size();
}

void put_text(Writer& writer, std::string_view text) {
    writer.varint(text.size()).bytes(std::as_bytes(std::span(text)));
}

void put_extras(Writer& writer, const Extras& extras) {
    using std::chrono::milliseconds;
    if (extras.lifetime) {
        const auto left = std::chrono::ceil<milliseconds>(*extras.lifetime).count();
        writer.varint(static_cast<std::uint64_t>(std::max<std::int64_t>(left, 0)));
    }
    if (!extras.antecedents.empty()) {
        writer.varint(extras.antecedents.size());
        for (const Extras::Antecedent& one : extras.antecedents)
            writer.varint(one.carrier.value())
                .varint(one.niceness.value())
                .varint(one.sequence.value());
    }
    if (extras.properties.empty()) return;
    writer.varint(properties_size(extras.properties));
    for (const auto& [name, value] : extras.properties) {
        put_text(writer, name);
        put_text(writer, value);
    }
}

// Flags, class, sequence and extras of MESSAGE and the first CHUNK; the diagrams are in frames.cpp.
void put_message_fields(Writer& writer, const Piece& piece, bool implicit) {
    std::uint64_t flags = piece.first() ? 0 : message_flag::offset;
    if (piece.niceness.value() != 0) flags |= message_flag::niceness;
    if (!implicit) flags |= message_flag::sequence;
    if (!piece.marks.ordered) flags |= message_flag::unordered;
    if (!piece.marks.reliable) flags |= message_flag::unreliable;
    if (piece.marks.final) flags |= message_flag::final;
    if (piece.marks.ask) flags |= message_flag::ask;
    if (piece.marks.idempotent) flags |= message_flag::idempotent;
    if (piece.marks.text) flags |= message_flag::text;
    const Extras* const extras = piece.extras ? &*piece.extras : nullptr;
    if (extras && extras->lifetime) flags |= message_flag::lifetime;
    if (extras && !extras->antecedents.empty()) flags |= message_flag::antecedents;
    if (extras && !extras->properties.empty()) flags |= message_flag::properties;
    writer.varint(flags);
    if (flags & message_flag::niceness) writer.varint(piece.niceness.value());
    if (flags & message_flag::sequence) writer.varint(piece.sequence.value());
    if (extras) put_extras(writer, *extras);
    if (flags & message_flag::offset) writer.varint(piece.offset);
}

// The first gap is counted from `end`, the others from one behind the end of the range before.
void put_ranges(Writer& writer, std::span<const Delivered::Range> ranges, std::uint64_t end) {
    ranges = ranges.first(std::min(ranges.size(), most_ranges));
    writer.varint(ranges.size());
    for (const Delivered::Range& range : ranges) {
        assert(range.first.value() >= end && range.count > 0);
        writer.varint(range.first.value() - end).varint(range.count - 1);
        end = range.first.value() + range.count + 1;
    }
}

void put_parameter(Writer& writer, Parameter id, std::uint64_t value) {
    writer.varint(static_cast<std::uint64_t>(id)).varint(wire::varint_size(value)).varint(value);
}

}  // namespace

std::size_t Encoder::write(std::span<std::byte> out, const Piece& piece) {
    assert(out.size() >= largest_frame);
    const std::size_t size = piece.bytes.size();
    if (size < brief::two_byte_limit && size == piece.total && piece.niceness.value() == 0 &&
        piece.sequence.value() == next_ && brief_marks(piece.marks) && !piece.extras) {
        ++next_;
        const unsigned ask = piece.marks.ask ? brief::ask : 0U;
        if (size < brief::one_byte_limit) {
            out[0] = static_cast<std::byte>(ask | size);
            return 1;
        }
        out[0] = static_cast<std::byte>(ask | brief::two_bytes | size >> 8);
        out[1] = static_cast<std::byte>(size & 0xff);
        return 2;
    }
    return write_message(out, piece);
}

std::size_t Encoder::write_message(std::span<std::byte> out, const Piece& piece) {
    const std::size_t size = piece.bytes.size();
    assert(piece.niceness.value() < niceness_classes);
    assert(piece.offset <= piece.total && size <= piece.total - piece.offset);
    Writer writer(out);
    auto slot = state_ ? state_->find(piece.niceness, piece.sequence) : std::nullopt;
    if (slot) {
        assert(size > 0);
        type(writer, Type::chunk).u8(static_cast<std::uint8_t>(*slot)).varint(size);
    } else {
        const bool next_in_class = implicit(piece.niceness, piece.sequence);
        if (piece.first() && piece.last()) {
            type(writer, Type::message);
        } else {
            slot = state().begin(piece);
            type(writer, Type::chunk).u8(static_cast<std::uint8_t>(slot_begins | *slot));
        }
        put_message_fields(writer, piece, next_in_class);
        if (slot) writer.varint(piece.total);
        writer.varint(size);
        name(piece.niceness, piece.sequence.value() + 1);
    }
    if (slot && piece.last()) state_->end(*slot);
    return done(writer);
}

// { carrier (i), MESSAGE with an explicit sequence number and the mark unreliable }
std::size_t write_alone(std::span<std::byte> out, const Piece& piece) {
    assert(out.size() >= largest_frame && !piece.marks.reliable && piece.first() && piece.last());
    Writer writer(out);
    type(writer.varint(piece.carrier.value()), Type::message);
    put_message_fields(writer, piece, false);
    return done(writer.varint(piece.total));
}

std::size_t Encoder::write(std::span<std::byte> out, const Open& open) {
    std::uint64_t flags = static_cast<std::uint64_t>(open.kind);
    if (open.parent) flags |= open_flag::parent;
    if (open.resumed) flags |= open_flag::resumed;
    Writer writer(out);
    type(writer, Type::open).varint(open.carrier.value()).varint(flags);
    if (open.parent) writer.varint(open.parent->value());
    if (open.race) type(writer, Type::early).u8(0).u64(*open.race);
    if (open.association)
        type(writer, Type::early).u8(1).bytes(std::as_bytes(std::span(*open.association)));
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const Finish&) {
    assert(unfinished() == 0);
    Writer writer(out);
    type(writer, Type::fin);
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const Skip& skip) {
    assert(skip.count > 0);
    Writer writer(out);
    type(writer, Type::skip).varint(skip.niceness.value());
    writer.varint(skip.first.value()).varint(skip.count);
    name(skip.niceness, skip.first.value() + skip.count);
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const Abandon& abandon) {
    const auto slot = state_ ? state_->find(abandon.niceness, abandon.sequence) : std::nullopt;
    if (!slot) return write(out, Skip{abandon.carrier, abandon.niceness, abandon.sequence, 1});
    state_->end(*slot);
    Writer writer(out);
    type(writer, Type::abandon).u8(static_cast<std::uint8_t>(*slot));
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const Settings& settings) {
    std::array<std::byte, largest_settings> body;
    Writer parameters(body);
    parameters.varint(static_cast<std::uint64_t>(Parameter::association));
    parameters.varint(settings.association.size());
    parameters.bytes(std::as_bytes(std::span(settings.association)));
    if (settings.race) {
        parameters.varint(static_cast<std::uint64_t>(Parameter::race)).varint(8);
        parameters.u64(*settings.race);
    }
    put_parameter(parameters, Parameter::largest_message,
                  std::min(settings.largest_message, wire::varint_max));
    put_parameter(parameters, Parameter::carriers, std::min(settings.carriers, wire::varint_max));
    put_parameter(parameters, Parameter::features, settings.features & wire::varint_max);
    assert(parameters.ok());
    Writer writer(out);
    type(writer, Type::settings).varint(parameters.size()).bytes(parameters.written());
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const Chosen& chosen) {
    Writer writer(out);
    type(writer, Type::chosen).u64(chosen.race);
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const Refuse& refuse) {
    Writer writer(out);
    const std::uint64_t code = to_wire(refuse.error ? refuse.error : Error(refuse.reason));
    type(writer, Type::refuse).varint(refuse.carrier.value()).varint(code);
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const Delivered& delivered) {
    const bool dropped = delivered.dropped && !delivered.dropped->empty();
    std::uint64_t flags = 0;
    if (delivered.niceness.value() != 0) flags |= delivered_flag::niceness;
    if (!delivered.ranges.empty()) flags |= delivered_flag::ranges;
    if (delivered.partial) flags |= delivered_flag::progress;
    if (dropped) flags |= delivered_flag::dropped;
    Writer writer(out);
    type(writer, Type::delivered).varint(flags).varint(delivered.carrier.value());
    if (flags & delivered_flag::niceness) writer.varint(delivered.niceness.value());
    writer.varint(delivered.watermark.value());
    if (flags & delivered_flag::ranges)
        put_ranges(writer, delivered.ranges, delivered.watermark.value() + 1);
    if (delivered.partial) {
        assert(*delivered.partial >= delivered.watermark);
        writer.varint(delivered.partial->value() - delivered.watermark.value());
        writer.varint(delivered.progress);
    }
    if (dropped) put_ranges(writer, *delivered.dropped, 0);
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const Attach& attach) {
    Writer writer(out);
    const std::uint64_t flags = (attach.early ? attach_flag::early : 0) |
                                (attach.standby ? attach_flag::standby : 0);
    type(writer, Type::attach).varint(flags);
    writer.bytes(std::as_bytes(std::span(attach.association))).varint(attach.epoch);
    writer.bytes(std::as_bytes(std::span(attach.proof)));
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const Credit& credit) {
    const std::uint64_t whom = credit.of == Credit::Of::all     ? all_carriers
                               : credit.of == Credit::Of::fresh ? fresh_carriers
                                                                : credit.carrier.value();
    Writer writer(out);
    type(writer, Type::credit).varint(whom).varint(std::min(credit.limit, wire::varint_max));
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const GivenUp& given_up) {
    Writer writer(out);
    type(writer, Type::reset).varint(given_up.carrier.value()).varint(given_up.code);
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const Unwanted& unwanted) {
    Writer writer(out);
    type(writer, Type::stop).varint(unwanted.carrier.value()).varint(unwanted.code);
    return done(writer);
}

std::size_t Encoder::write(std::span<std::byte> out, const Outgoing& outgoing) {
    return std::visit([&](const auto& what) { return write(out, what); }, outgoing);
}

std::size_t Encoder::unfinished() const {
    return state_ ? static_cast<std::size_t>(std::popcount(state_->used)) : 0;
}

Encoder::State& Encoder::state() {
    if (!state_) state_.reset(new State);
    return *state_;
}

void Encoder::Free::operator()(State* state) const noexcept { delete state; }

bool Encoder::implicit(NicenessClass niceness, Sequence sequence) const {
    if (niceness.value() == 0) return sequence.value() == next_;
    return sequence.value() == (state_ ? state_->next.at(niceness) : 0);
}

// All of the class below `end` that will be implicit has been: the next is above all named so far.
void Encoder::name(NicenessClass niceness, std::uint64_t end) {
    std::uint64_t& next = niceness.value() == 0 ? next_ : state().next[niceness];
    next = std::max(next, end);
}

}  // namespace post::framing
