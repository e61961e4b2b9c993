// What a flow does with datagrams.
#include "mappings/udp/flow.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "mappings/framing/error_codes.hpp"
#include "mappings/udp/endpoint.hpp"

namespace post::udp {

Flow::Flow(Endpoint* door, TransientId transient, const FlowOptions& options, Instant now)
    : door_(door), transient_(transient), options_(options), heard_(now), used_(now) {
    event::Established established;
    established.alone = established.messages = established.datagrams = true;
    established.largest_message = limit(options_.datagrams);
    events_.push_back(std::move(established));
    if (options_.role == Role::client) return;
    carrier_ = CarrierId{0};
    events_.push_back(event::Opened{Open{*carrier_, std::nullopt}});
}

Flow::~Flow() {
    if (door_) door_->forget(options_.local, options_.remote, transient_);
}

// What one datagram carries.
std::size_t Flow::limit(const DatagramOptions& options) const {
    const bool v6 = options_.remote.family == Address::Family::v6;
    const std::size_t any = v6 ? largest_datagram_v6 : largest_run;
    const bool bound = options.dont_fragment.value_or(false) && options_.unfragmented > 0;
    const std::size_t most = bound ? std::min(any, options_.unfragmented) : any;
    return most - std::min(most, options_size(options));
}

// What they take in the header, or in headers of their own, with the padding.
std::size_t Flow::options_size(const DatagramOptions& options) const {
    const auto padded = [](std::size_t size, std::size_t word) {
        return (size + word - 1) / word * word;
    };
    if (options_.remote.family != Address::Family::v6) return padded(options.ip_options.size(), 4);
    std::size_t size = 0;
    for (const Bytes* header : {&options.ip_options, &options.hop_options})
        if (!header->empty()) size += padded(2 + header->size(), 8);
    return size;
}

// Why a datagram of so many bytes cannot go like this; none: it can.
Error Flow::fault(const DatagramOptions& options, std::size_t size) const {
    constexpr std::size_t most_options = 40;  // RFC 791, 3.1: a header has at most 60 bytes
    const auto wrong = [](Errc code, std::string text) {
        return Error(code, {}, Stage::established, Bytes(std::move(text)));
    };
    if (options_.remote.family != Address::Family::v6) {
        if (!options.hop_options.empty())
            return wrong(Errc::invalid_argument, "IPv4 has no Hop-by-Hop Options header");
        if (options.ip_options.size() > most_options)
            return wrong(Errc::invalid_argument, "over IPv4 there are at most 40 bytes of options");
    }
    const std::size_t most = limit(options);
    if (size <= most) return {};
    return wrong(Errc::message_too_large,
                 "it has " + std::to_string(size) + " bytes, and one datagram carries at most " +
                     std::to_string(most) +
                     (options.dont_fragment.value_or(false) ? " that nobody may fragment" : ""));
}

// Commands.

void Flow::reset(CarrierId carrier, Error) {
    if (carrier_ == carrier) end_sending();
}

void Flow::stop(CarrierId carrier, Error) {
    if (carrier_ == carrier) end_receiving();
}

void Flow::close(Error) { over_ = true; }

void Flow::end_sending() {
    sends_ = false;
    waiting_.clear();
    parts_.clear();
    maybe_end();
}

void Flow::end_receiving() {
    receives_ = false;
    maybe_end();
}

void Flow::maybe_end() {
    if (sends_ || receives_ || lost_ || !carrier_) return;
    lost_ = true;
    // Before the Carrier ends: what was sent counts.
    if (acked_ > 0) events_.push_back(event::Acked{*carrier_, std::exchange(acked_, 0)});
    events_.push_back(event::Ended{*carrier_});
    events_.push_back(event::Lost{Error(Errc::carrier_closed)});
}

// Input.

void Flow::handle_input(Instant now, const Datagrams& datagrams) {
    const bool stranger = !door_ && !options_.remote.is_multicast() &&
                          datagrams.remote != options_.remote;
    if (stranger || lost_ || over_) return;
    heard_ = used_ = now;
    if (!carrier_ || !receives_) return;
    std::size_t left = datagrams.count();
    for (Datagrams rest = datagrams; left > 0; --left, rest = rest.after(1)) {
        const auto bytes = rest.blank ? std::span<const std::byte>{} : rest.front();
        bytes_received_ += bytes.size();
        event::ArrivedAlone arrived;
        Piece& piece = arrived.piece;
        piece.carrier = *carrier_;
        piece.sequence = next_arrival_;
        next_arrival_ = Sequence{next_arrival_.value() + 1};
        piece.total = bytes.size();
        piece.bytes = bytes.size() < small_content ? Bytes::lent(bytes.data(), bytes.size())
                                                   : Bytes(bytes);
        arrived.datagram = DatagramInfo{datagrams.remote,
                                        datagrams.local,
                                        datagrams.options.hop_limit,
                                        datagrams.options.dscp,
                                        datagrams.options.ecn,
                                        datagrams.options.ip_options,
                                        datagrams.options.hop_options};
        events_.push_back(std::move(arrived));
    }
}

void Flow::handle_timeout(Instant now) {
    if (now < deadline() || !carrier_) return;
    if (receives_) events_.push_back(event::Finished{*carrier_});
    receives_ = false;
    end_sending();
}

void Flow::handle_trouble(Instant, const Address& remote, std::error_code code) {
    if (!carrier_ || lost_ || over_ || remote != options_.remote) return;
    Errc meaning = framing::errc_of_trouble(code);
    if (meaning == Errc{})
        meaning = code.value() == EMSGSIZE ? Errc::message_too_large : Errc::unreachable;
    Error error(meaning, code, Stage::established);
    const bool refused = code.value() == EPERM || code.value() == EINVAL;
    if (refused && said_options_)
        error = Error(Errc::unsupported, code, Stage::established,
                      "the system refused the IP options of a datagram: those of IPv6, and of IPv4 "
                      "those that it does not know, it takes from programs with CAP_NET_RAW alone");
    error.candidate = remote;
    events_.push_back(event::Soft{*carrier_, std::move(error)});
}

// Output.

Datagrams Flow::poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) {
    if (over_ || lost_) return {};
    Filling filling{space.first(std::min(space.size(), largest_run))};
    alone_ = {};
    add_waiting(filling);
    while (!filling.full && waiting_.empty() && !lost_) {
        Outgoing* const next = supply.next();
        if (!next) break;
        take(filling, supply, *next);
    }
    if (filling.count == 0) return {};
    supply.packed(*carrier_, filling.pieces);
    acked_ += filling.pieces;
    // Its Carrier may have ended with this run.
    if (lost_ && acked_ > 0)
        events_.insert(events_.end() - 2, event::Acked{*carrier_, std::exchange(acked_, 0)});
    used_ = now;
    if (door_ && !std::exchange(spoke_, true))
        door_->answered(options_.local, options_.remote, transient_);
    if (filling.run.bytes.data() == space.data())
        filling.run.bytes = std::span<const std::byte>(space).first(filling.used);
    bytes_sent_ += filling.used;
    packets_sent_ += filling.count;
    return filling.run;
}

