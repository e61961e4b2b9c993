// How a connection comes about, what passes through it, and how it ends.
#include "mappings/sctp/connection.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "mappings/crypto/continuity.hpp"
#include "mappings/framing/error_codes.hpp"
#include "mappings/sctp/endpoint.hpp"
#include "mappings/sctp/packet.hpp"
#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"

namespace post::sctp {

namespace {

constexpr std::string_view signature = "post";
// A listener's answer is at most three times as long as what it answers.
constexpr std::size_t least_greeting = 260;
// What the largest user message and a notice need.
constexpr std::size_t read_space = 256 * 1024;

Channels::Options channel_options(const ConnectionOptions& options, bool dcep) {
    Channels::Options channels;
    channels.role = options.role;
    channels.limits = options.transport.limits;
    channels.dcep = dcep;
    channels.even = options.role == Role::client;
    return channels;
}

// The User-Initiated cause of our ABORT: FORMAT.md, 8.2.
std::vector<std::byte> goodbye(const Error& reason, bool post) {
    const std::string text = framing::printable(reason.detail.view());
    std::vector<std::byte> bytes(signature.size() + 8 + text.size());
    wire::Writer writer(bytes);
    if (post) {
        writer.bytes(std::as_bytes(std::span(signature)));
        writer.varint(framing::to_wire(reason));
    }
    writer.bytes(std::as_bytes(std::span(text)));
    bytes.resize(writer.size());
    return bytes;
}

Error reason_of(std::span<const std::byte> bytes, bool post) {
    Error error(Errc::connection_closed);
    wire::Reader reader(bytes);
    const auto begin = reader.bytes(signature.size());
    if (post && begin && std::memcmp(begin->data(), signature.data(), signature.size()) == 0) {
        if (const auto code = reader.varint()) error = framing::closed_from_wire(*code);
        bytes = bytes.subspan(reader.taken());
    }
    const std::string text = framing::printable(
        std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    if (text.empty()) return error;
    const std::string detail = error.detail.string();
    error.detail = Bytes((detail.empty() ? "" : detail + "; ") + "the peer says: " + text);
    return error;
}

}  // namespace

Connection::Connection(Endpoint& endpoint, Line& line, const ConnectionOptions& options,
                       Instant now, std::unique_ptr<crypto::DtlsSession> dtls)
    : endpoint_(endpoint),
      engine_(endpoint.engine()),
      line_(line),
      options_(options),
      dtls_(std::move(dtls)),
      channels_(channel_options(options, dtls_ != nullptr), endpoint.blocks()),
      now_(now),
      started_(now),
      heard_(now),
      search_(options.transport.largest_payload, options.transport.largest_probe) {
    endpoint_.opened_half();
    if (!dtls_)
        associate();
    else if (options_.role == Role::client)
        dtls_->start(now);
}

Connection::Connection(Endpoint& endpoint, Line& line, const ConnectionOptions& options,
                       Instant now, std::unique_ptr<Socket> accepted)
    : endpoint_(endpoint),
      engine_(endpoint.engine()),
      line_(line),
      options_(options),
      socket_(std::move(accepted)),
      channels_(channel_options(options, false), endpoint.blocks()),
      state_(State::associating),
      now_(now),
      started_(now),
      heard_(now),
      authentic_(true),
      search_(options.transport.largest_payload, options.transport.largest_probe) {
    endpoint_.opened_half();
    read();
}

Connection::~Connection() {
    end_wait();
    socket_.reset();
    if (listening_) Socket::close(engine_, listening_);
    endpoint_.forget(line_, options_.remote);
}

void Connection::end_wait() {
    if (std::exchange(half_open_, false)) endpoint_.closed_half();
}

// Commands.

void Connection::reset(CarrierId carrier, Error reason) { channels_.reset(carrier, reason); }
void Connection::stop(CarrierId carrier, Error reason) { channels_.stop(carrier, reason); }
void Connection::extend_window(CarrierId carrier, std::uint64_t bytes) {
    channels_.extend_window(carrier, bytes);
}

void Connection::extend_budget(std::uint64_t bytes) {
    channels_.extend_budget(bytes);
    if (unread_ && channels_.has_room()) read();
}

void Connection::keep_alive(bool wanted) { keep_alive_ = wanted; }

// Duration::max() where silence is nothing to be broken.
Duration Connection::ping_every() const {
    const Limits& limits = options_.transport.limits;
    const Duration every = limits.keep_alive.value_or(limits.idle_timeout / 3);
    return keep_alive_ && every > Duration::zero() ? every : Duration::max();
}

void Connection::close(Error reason) {
    if (state_ == State::closing || state_ == State::over) return;
    close_reason_ = std::move(reason);
    state_ = State::closing;
}

// Input.

void Connection::handle_input(Instant now, const Datagrams& datagrams) {
    now_ = now;
    if (state_ == State::closing || state_ == State::over) return;
    bytes_received_ += datagrams.bytes.size();
    for (Datagrams rest = datagrams; !rest.empty(); rest = rest.after(1)) {
        const auto front = rest.front();
        const auto room = endpoint_.room(front.size());
        if (!dtls_) {
            std::copy(front.begin(), front.end(), room.begin());
            take_packet(room.first(front.size()), rest.ecn);
            continue;
        }
        crypto::DtlsSession::Sink sink = [&](std::span<std::byte> packet) {
            take_packet(packet, rest.ecn);
        };
        const auto dropped = dtls_->dropped();
        const auto progress = dtls_->handle_input(now, front, room, sink);
        if (dtls_->dropped() == dropped) {
            authentic_ = true;
            heard_ = now;
        }
        on_dtls(progress);
        if (state_ == State::over) return;
    }
    read();
    watch_silence(heard_ == now_);
}

void Connection::take_packet(std::span<std::byte> packet, Ecn ecn) {
    if (!checksum_fits(packet)) return;
    if (!dtls_) {
        authentic_ = true;
        heard_ = now_;
    }
    if (options_.wire_port != 0) put16(packet, 2, options_.socket.local_port);
    limit_streams(packet, first_streams(options_.transport));
    inspect(packet);
    if (socket_ || listening_) engine_.input(line_.id, packet, ecn);
}

void Connection::on_dtls(crypto::DtlsSession::Progress progress) {
    using Progress = crypto::DtlsSession::Progress;
    switch (progress) {
        case Progress::waiting: return;
        case Progress::complete:
            if (state_ == State::handshaking) associate();
            return;
        case Progress::closed:
            // What came before it, the peer's ABORT above all, says more.
            read();
            if (state_ != State::over) lose(Error(Errc::connection_closed));
            return;
        case Progress::failed: fail(dtls_->error()); return;
    }
}

// The association comes about. Of two Post peers the client begins it. Others may wait for us or
// begin as well: two beginnings become one (RFC 9260, 5.2).
void Connection::associate() {
    state_ = State::associating;
    if (dtls_) overhead_ = dtls_->mtu() - dtls_->data_mtu();
    options_.socket.packet = largest_packet();
    if (dtls_ && options_.role == Role::server && dtls_->alpn() == post_alpn) {
        listening_ = Socket::listening(engine_, &line_, options_.socket, 1);
        return;
    }
    socket_ = std::make_unique<Socket>(engine_, line_, options_.socket);
    socket_->connect();
}

void Connection::accept() {
    struct socket* native = Socket::accept(engine_, listening_);
    if (!native) return;
    socket_ = std::make_unique<Socket>(engine_, line_, options_.socket, native);
    Socket::close(engine_, std::exchange(listening_, nullptr));
}

std::size_t Connection::largest_packet() const {
    const TransportOptions& transport = options_.transport;
    const bool plain = dtls_ && dtls_->alpn() != post_alpn;
    const std::size_t payload = plain ? std::min(transport.largest_payload, transport.largest_plain)
                                      : transport.largest_payload;
    return packet_of(payload);
}

void Connection::read() {
    if (listening_) accept();
    if (!socket_) return;
    unread_ = line_.news = false;
    const auto space = endpoint_.read_space(read_space);
    while (waits() || state_ == State::established) {
        if (state_ == State::established && !channels_.has_room()) {
            unread_ = true;
            break;
        }
        auto received = socket_->receive(space);
        if (auto* notice = std::get_if<Notice>(&received)) {
            if (!take(*notice)) return;
            continue;
        }
        // What the peer said of itself stands right behind the notice that it is there.
        if (up_) establish();
        const auto* message = std::get_if<Message>(&received);
        if (!message) break;
        if (!channels_.on_message(*message, now_)) return fail(channels_.violation());
    }
}

bool Connection::take(Notice& notice) {
    if (const auto* up = std::get_if<notice::Up>(&notice)) {
        if (state_ == State::associating) up_ = *up;
        if (state_ != State::established) return true;
        // RFC 9260, 5.2.4: all that was on its way is lost.
        fail(Error(Errc::connection_closed, {}, Stage::established, "the peer began anew"));
        return false;
    }
    if (const auto* adaptation = std::get_if<notice::Adaptation>(&notice)) {
        // Of two ends that could speak Post both have to say so.
        if (!dtls_) post_ = options_.transport.post && adaptation->value == post_adaptation;
        return true;
    }
    if (up_) establish();
    if (const auto* gone = std::get_if<notice::Down>(&notice)) return down(*gone), false;
    if (channels_.on_notice(notice)) return true;
    fail(channels_.violation());
    return false;
}

void Connection::establish() {
    const notice::Up up = *std::exchange(up_, std::nullopt);
    state_ = State::established;
    end_wait();
    endpoint_.settled(options_.remote);
    if (dtls_) post_ = dtls_->alpn() == post_alpn;
    event::Established established;
    established.post = post_;
    established.alone = post_;
    established.messages = !post_;
    if (dtls_) {
        established.alpn = dtls_->alpn();
        established.peer_identity = dtls_->peer_certificate();
        established.resumed = dtls_->resumed();
    }
    channels_.inbox().add(std::move(established));
    if (dtls_ && options_.role == Role::client)
        for (auto& ticket : dtls_->take_tickets())
            channels_.inbox().add(event::Ticket{std::move(ticket.session), {}, ticket.lifetime});
    channels_.establish(*socket_, post_, up);
    if (!post_) return;
    search_.start(now_);
    // No flight of a handshake is cut by it any more: the peer has spoken.
    if (dtls_)
        dtls_->set_mtu(
            std::max(dtls_->mtu(), std::min(options_.transport.largest_probe, largest_run)));
}

void Connection::down(const notice::Down& down) {
    Error error(Errc::connection_lost);
    if (down.by_peer || down.in_order) error = reason_of(down.reason, post_);
    if (waits()) error = Error(Errc::handshake_failed, {}, Stage::handshake, "no SCTP association");
    lose(std::move(error));
}

// Nothing comes of it any more. What usrsctp has said of it still leaves.
void Connection::lose(Error error) {
    if (ending()) return;
    tell(std::move(error));
    state_ = line_.packets.empty() ? State::over : State::closing;
    said_ = true;
}

// The same, and the peer is told why.
void Connection::fail(Error error) {
    if (ending()) return;
    close_reason_ = error;
    tell(std::move(error));
    state_ = State::closing;
}

void Connection::tell(Error error) {
    if (error.stage == Stage::none) error.stage = waits() ? Stage::handshake : Stage::established;
    error.candidate = options_.remote;
    channels_.inbox().add(event::Lost{std::move(error)});
    end_wait();
}

void Connection::handle_timeout(Instant now) {
    now_ = now;
    if (state_ == State::over || state_ == State::closing) return;
    const Limits& limits = options_.transport.limits;
    if (waits() && now >= started_ + limits.handshake_timeout) {
        Error error(Errc::handshake_timeout, std::make_error_code(std::errc::timed_out),
                    Stage::handshake);
        if (dtls_) {
            const Error rumour = dtls_->rumour();
            if (rumour) error = rumour;
        }
        return lose(std::move(error));
    }
    if (state_ == State::established && now >= heard_ + limits.idle_timeout)
        return lose(Error(Errc::connection_lost));
    if (state_ == State::established && now >= ping_at()) {
        pinged_ = now;
        socket_->ping();
    }
    if (dtls_ && now >= dtls_->deadline()) {
        dtls_->handle_timeout(now);
        on_dtls(dtls_->progress());
    }
    if (search_.on_timeout(now)) search_path();
    read();
}

void Connection::handle_trouble(Instant now, const Address& remote, std::error_code code) {
    now_ = now;
    // Anybody can forge an ICMP message: it only counts while the peer has not spoken.
    if (!waits() || authentic_ || remote != options_.remote) return;
    const Errc errc = framing::errc_of_trouble(code);
    if (errc == Errc{}) return;
    lose(Error(errc, code, Stage::connect));
    state_ = State::over;
}

// Output.

Datagrams Connection::poll_transmit(Instant now, Supply& supply, std::span<std::byte> space) {
    now_ = now;
    if (state_ == State::over) return {};
    if (dtls_) {
        auto datagram = dtls_->poll_datagram();
        if (!datagram.empty()) {
            const auto size = std::min(datagram.size(), space.size());
            std::memcpy(space.data(), datagram.data(), size);
            return run_of(space.first(size), size, Ecn::not_ect);
        }
    }
    if (state_ == State::established) {
        if (std::exchange(line_.sent_again, false)) search_.on_loss(now);
        const bool tagged = get32(header_, 4) != 0;  // the last packet was no INIT
        if (const std::size_t size = tagged ? search_.poll(now) : 0) return probe(size, space);
        channels_.fill(supply);
        watch_silence(false);
    }
    if (state_ == State::closing && !std::exchange(said_, true) && socket_)
        socket_->abort(goodbye(close_reason_, post_));
    const Datagrams run = flush(space);
    if (!run.empty() || state_ != State::closing) return run;
    // DTLS has the last word.
    if (dtls_ && !std::exchange(dtls_closed_, true)) {
        dtls_->close();
        return poll_transmit(now, supply, space);
    }
    state_ = State::over;
    end_wait();
    return {};
}

// As many packets as make one run: of one size, but for the last.
Datagrams Connection::flush(std::span<std::byte> space) {
    PacketQueue& packets = line_.packets;
    if (!dtls_ && state_ == State::associating && packets.size() == 1)
        packets.pad_init(least_greeting);
    std::size_t used = 0;
    std::size_t segment = 0;
    Ecn ecn = Ecn::not_ect;
    for (std::size_t count = 0; !packets.empty() && count < options_.transport.run_limit; ++count) {
        const auto packet = packets.front();
        if (dtls_ && dtls_->progress() != crypto::DtlsSession::Progress::complete) {
            packets.pop();
            continue;
        }
        const std::size_t size = packet.size() + overhead_;
        if (count > 0 && (size > segment || packets.ecn() != ecn)) break;
        if (space.size() - used < size) break;
        if (count == 0) segment = size, ecn = packets.ecn();
        if (options_.wire_port != 0) put16(packet, 0, options_.wire_port);
        std::copy_n(packet.begin(), header_.size(), header_.begin());
        limit_streams(packet, first_streams(options_.transport));
        const std::size_t written = put(packet, space.subspan(used));
        packets.pop();
        if (written == 0) continue;
        used += written;
        ++packets_sent_;
        if (size < segment) break;
    }
    if (used == 0) return {};
    return run_of(space.first(used), segment, ecn);
}

// As it leaves: its size there; 0: it cannot.
std::size_t Connection::put(std::span<std::byte> packet, std::span<std::byte> space) {
    write_checksum(packet);
    if (dtls_) return dtls_->seal(packet, space);
    std::memcpy(space.data(), packet.data(), packet.size());
    return packet.size();
}

Datagrams Connection::run_of(std::span<const std::byte> bytes, std::size_t segment, Ecn ecn) {
    bytes_sent_ += bytes.size();
    marked_ |= ecn == Ecn::ect0;
    return {options_.local, options_.remote, ecn, segment, bytes};
}

void Connection::poll_events(std::vector<Event>& events) {
    if (line_.news || (unread_ && channels_.has_room())) read();
    channels_.inbox().drain(events);
}

Instant Connection::ping_at() const { return later(std::max(heard_, pinged_), ping_every()); }

Instant Connection::deadline() const {
    if (state_ == State::over || state_ == State::closing) return never;
    const Limits& limits = options_.transport.limits;
    Instant at = waits() ? started_ + limits.handshake_timeout : heard_ + limits.idle_timeout;
    if (state_ == State::established) at = std::min({at, ping_at(), search_.deadline()});
    return dtls_ ? std::min(at, dtls_->deadline()) : at;
}

// Views.

std::uint64_t Connection::send_window(CarrierId carrier) const {
    return state_ == State::established ? channels_.send_window(carrier) : 0;
}

// RFC 7627 is required, so that no other handshake has the same secrets (RFC 5705, 4).
std::optional<ContinuityKey> Connection::continuity_key(const AssociationName& association) const {
    if (!dtls_) return std::nullopt;
    const auto context = std::as_bytes(std::span(association));
    return crypto::continuity_key(dtls_->exporter(crypto::continuity_label, context, 32));
}

std::optional<ContinuityProof> Connection::prove(const ContinuityKey& key, Role role,
                                                 std::uint64_t epoch) const {
    if (!dtls_) return std::nullopt;
    return crypto::continuity_proof(
        key, dtls_->exporter(crypto::continuity_label, std::nullopt, 32), role, epoch);
}

bool Connection::quiet() const { return channels_.quiet() && line_.packets.empty(); }

}  // namespace post::sctp
