// The reading side of Post frames (FORMAT.md). Short messages of class 0 need nothing but the
// Decoder itself; a State is made for what is incomplete or of another class and goes when it is
// empty again. Nothing is allocated by a length that the peer announced.
#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "mappings/framing/frames.hpp"
#include "mappings/framing/next_table.hpp"
#include "mappings/framing/post_framing.hpp"

namespace post::framing {

static_assert(sizeof(Encoder) <= 16 && sizeof(Decoder) <= 40, "there are a million of them");

struct Decoder::State {
    // A message that is begun and not yet whole.
    struct Unfinished {
        NicenessClass niceness;
        Sequence sequence;
        Marks marks;
        std::uint64_t received = 0;
        std::uint64_t total = 0;
        core::Boxed<Extras> extras{};  // until its first piece is given out
    };
    static constexpr std::size_t no_slot = slots;

    std::vector<std::byte> header;  // what has come of an incomplete header
    Unfinished message;             // whose content is due in mode `content`
    std::uint64_t left = 0;         // of that content, or of what is skipped
    std::size_t slot = no_slot;     // where `message` came from
    std::vector<Unfinished> begun;  // a place is a slot; `used` tells which are taken
    std::uint64_t used = 0;
    NextTable next;  // of the classes above 0
    std::unique_ptr<Error> failure;

