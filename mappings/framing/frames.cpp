// The parser of Post frame headers. Each function has the diagram of its frame, as in FORMAT.md;
// (i) is a varint, [ ] a field that a flag announces. What the format holds and the library does
// not use yet is checked all the same.
#include "mappings/framing/frames.hpp"

#include <algorithm>
#include <string>

#include "mappings/framing/error_codes.hpp"

namespace post::framing {

namespace {

std::string text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

const char* to_string(Type type) noexcept {
    switch (type) {
        case Type::message: return "MESSAGE";
        case Type::chunk: return "CHUNK";
        case Type::abandon: return "ABANDON";
        case Type::skip: return "SKIP";
        case Type::fin: return "FIN";
        case Type::open: return "OPEN";
        case Type::early: return "EARLY";
        case Type::settings: return "SETTINGS";
        case Type::refuse: return "REFUSE";
        case Type::delivered: return "DELIVERED";
        case Type::credit: return "CREDIT";
        case Type::chosen: return "CHOSEN";
        case Type::attach: return "ATTACH";
        case Type::reset: return "RESET";
        case Type::stop: return "STOP";
    }
    return nullptr;
}

Error Violation::error() const {
    std::string text(frame);
    text.append(": ").append(field).append(" ").append(std::to_string(value));
    text.append(" ").append(rule);
    return Error(Errc::protocol_violation, {}, Stage::established, std::move(text));
}

// MESSAGE { type = 0x30, flags (i), [class (i)], [sequence (i)], [lifetime (i)], [antecedents],
//           [properties], length (i), content }
bool Parser::message(MessageHeader& header) {
    if (!message_fields(header)) return false;
    if (header.offset > 0) return fail("offset", header.offset, "is for a CHUNK");
    if (!varint(header.length)) return false;
    header.total = header.length;
    return true;
}

// CHUNK { type = 0x31, slot byte,                        0 1 2 3 4 5 6 7
//         first chunk: flags ... properties as MESSAGE, |R|B|   slot    |  B: begins a message
//         first chunk: total (i),                                          R: reserved, 0
//         length (i), content }
bool Parser::chunk(MessageHeader& header) {
    const auto octet = reader_.u8();
    if (!octet) return false;
    if (*octet & ~(slot_number | slot_begins)) return fail("slot byte", *octet, "is reserved");
    header.slot = *octet & slot_number;
    header.begins = *octet & slot_begins;
    if (!header.begins) {
        if (!varint(header.length)) return false;
        return header.length != 0 || fail("length", 0, "continues nothing");
    }
    if (!message_fields(header) || !varint(header.total) || !varint(header.length)) return false;
    if (header.offset > 0) {
        if (header.offset >= header.total)
            return fail("offset", header.offset, "is not below the total length");
        return (header.length > 0 && header.length <= header.total - header.offset) ||
               fail("length", header.length, "is 0, or more than what is left");
    }
    return header.length < header.total ||
           fail("length", header.length, "is not below the total length");
}

// ABANDON { type = 0x32, slot (8) }
bool Parser::slot(std::uint8_t& slot) {
    const auto octet = reader_.u8();
    if (!octet) return false;
    slot = *octet;
    return slot < slots || fail("slot", slot, "is above 63");
}

// SKIP { type = 0x33, class (i), first (i), count (i) }
bool Parser::skip(Skip& skip) {
    if (!niceness(skip.niceness) || !sequence(skip.first) || !varint(skip.count)) return false;
    if (skip.count == 0) return fail("count", 0, "skips nothing");
    return skip.count - 1 <= wire::varint_max - skip.first.value() ||
           fail("count", skip.count, "goes beyond 2^62 - 1");
}

// OPEN { type = 0x35, carrier (i), flags (i), [parent (i)] }
bool Parser::open(Open& open) {
    std::uint64_t bits = 0;
    if (!carrier(open.carrier) || !flags(bits, open_flag::known)) return false;
    const std::uint64_t kind = bits & open_flag::kind;
    if (kind > static_cast<std::uint64_t>(CarrierKind::one_way))
        return fail("kind", kind, "is reserved");
    open.kind = static_cast<CarrierKind>(kind);
    open.parent.reset();
    if (bits & open_flag::parent) {
        CarrierId parent;
        if (!carrier(parent)) return false;
        if (parent == open.carrier) return fail("parent", parent.value(), "is the Carrier itself");
        open.parent = parent;
    }
    return true;
}

// EARLY { type = 0x36, scope (8), key (64 for a race, 128 for an association) }
bool Parser::early(EarlyKey& key) {
    const auto scope = reader_.u8();
    if (!scope) return false;
    if (*scope > 1) return fail("scope", *scope, "is above 1");
    if (*scope == 1) return copy(key.association.emplace());
    const auto race = reader_.u64();
    key.race = race.value_or(0);
    return race.has_value();
}

// SETTINGS { type = 0x38, length (i), parameters { id (i), size (i), value } ... }
bool Parser::settings(Settings& settings) {
    std::uint64_t length = 0;
    if (!varint(length, "length", largest_settings, "is above 512")) return false;
    const auto body = reader_.bytes(length);
    if (!body) return false;
    settings = Settings{};
    settings.largest_message = wire::varint_max;
    settings.carriers = default_carriers;
    // What is cut off inside the body stays cut off: a missing byte is a violation here.
    Parser inside(frame_, *body);
    std::uint32_t seen = 0;
    while (!inside.reader_.empty()) {
        if (inside.parameter(settings, seen)) continue;
        if (inside.more()) return fail("length", length, "ends inside a parameter");
        violation_ = inside.violation_;
        return false;
    }
    return (seen & 1U << static_cast<unsigned>(Parameter::association)) != 0 ||
           fail("parameter", 0, "(association) is missing");
}

bool Parser::parameter(Settings& settings, std::uint32_t& seen) {
    std::uint64_t id = 0;
    std::uint64_t size = 0;
    if (!varint(id) || !varint(size)) return false;
    const auto value = reader_.bytes(size);
    if (!value) return false;
    if (id > static_cast<std::uint64_t>(Parameter::features)) return true;
    if (seen & 1U << id) return fail("parameter", id, "comes twice");
    seen |= 1U << id;
    wire::Reader inside(*value);
    std::optional<std::uint64_t> number;
    switch (static_cast<Parameter>(id)) {
        case Parameter::association:
            if (size != settings.association.size())
                return fail("size of the association id", size, "is not 16");
            std::transform(value->begin(), value->end(), settings.association.begin(),
                           [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
            return true;
        case Parameter::race:
            if (size != 8) return fail("size of the race id", size, "is not 8");
            settings.race = inside.u64();
            return true;
        case Parameter::largest_message:
        case Parameter::carriers:
        case Parameter::features: break;
    }
    number = inside.varint();
    if (!number || !inside.empty()) return fail("size of parameter", id, "is not that of a varint");
    if (id == static_cast<std::uint64_t>(Parameter::largest_message))
        settings.largest_message = *number;
    else if (id == static_cast<std::uint64_t>(Parameter::carriers))
        settings.carriers = *number;
    else
        settings.features = *number;
    return true;
}

// REFUSE { type = 0x39, carrier (i), code (i) }
bool Parser::refuse(Refuse& refuse) {
    std::uint64_t code = 0;
    if (!carrier(refuse.carrier) || !varint(code)) return false;
    refuse.reason = refusal_from_wire(code);
    refuse.error = from_wire(code);
    return true;
}

// DELIVERED { type = 0x3a, flags (i), carrier (i), [class (i)], watermark (i), [ranges],
//             [partial - watermark (i), progress (i)], [dropped ranges] }
bool Parser::delivered(Delivered& delivered) {
    std::uint64_t bits = 0;
    if (!flags(bits, delivered_flag::known) || !carrier(delivered.carrier)) return false;
    if (bits & delivered_flag::niceness && !niceness(delivered.niceness)) return false;
    if (!sequence(delivered.watermark)) return false;
    const std::uint64_t watermark = delivered.watermark.value();
    if (bits & delivered_flag::ranges && !ranges(watermark + 1, delivered.ranges)) return false;
    if (bits & delivered_flag::progress) {
        std::uint64_t ahead = 0;
        if (!varint(ahead, "partial", wire::varint_max - watermark, "goes beyond 2^62 - 1") ||
            !varint(delivered.progress))
            return false;
        delivered.partial = Sequence{watermark + ahead};
    }
    if (!(bits & delivered_flag::dropped)) return true;
    delivered.dropped = std::vector<Delivered::Range>{};
    return ranges(0, *delivered.dropped);
}

// ranges { count (i), gap (i), length - 1 (i), gap (i), length - 1 (i) ... }: the first gap is
// counted from `end`, the others from one behind the end of the range before.
bool Parser::ranges(std::uint64_t end, std::vector<Delivered::Range>& ranges) {
    std::uint64_t count = 0;
    if (!varint(count)) return false;
    if (count == 0 || count > most_ranges) return fail("range count", count, "is not 1 to 32");
    // Two bytes are the least that a range has: nothing is kept for those that cannot be here.
    if (reader_.left() >= 2 * count) ranges.reserve(static_cast<std::size_t>(count));
    for (; count > 0; --count) {
        std::uint64_t gap = 0;
        std::uint64_t length = 0;
        if (!varint(gap)) return false;
        if (end > wire::varint_max || gap > wire::varint_max - end)
            return fail("gap", gap, "goes beyond 2^62 - 1");
        const std::uint64_t first = end + gap;
        if (!varint(length, "range length", wire::varint_max - first, "goes beyond 2^62 - 1"))
            return false;
        ranges.push_back({Sequence{first}, length + 1});
        end = first + length + 2;
    }
    return true;
}

// CREDIT { type = 0x3b, carrier (i), limit (i) }
bool Parser::credit(Credit& credit) {
    if (!carrier(credit.carrier) || !varint(credit.limit)) return false;
    if (credit.carrier.value() == all_carriers) credit.of = Credit::Of::all;
    if (credit.carrier.value() == fresh_carriers) credit.of = Credit::Of::fresh;
    return true;
}

// RESET { type = 0x3e, carrier (i), code (i) }, STOP { type = 0x3f, carrier (i), code (i) }
bool Parser::given_up(CarrierId& id, std::uint64_t& code) { return carrier(id) && varint(code); }

// CHOSEN { type = 0x3c, race (64) }
bool Parser::chosen(Chosen& chosen) {
    const auto race = reader_.u64();
    if (race) chosen.race = *race;
    return race.has_value();
}

// ATTACH { type = 0x3d, flags (i), association (128), epoch (i), proof (256) }
bool Parser::attach(Attach& attach) {
    std::uint64_t bits = 0;
    if (!flags(bits, attach_flag::known) || !copy(attach.association) || !varint(attach.epoch))
        return false;
    attach.early = (bits & attach_flag::early) != 0;
    attach.standby = (bits & attach_flag::standby) != 0;
    return copy(attach.proof);
}

bool Parser::copy(std::span<std::uint8_t> out) {
    const auto bytes = reader_.bytes(out.size());
    if (!bytes) return false;
    std::transform(bytes->begin(), bytes->end(), out.begin(),
                   [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
    return true;
}

// ignorable { type = 0x70 to 0x7f, length (i), bytes }
bool Parser::ignorable(std::uint64_t& size) {
    return varint(size, "length", largest_ignorable, "is above 65536");
}

bool Parser::message_fields(MessageHeader& header) {
    std::uint64_t bits = 0;
    if (!flags(bits, message_flag::known)) return false;
    if (bits & message_flag::niceness && !niceness(header.niceness)) return false;
    if (bits & message_flag::sequence) {
        Sequence explicit_sequence;
        if (!sequence(explicit_sequence)) return false;
        header.sequence = explicit_sequence;
    }
    header.marks.ordered = !(bits & message_flag::unordered);
    header.marks.reliable = !(bits & message_flag::unreliable);
    header.marks.final = bits & message_flag::final;
    header.marks.ask = bits & message_flag::ask;
    header.marks.idempotent = bits & message_flag::idempotent;
    header.marks.text = bits & message_flag::text;
    constexpr std::uint64_t rare = message_flag::lifetime | message_flag::antecedents |
                                   message_flag::properties;
    if (bits & rare && !extras(bits, header.extras)) return false;
    return !(bits & message_flag::offset) || varint(header.offset);
}

bool Parser::extras(std::uint64_t bits, core::Boxed<Extras>& extras) {
    extras = Extras{};
    if (bits & message_flag::lifetime) {
        std::uint64_t lifetime = 0;
        if (!varint(lifetime)) return false;
        using std::chrono::milliseconds;
        const auto most = std::chrono::duration_cast<milliseconds>(Duration::max());
        extras->lifetime = std::min(most, milliseconds(static_cast<std::int64_t>(lifetime)));
    }
    if (bits & message_flag::antecedents && !antecedents(*extras)) return false;
    return !(bits & message_flag::properties) || properties(*extras);
}

// antecedents { count (i), { carrier (i), class (i), sequence (i) } ... }
bool Parser::antecedents(Extras& extras) {
    std::uint64_t count = 0;
    if (!varint(count)) return false;
    if (count == 0 || count > most_antecedents)
        return fail("antecedent count", count, "is not 1 to 16");
    for (; count > 0; --count) {
        CarrierId id;
        NicenessClass of;
        Sequence place;
        if (!carrier(id) || !niceness(of) || !sequence(place)) return false;
        extras.antecedents.push_back({id, of, place});
    }
    return true;
}

// properties { size (i), { key size (i), key, value size (i), value } ... }
bool Parser::properties(Extras& extras) {
    std::uint64_t size = 0;
    if (!varint(size, "properties' size", largest_properties, "is above 512")) return false;
    const auto body = reader_.bytes(size);
    if (!body) return false;
    wire::Reader inside(*body);
    while (!inside.empty()) {
        const auto key = inside.varint();
        if (key == 0U) return fail("property's key size", 0, "names nothing");
        const auto name = key ? inside.bytes(*key) : std::nullopt;
        const auto length = name ? inside.varint() : std::nullopt;
        const auto value = length ? inside.bytes(*length) : std::nullopt;
        if (!value) return fail("properties' size", size, "ends inside a property");
        extras.properties.add(text(*name), text(*value));
    }
    return true;
}

bool Parser::carrier(CarrierId& carrier) {
    std::uint64_t value = 0;
    if (!varint(value)) return false;
    carrier = CarrierId{value};
    return true;
}

bool Parser::sequence(Sequence& sequence) {
    std::uint64_t value = 0;
    if (!varint(value)) return false;
    sequence = Sequence{value};
    return true;
}

bool Parser::niceness(NicenessClass& niceness) {
    std::uint64_t value = 0;
    if (!varint(value, "class", niceness_classes - 1, "is above 63")) return false;
    niceness = NicenessClass{static_cast<std::uint8_t>(value)};
    return true;
}

bool Parser::flags(std::uint64_t& flags, std::uint64_t known) {
    if (!varint(flags)) return false;
    return (flags & ~(known | ignorable_flags)) == 0 || fail("flags", flags, "have unknown bits");
}

bool Parser::varint(std::uint64_t& value) {
    const auto taken = reader_.varint();
    if (!taken) return false;
    value = *taken;
    return true;
}

bool Parser::varint(std::uint64_t& value, const char* field, std::uint64_t most, const char* rule) {
    return varint(value) && (value <= most || fail(field, value, rule));
}

bool Parser::fixed(std::size_t size) { return reader_.bytes(size).has_value(); }

bool Parser::fail(const char* field, std::uint64_t value, const char* rule) {
    violation_ = {frame_, field, value, rule};
    return false;
}

}  // namespace post::framing