void Flow::take(Filling& filling, Supply& supply, Outgoing& outgoing) {
    if (auto* piece = std::get_if<Piece>(&outgoing)) return take(filling, supply, *piece);
    if (const auto* opened = std::get_if<Open>(&outgoing)) return open(*opened);
    if (const auto* finish = std::get_if<Finish>(&outgoing)) {
        if (carrier_ == finish->carrier) end_sending();
    } else if (const auto* abandon = std::get_if<Abandon>(&outgoing)) {
        std::erase_if(parts_, [&](const Parts& one) {
            return one.niceness == abandon->niceness && one.sequence == abandon->sequence;
        });
    }
}

// A second Carrier would be a second flow, with a port of its own.
void Flow::open(const Open& open) {
    if (carrier_) {
        const Error error(Errc::unsupported, {}, Stage::established,
                          "a Carrier of udp is a flow of datagrams between two addresses, and "
                          "cannot be forked: initiate another one");
        events_.push_back(event::Reset{open.carrier, error});
        events_.push_back(event::Stopped{open.carrier, error});
        events_.push_back(event::Ended{open.carrier});
        return;
    }
    carrier_ = open.carrier;
    if (open.kind == CarrierKind::one_way) receives_ = false;
}

DatagramOptions Flow::options_of(const Piece& piece) const {
    DatagramOptions options = options_.datagrams;
    if (!piece.extras || !piece.extras->datagram) return options;
    const DatagramOptions& own = *piece.extras->datagram;
    if (own.hop_limit) options.hop_limit = own.hop_limit;
    if (own.dscp) options.dscp = own.dscp;
    if (own.ecn) options.ecn = own.ecn;
    if (own.dont_fragment) options.dont_fragment = own.dont_fragment;
    if (own.checksum) options.checksum = own.checksum;
    if (own.coverage) options.coverage = own.coverage;
    if (!own.ip_options.empty()) options.ip_options = own.ip_options;
    if (!own.hop_options.empty()) options.hop_options = own.hop_options;
    return options;
}

void Flow::take(Filling& filling, Supply& supply, Piece& piece) {
    if (carrier_ != piece.carrier || !sends_) return;
    std::uint64_t pieces = 1;
    const bool cut = !piece.first() || !piece.last();
    if (cut && !put_together(piece, pieces)) return;
    const DatagramOptions options = options_of(piece);
    if (Error wrong = fault(options, piece.bytes.size())) {
        if (pieces > 1) {
            supply.packed(piece.carrier, pieces - 1);
            acked_ += pieces - 1;
        }
        return supply.refused(piece.carrier, piece.niceness, piece.sequence, std::move(wrong));
    }
    if (!add(filling, piece.bytes.span(), options)) {
        waiting_.push_back({piece.bytes.held(), options, pieces});
        return;
    }
    filling.pieces += pieces;
    if (!cut && !piece.extras && piece.bytes.size() < small_content && !filling.full)
        add_more(filling, supply);
}