    bool empty() const { return header.empty() && used == 0 && next.empty() && !failure; }
    bool has(std::size_t number) const { return used >> number & 1; }
    void end(std::size_t number) {
        used &= ~(std::uint64_t{1} << number);
        if (used == 0) begun = {};
    }
};

namespace {

// The first bytes of `input`; no bytes hold no memory.
Bytes front(const Bytes& input, std::size_t size) { return size ? input.slice(0, size) : Bytes(); }

}  // namespace

bool Decoder::next_short(Bytes& input, Piece& piece) { return take_short(input, piece, true); }

event::ArrivedRun Decoder::next_run(Bytes& input, std::span<std::span<const std::byte>> list) {
    event::ArrivedRun run{CarrierId{carrier_}, Sequence{next_}, {}};
    if (mode_ != Mode::frames || next_ > wire::varint_max - list.size()) return run;
    const std::byte* at = input.begin();
    const std::byte* const end = input.end();
    std::size_t count = 0;
    while (count < list.size() && at != end && !run.ask) {
        const auto first = std::to_integer<std::uint8_t>(*at);
        if (!brief::is(first)) break;
        const std::size_t framing = first & brief::two_bytes ? 2 : 1;
        const auto left = static_cast<std::size_t>(end - at);
        if (left < framing) break;
        const std::size_t length = framing == 1
                                       ? first & 0x1fU
                                       : (first & 0x0fU) << 8 | std::to_integer<unsigned>(at[1]);
        if (left - framing < length || length >= small_content) break;
        list[count++] = {at + framing, length};
        run.bytes += length;
        run.ask = first & brief::ask;
        at += framing + length;
    }
    const auto taken = static_cast<std::size_t>(at - input.begin());
    run.contents = list.first(count);
    next_ += count;
    overhead_ += static_cast<std::uint32_t>(taken - run.bytes);
    input.remove_prefix(taken);
    return run;
}

bool Decoder::take_short(Bytes& input, Piece& piece, bool lend) {
    const std::size_t size = input.size();
    if (mode_ != Mode::frames || size == 0) return false;
    const auto first = std::to_integer<std::uint8_t>(input[0]);
    if (!brief::is(first) || next_ > wire::varint_max) return false;
    std::size_t length = first & 0x1f;
    std::size_t framing = 1;
    if (first & brief::two_bytes) {
        if (size < 2) return false;
        length = (first & 0x0fU) << 8 | std::to_integer<unsigned>(input[1]);
        framing = 2;
    }
    if (size - framing < length) return false;
    piece.carrier = CarrierId{carrier_};
    piece.niceness = NicenessClass{0};
    piece.sequence = Sequence{next_++};
    piece.offset = 0;
    piece.total = length;
    if (length == 0)
        piece.bytes = {};
    else
        piece.bytes = lend ? Bytes::lent(input.data() + framing, length)
                           : input.slice(framing, length);
    piece.marks = Marks{};
    piece.marks.ask = first & brief::ask;
    overhead_ += static_cast<std::uint32_t>(framing);
    input.remove_prefix(framing + length);
    return true;
}

Result<std::optional<Frame>> Decoder::next(Bytes& input) {
    if (Piece piece; take_short(input, piece, false)) return std::optional<Frame>(std::move(piece));
    std::optional<Frame> frame;
    while (!frame && !input.empty()) {
        switch (mode_) {
            case Mode::opened:
            case Mode::frames:
                if (!brief::is(std::to_integer<std::uint8_t>(input[0]))) break;
                if (next_ > wire::varint_max)
                    fail({"MESSAGE", "sequence", next_, "is above 2^62 - 1"});
                else if (begin_brief(input))
                    frame = take_brief(input);
                continue;
            case Mode::half:
                if (begin_brief(input)) frame = take_brief(input);
                continue;
            case Mode::brief: frame = take_brief(input); continue;
            case Mode::content: frame = take_content(input); continue;
            case Mode::skipping: {
                const auto size = std::min<std::uint64_t>(state_->left, input.size());
                state_->left -= size;
                consume(input, static_cast<std::size_t>(size));
                if (state_->left == 0) mode_ = base();
                continue;
            }
            case Mode::finished:
                fail({"FIN", "byte", std::to_integer<std::uint64_t>(input[0]), "follows it"});
                continue;
            case Mode::begin:
            case Mode::unsettled:
            case Mode::wide:
            case Mode::header: break;
            case Mode::failed: input = {}; continue;
        }
        take_frame(input, frame);
    }
    if (mode_ == Mode::failed) return *state_->failure;
    if (!frame) settle();
    return frame;
}

bool Decoder::begun() const {
    switch (mode_) {
        case Mode::half:
        case Mode::header:
        case Mode::skipping: return true;
        case Mode::brief: return left_ == total_;
        case Mode::content: return state_->message.received == 0;
        default: return false;
    }
}

bool Decoder::between_frames() const { return mode_ <= Mode::finished; }

std::uint64_t Decoder::take_overhead() { return std::exchange(overhead_, 0U); }

Decoder::State& Decoder::state() {
    if (!state_) state_.reset(new State);
    return *state_;
}

void Decoder::Free::operator()(State* state) const noexcept { delete state; }

// A stream that rests between frames keeps only what it will be asked for.
void Decoder::settle() {
    if (state_ && mode_ <= Mode::finished && state_->empty()) state_.reset();
}

void Decoder::consume(Bytes& input, std::size_t framing) {
    input.remove_prefix(framing);
    overhead_ += static_cast<std::uint32_t>(framing);
}

// Takes the one or two bytes of a short header; true when the message can be given out as far as it
// is here, false when more bytes are needed.
bool Decoder::begin_brief(Bytes& input) {
    if (mode_ != Mode::half) {
        half_ = std::to_integer<std::uint8_t>(input[0]);
        consume(input, 1);
        ask_ = half_ & brief::ask;
        total_ = half_ & 0x1f;
        mode_ = half_ & brief::two_bytes ? Mode::half : Mode::brief;
    }
    if (mode_ == Mode::half) {
        if (input.empty()) return false;
        const unsigned low = std::to_integer<unsigned>(input[0]);
        total_ = static_cast<std::uint16_t>((half_ & 0x0fU) << 8 | low);
        consume(input, 1);
        mode_ = Mode::brief;
    }
    left_ = total_;
    ++next_;
    return total_ == 0 || !input.empty();
}

Piece Decoder::take_brief(Bytes& input) {
    const std::size_t size = std::min<std::size_t>(left_, input.size());
    Piece piece;
    piece.carrier = CarrierId{carrier_};
    piece.sequence = Sequence{next_ - 1};
    piece.offset = static_cast<std::uint64_t>(total_ - left_);
    piece.total = total_;
    piece.bytes = front(input, size);
    piece.marks.ask = ask_;
    input.remove_prefix(size);
    left_ = static_cast<std::uint16_t>(left_ - size);
    if (left_ == 0) mode_ = Mode::frames;
    return piece;
}

Piece Decoder::take_content(Bytes& input) {
    State& state = *state_;
    State::Unfinished& message = state.message;
    const auto size = std::min<std::uint64_t>(state.left, input.size());
    Piece piece;
    piece.carrier = CarrierId{carrier_};
    piece.niceness = message.niceness;
    piece.sequence = message.sequence;
    piece.offset = message.received;
    piece.total = message.total;
    piece.bytes = front(input, static_cast<std::size_t>(size));
    piece.marks = message.marks;
    piece.extras = std::exchange(message.extras, {});
    input.remove_prefix(static_cast<std::size_t>(size));
    message.received += size;
    state.left -= size;
    if (state.left != 0) return piece;
    mode_ = Mode::frames;
    if (state.slot != State::no_slot) {
        state.begun[state.slot].received = message.received;
        if (message.received == message.total) state.end(state.slot);
    }
    return piece;
}

// Reads the header of a frame that has a type, of which some bytes may have come earlier.
void Decoder::take_frame(Bytes& input, std::optional<Frame>& frame) {
    std::array<std::byte, largest_header> joined;
    std::span<const std::byte> bytes = input.span();
    std::size_t held = 0;
    if (mode_ == Mode::header) {
        held = state_->header.size();
        const std::size_t more = std::min(input.size(), joined.size() - held);
        std::copy_n(state_->header.begin(), held, joined.begin());
        std::copy_n(input.begin(), more, joined.begin() + static_cast<std::ptrdiff_t>(held));
        bytes = std::span(joined).first(held + more);
    } else if (const auto violation = misplaced(std::to_integer<std::uint8_t>(bytes[0]))) {
        return fail(*violation);
    }
    const Mode before = mode_;
    const std::size_t taken = dispatch(static_cast<Type>(bytes[0]), bytes.subspan(1), frame);
    if (mode_ == Mode::failed) return;
    if (taken != 0) {
        consume(input, taken - held);
        if (before == Mode::header) state_->header = {};
        return;
    }
    // No header is longer than largest_header, so all that has come belongs to this one.
    assert(bytes.size() < largest_header && bytes.size() == held + input.size());
    state().header.insert(state_->header.end(), input.begin(), input.end());
    mode_ = Mode::header;
    consume(input, input.size());
}

// What may not stand here, as far as the first byte tells.
std::optional<Violation> Decoder::misplaced(std::uint8_t first) const {
    const auto type = static_cast<Type>(first);
    const bool ignorable = first >= first_ignorable && first <= last_ignorable;
    if (mode_ == Mode::begin) {
        if (type == Type::open || type == Type::settings || type == Type::credit)
            return std::nullopt;
        return Violation{"stream", "first byte", first, "is neither OPEN nor SETTINGS"};
    }
    if (mode_ == Mode::unsettled) {
        if (type == Type::settings || type == Type::credit || type == Type::reset ||
            type == Type::stop || ignorable)
            return std::nullopt;
        return Violation{"stream", "first byte", first, "comes before SETTINGS"};
    }
    if (ignorable) return std::nullopt;
    if (brief::is(first))
        return Violation{"MESSAGE", "first byte", first, "is on the association's stream"};
    const char* name = to_string(type);
    if (!name) return Violation{"frame", "type", first, "is unknown"};
    if (association_wide(type) != association_)
        return Violation{
            name, "type", first,
            association_ ? "is on the association's stream" : "is on a Carrier's stream"};
    if (type == Type::open || type == Type::settings)
        return Violation{name, "type", first, "is not the first frame of the opener's stream"};
    if (type == Type::early && mode_ != Mode::opened)
        return Violation{name, "type", first, "does not follow OPEN"};
    return std::nullopt;
}

std::size_t Decoder::dispatch(Type type, std::span<const std::byte> bytes,
                              std::optional<Frame>& frame) {
    const bool ignorable = static_cast<std::uint8_t>(type) >= first_ignorable;
    Parser parser(ignorable ? "ignorable frame" : to_string(type), bytes);
    // The rest of a case, once its fields have been parsed; else more bytes or the end.
    const auto whole = [&](bool parsed, const auto& act) -> std::size_t {
        if (parsed) {
            mode_ = base();
            act();
            return 1 + parser.taken();
        }
        if (!parser.more()) fail(parser.violation());
        return 0;
    };
    if (ignorable) {
        std::uint64_t size = 0;
        return whole(parser.ignorable(size), [&] { begin_skipping(size); });
    }
    switch (type) {
        case Type::message: {
            MessageHeader header;
            return whole(parser.message(header), [&] { begin_message(header, frame); });
        }
        case Type::chunk: {
            MessageHeader header;
            return whole(parser.chunk(header), [&] { begin_chunk(header, frame); });
        }
        case Type::abandon: {
            std::uint8_t slot = 0;
            return whole(parser.slot(slot), [&] { abandon(slot, frame); });
        }
        case Type::skip: {
            Skip skip;
            return whole(parser.skip(skip), [&] {
                skip.carrier = CarrierId{carrier_};
                std::uint64_t& next = next_of(skip.niceness);
                next = std::max(next, skip.first.value() + skip.count);
                frame = skip;
            });
        }
        case Type::fin: return whole(true, [&] { finish(frame); });
        case Type::open: {
            Open open;
            return whole(parser.open(open), [&] {
                carrier_ = open.carrier.value();
                mode_ = Mode::opened;
                frame = open;
            });
        }
        case Type::settings: {
            Settings settings;
            return whole(parser.settings(settings), [&] {
                association_ = settled_ = true;
                mode_ = Mode::wide;
                frame = settings;
            });
        }
        case Type::chosen: {
            Chosen chosen;
            return whole(parser.chosen(chosen), [&] { frame = chosen; });
        }
        case Type::refuse: {
            Refuse refuse;
            return whole(parser.refuse(refuse), [&] { frame = refuse; });
        }
        case Type::delivered: {
            Delivered delivered;
            return whole(parser.delivered(delivered), [&] { frame = std::move(delivered); });
        }
        case Type::credit: {
            Credit credit;
            return whole(parser.credit(credit), [&] {
                association_ = true;
                mode_ = base();
                frame = credit;
            });
        }
        case Type::reset: {
            GivenUp given_up;
            return whole(parser.given_up(given_up.carrier, given_up.code),
                         [&] { frame = given_up; });
        }
        case Type::stop: {
            Unwanted unwanted;
            return whole(parser.given_up(unwanted.carrier, unwanted.code),
                         [&] { frame = unwanted; });
        }
        case Type::early: {
            EarlyKey key{CarrierId{carrier_}};
            return whole(parser.early(key), [&] { frame = key; });
        }
        case Type::attach: {
            Attach attach;
            return whole(parser.attach(attach), [&] { frame = attach; });
        }
    }
    return 0;
}

void Decoder::begin_skipping(std::uint64_t size) {
    if (size == 0) return;
    state().left = size;
    mode_ = Mode::skipping;
}

void Decoder::begin_message(const MessageHeader& header, std::optional<Frame>& frame) {
    const auto sequence = place(header.niceness, header.sequence);
    if (!sequence) return fail({"MESSAGE", "sequence", wire::varint_max + 1, "is above 2^62 - 1"});
    State& state = this->state();
    state.message = {header.niceness, *sequence, header.marks, 0, header.total, header.extras};
    state.left = header.length;
    state.slot = State::no_slot;
    mode_ = Mode::content;
    if (header.length > 0) return;
    Bytes none;
    frame = take_content(none);
}

void Decoder::begin_chunk(const MessageHeader& header, std::optional<Frame>& frame) {
    State& state = this->state();
    if (header.begins) {
        if (header.slot != std::countr_one(state.used))
            return fail({"CHUNK", "slot", header.slot, "is not the lowest free one"});
        const auto sequence = place(header.niceness, header.sequence);
        if (!sequence)
            return fail({"CHUNK", "sequence", wire::varint_max + 1, "is above 2^62 - 1"});
        if (header.slot == state.begun.size()) state.begun.emplace_back();
        state.begun[header.slot] = {header.niceness, *sequence, header.marks, header.offset,
                                    header.total};
        state.used |= std::uint64_t{1} << header.slot;
    } else {
        if (!state.has(header.slot))
            return fail({"CHUNK", "slot", header.slot, "holds no message"});
        const State::Unfinished& message = state.begun[header.slot];
        if (header.length > message.total - message.received)
            return fail({"CHUNK", "length", header.length, "is more than what is left"});
    }
    state.message = state.begun[header.slot];
    state.message.extras = header.extras;
    state.left = header.length;
    state.slot = header.slot;
    mode_ = Mode::content;
    if (header.length > 0) return;
    Bytes none;
    frame = take_content(none);
}

void Decoder::abandon(std::uint8_t slot, std::optional<Frame>& frame) {
    if (!state_ || !state_->has(slot)) return fail({"ABANDON", "slot", slot, "holds no message"});
    const State::Unfinished& message = state_->begun[slot];
    frame = Abandon{CarrierId{carrier_}, message.niceness, message.sequence};
    state_->end(slot);
}

void Decoder::finish(std::optional<Frame>& frame) {
    const auto left = static_cast<std::uint64_t>(state_ ? std::popcount(state_->used) : 0);
    if (left > 0) return fail({"FIN", "unfinished messages", left, "are left"});
    mode_ = Mode::finished;
    frame = Finish{CarrierId{carrier_}};
}

// The sequence number of a message, given or implicit; nothing when the numbers are used up.
std::optional<Sequence> Decoder::place(NicenessClass niceness, std::optional<Sequence> given) {
    std::uint64_t& next = next_of(niceness);
    const std::uint64_t sequence = given ? given->value() : next;
    if (sequence > wire::varint_max) return std::nullopt;
    next = std::max(next, sequence + 1);
    return Sequence{sequence};
}

std::uint64_t& Decoder::next_of(NicenessClass niceness) {
    return niceness.value() == 0 ? next_ : state().next[niceness];
}

void Decoder::fail(const Violation& violation) {
    state().failure = std::make_unique<Error>(violation.error());
    mode_ = Mode::failed;
}

}  // namespace post::framing