// A message that is made while it is sent is one when its last byte is here. False: that is later,
// or never.
bool Flow::put_together(Piece& piece, std::uint64_t& pieces) {
    if (piece.total > limit(options_of(piece))) {
        events_.push_back(event::Stopped{
            piece.carrier, Error(Errc::message_too_large, {}, Stage::established,
                                 "a message that is made while it is sent (Generated) is longer "
                                 "than a datagram")});
        end_sending();
        return false;
    }
    auto parts = std::find_if(parts_.begin(), parts_.end(), [&](const Parts& one) {
        return one.niceness == piece.niceness && one.sequence == piece.sequence;
    });
    if (parts == parts_.end())
        parts = parts_.insert(parts, {.niceness = piece.niceness, .sequence = piece.sequence});
    parts->bytes.insert(parts->bytes.end(), piece.bytes.begin(), piece.bytes.end());
    ++parts->pieces;
    if (!piece.last()) return false;
    piece.bytes = Bytes(std::move(parts->bytes));
    piece.offset = 0;
    pieces = parts->pieces;
    parts_.erase(parts);
    return true;
}

void Flow::add_waiting(Filling& filling) {
    while (!filling.full && !waiting_.empty()) {
        Waiting& first = waiting_.front();
        if (!add(filling, first.bytes.span(), first.options)) return;
        filling.pieces += first.pieces;
        waiting_.pop_front();
    }
}

// What stands behind a small message goes with it, as far as the run reaches.
void Flow::add_more(Filling& filling, Supply& supply) {
    const std::size_t left = (options_.run_limit - filling.count) * filling.run.segment;
    const std::size_t room = std::min(filling.space.size() - filling.used, left);
    for (const auto bytes : supply.more(room)) {
        if (waiting_.empty() && add(filling, bytes, options_.datagrams))
            ++filling.pieces;
        else
            waiting_.push_back({Bytes(bytes), options_.datagrams, 1});
    }
}

bool Flow::add(Filling& filling, std::span<const std::byte> bytes, const DatagramOptions& options) {
    if (filling.count == 0) {
        begin(filling, bytes, options);
        return true;
    }
    const bool same = options == filling.run.options && !bytes.empty() &&
                      bytes.size() <= filling.run.segment;
    if (!same || filling.used + bytes.size() > filling.space.size()) {
        filling.full = true;
        return false;
    }
    std::memcpy(filling.space.data() + filling.used, bytes.data(), bytes.size());
    filling.used += bytes.size();
    // A shorter one is the last of its run.
    filling.full = ++filling.count >= options_.run_limit || bytes.size() < filling.run.segment;
    return true;
}

void Flow::begin(Filling& filling, std::span<const std::byte> bytes,
                 const DatagramOptions& options) {
    Datagrams& run = filling.run;
    run.local = options_.local;
    run.remote = options_.remote;
    run.options = options;
    run.ecn = options.ecn.value_or(Ecn::not_ect);
    said_options_ |= !options.ip_options.empty() || !options.hop_options.empty();
    run.segment = bytes.size();
    filling.used = bytes.size();
    filling.count = 1;
    run.blank = bytes.empty();
    // One that has to be fragmented cannot be cut from a run, and long ones win nothing by it.
    const std::size_t room = filling.space.size();
    const bool joins = bytes.size() * 2 <= room && bytes.size() <= options_.unfragmented;
    filling.full = run.blank || !joins || options_.run_limit <= 1;
    if (bytes.size() <= room) {
        if (!bytes.empty()) std::memcpy(filling.space.data(), bytes.data(), bytes.size());
        run.bytes = filling.space.first(bytes.size());
        return;
    }
    alone_ = Bytes(bytes);
    run.bytes = alone_.span();
}

void Flow::poll_events(std::vector<Event>& events) {
    if (acked_ > 0) events_.push_back(event::Acked{*carrier_, std::exchange(acked_, 0)});
    events.insert(events.end(), std::move_iterator(events_.begin()),
                  std::move_iterator(events_.end()));
    events_.clear();
    over_ |= lost_;
}

Instant Flow::deadline() const {
    if (!door_ || lost_ || over_) return never;
    return later(used_, options_.limits.idle_timeout);
}

std::uint64_t Flow::send_window(CarrierId carrier) const {
    return carrier_ == carrier && sends_ ? unlimited : 0;
}

Path Flow::path() const {
    Path path;
    path.local = options_.local;
    path.remote = options_.remote;
    path.mtu = options_.unfragmented;
    path.bytes_sent = bytes_sent_;
    path.bytes_received = bytes_received_;
    path.packets_sent = packets_sent_;
    return path;
}

}  // namespace post::udp
