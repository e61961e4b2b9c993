// The options of a socket of usrsctp, and its notifications.
#include "mappings/sctp/socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include <post/error.hpp>

#include "mappings/sctp/native.hpp"
#include "mappings/sctp/packet.hpp"

namespace post::sctp {

namespace {

// Milliseconds, for the paths of today; RFC 9260's seconds are for those of its time. The least is
// above what a peer may wait with its SACK; and where much is lost no round trip can be measured,
// so that the most is what counts.
constexpr std::uint32_t least_retransmission = 220;
constexpr std::uint32_t first_retransmission = 500;
constexpr std::uint32_t most_retransmission = 1000;
// The idle timeout of the connection ends it before these do.
constexpr std::uint16_t most_attempts = 100;
// A plain peer's messages are given out in parts from here on: when all of the buffer is parts of
// messages on many streams, none of them becomes whole any more.
constexpr std::uint32_t parts_from = 1200;
constexpr std::uint32_t sack_delay = 20;  // milliseconds

sockaddr_conn address_of(LineId line, std::uint16_t port) {
    sockaddr_conn address{};
    address.sconn_family = AF_CONN;
    address.sconn_port = htons(port);
    address.sconn_addr = reinterpret_cast<void*>(line.value());
    return address;
}

sockaddr* generic(sockaddr_conn& address) { return reinterpret_cast<sockaddr*>(&address); }

template <class Event> Event read(std::span<const std::byte> bytes) {
    Event event{};
    std::memcpy(&event, bytes.data(), std::min(sizeof(Event), bytes.size()));
    return event;
}

std::vector<StreamId> streams_of(std::span<const std::byte> bytes) {
    std::vector<StreamId> streams(bytes.size() / sizeof(StreamId));
    std::memcpy(streams.data(), bytes.data(), streams.size() * sizeof(StreamId));
    return streams;
}

// The ABORT chunk's cause (RFC 9260, 3.3.10.12: User-Initiated Abort), what the peer's user said.
std::vector<std::byte> user_reason(std::span<const std::byte> chunk) {
    constexpr std::uint16_t user_initiated = 12;
    for (std::size_t at = chunk_header; chunk.size() >= at + 4;) {
        const std::size_t size = get16(chunk, at + 2);
        if (size < 4 || chunk.size() - at < size) break;
        const auto body = chunk.subspan(at + 4, size - 4);
        if (get16(chunk, at) == user_initiated) return {body.begin(), body.end()};
        at += (size + 3) & ~std::size_t{3};
    }
    return {};
}

template <class Value> int set(struct socket* native, int option, const Value& value) {
    return usrsctp_setsockopt(native, IPPROTO_SCTP, option, &value,
                              static_cast<socklen_t>(sizeof value));
}

void set_up(struct socket* native, const SocketOptions& options) {
    usrsctp_set_non_blocking(native, 1);
    const int buffer = static_cast<int>(options.buffer);
    usrsctp_setsockopt(native, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    usrsctp_setsockopt(native, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);

    sctp_initmsg init{};
    init.sinit_num_ostreams = options.out_streams;
    init.sinit_max_instreams = options.in_streams;
    init.sinit_max_attempts = most_attempts;
    init.sinit_max_init_timeo = most_retransmission;
    set(native, SCTP_INITMSG, init);
    sctp_rtoinfo times{};
    times.srto_initial = first_retransmission;
    times.srto_max = most_retransmission;
    times.srto_min = least_retransmission;
    set(native, SCTP_RTOINFO, times);
    sctp_assocparams association{};
    association.sasoc_asocmaxrxt = most_attempts;
    set(native, SCTP_ASSOCINFO, association);
    sctp_sack_info sack{};
    sack.sack_delay = sack_delay;
    sack.sack_freq = 2;
    set(native, SCTP_DELAYED_SACK, sack);
    set(native, SCTP_NODELAY, 1);
    // Parts of messages of different streams may come between each other (RFC 8260).
    set(native, SCTP_FRAGMENT_INTERLEAVE, 2);
    sctp_assoc_value on{};
    on.assoc_value = 1;
    set(native, option_interleaving_supported, on);
    // Whole messages where they are not larger than this.
    set(native, SCTP_PARTIAL_DELIVERY_POINT, static_cast<std::uint32_t>(options.buffer / 4));
    sctp_assoc_value reset{};
    reset.assoc_value = SCTP_ENABLE_RESET_STREAM_REQ | SCTP_ENABLE_CHANGE_ASSOC_REQ;
    set(native, SCTP_ENABLE_STREAM_RESET, reset);
    set(native, SCTP_RECVRCVINFO, 1);
    if (options.adaptation != 0)
        set(native, SCTP_ADAPTATION_LAYER, sctp_setadaptation{options.adaptation});
    for (int type : {SCTP_ASSOC_CHANGE, SCTP_ADAPTATION_INDICATION, SCTP_STREAM_RESET_EVENT,
                     SCTP_STREAM_CHANGE_EVENT, SCTP_SENDER_DRY_EVENT, SCTP_SEND_FAILED_EVENT,
                     SCTP_PARTIAL_DELIVERY_EVENT}) {
        sctp_event event{};
        event.se_assoc_id = SCTP_ALL_ASSOC;
        event.se_on = 1;
        event.se_type = static_cast<std::uint16_t>(type);
        set(native, SCTP_EVENT, event);
    }
}

struct socket* make(const SocketOptions& options, sockaddr_conn local) {
    struct socket* native = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, nullptr, nullptr, 0,
                                           nullptr);
    if (!native) throw std::bad_alloc();
    set_up(native, options);
    if (usrsctp_bind(native, generic(local), sizeof local) == 0) return native;
    const std::error_code code(errno, std::generic_category());
    usrsctp_close(native);
    throw Failure(Error(Errc::unsupported, code, Stage::connect, "SCTP cannot bind its line"));
}

}  // namespace

Socket::Socket(Engine& engine, Line& line, const SocketOptions& options)
    : engine_(engine), line_(line), options_(options) {
    const Engine::Entry entry(engine_);
    native_ = make(options, address_of(line_.id, options.local_port));
    hear();
}

Socket::Socket(Engine& engine, Line& line, const SocketOptions& options, struct socket* accepted)
    : engine_(engine), line_(line), options_(options), native_(accepted) {
    const Engine::Entry entry(engine_);
    set_up(native_, options);
    packet_size(options.packet);
    hear();
}

void Socket::hear() {
    usrsctp_set_upcall(native_, &Engine::on_upcall, reinterpret_cast<void*>(line_.id.value()));
}

struct socket* Socket::listening(Engine& engine, const Line* line, const SocketOptions& options,
                                 int backlog) {
    const Engine::Entry entry(engine);
    struct socket* native = make(options,
                                 address_of(line ? line->id : LineId{}, options.local_port));
    usrsctp_listen(native, backlog);
    return native;
}

struct socket* Socket::accept(Engine& engine, struct socket* listening) {
    const Engine::Entry entry(engine);
    return usrsctp_accept(listening, nullptr, nullptr);
}

void Socket::close(Engine& engine, struct socket* native) {
    const Engine::Entry entry(engine);
    // Not to wait for a peer that may never answer.
    linger never_linger{1, 0};
    usrsctp_setsockopt(native, SOL_SOCKET, SO_LINGER, &never_linger, sizeof never_linger);
    usrsctp_set_upcall(native, nullptr, nullptr);
    usrsctp_close(native);
}

Socket::~Socket() { close(engine_, native_); }

void Socket::connect() {
    const Engine::Entry entry(engine_);
    packet_size(options_.packet);
    auto remote = address_of(line_.id, options_.remote_port);
    usrsctp_connect(native_, generic(remote), sizeof remote);
    packet_size(options_.packet);
}

void Socket::take_parts() {
    const Engine::Entry entry(engine_);
    set(native_, SCTP_EXPLICIT_EOR, 1);
    set(native_, SCTP_PARTIAL_DELIVERY_POINT, parts_from);
}

std::size_t Socket::send(const Label& label, std::span<const std::byte> bytes) {
    const Engine::Entry entry(engine_);
    sctp_sendv_spa how{};
    how.sendv_flags = SCTP_SEND_SNDINFO_VALID;
    how.sendv_sndinfo.snd_sid = label.stream;
    how.sendv_sndinfo.snd_ppid = htonl(label.ppid);
    how.sendv_sndinfo.snd_context = label.context;
    how.sendv_sndinfo.snd_flags = static_cast<std::uint16_t>(
        SCTP_EOR | (label.unordered ? SCTP_UNORDERED : 0));
    if (label.retransmissions || label.lifetime) {
        how.sendv_flags |= SCTP_SEND_PRINFO_VALID;
        how.sendv_prinfo.pr_policy = label.lifetime ? SCTP_PR_SCTP_TTL : SCTP_PR_SCTP_RTX;
        how.sendv_prinfo.pr_value = label.lifetime ? *label.lifetime : *label.retransmissions;
    }
    const auto sent = usrsctp_sendv(native_, bytes.data(), bytes.size(), nullptr, 0, &how,
                                    sizeof how, SCTP_SENDV_SPA, 0);
    if (sent >= 0) {
        given_ += static_cast<std::uint64_t>(sent);
        return static_cast<std::size_t>(sent);
    }
    // What cannot be sent at all goes nowhere: the notice that the association is gone follows.
    const bool later = errno == EWOULDBLOCK || errno == ENOBUFS || errno == EMSGSIZE;
    return later ? 0 : bytes.size();
}

Socket::Received Socket::receive(std::span<std::byte> space) {
    const Engine::Entry entry(engine_);
    for (;;) {
        if (closed_) return std::monostate{};
        sctp_rcvinfo info{};
        socklen_t info_size = sizeof info;
        unsigned info_type = 0;
        int flags = 0;
        sockaddr_conn from{};
        socklen_t from_size = sizeof from;
        const auto size = usrsctp_recvv(native_, space.data(), space.size(), generic(from),
                                        &from_size, &info, &info_size, &info_type, &flags);
        if (size < 0) {
            closed_ = errno != EWOULDBLOCK && errno != EINTR;
            if (!closed_) return std::monostate{};
            return Notice(notice::Down{});
        }
        const auto bytes = std::span<const std::byte>(space).first(static_cast<std::size_t>(size));
        if (flags & MSG_NOTIFICATION) {
            if (auto notice = decode(bytes)) return std::move(*notice);
            continue;
        }
        if (size == 0) {  // the end of the stream of messages: nothing has no length
            closed_ = true;
            return Notice(notice::Down{.in_order = true});
        }
        Message message;
        message.label.stream = info.rcv_sid;
        message.label.ppid = ntohl(info.rcv_ppid);
        message.label.unordered = (info.rcv_flags & SCTP_UNORDERED) != 0;
        message.bytes = bytes;
        message.last = (flags & MSG_EOR) != 0;
        return message;
    }
}

std::optional<Notice> Socket::decode(std::span<const std::byte> bytes) {
    const auto header = read<sctp_notification::sctp_tlv>(bytes);
    switch (header.sn_type) {
        case SCTP_ASSOC_CHANGE: {
            const auto change = read<sctp_assoc_change>(bytes);
            if (change.sac_state == SCTP_COMM_UP || change.sac_state == SCTP_RESTART)
                return notice::Up{change.sac_outbound_streams, change.sac_inbound_streams};
            closed_ = true;
            notice::Down down;
            down.in_order = change.sac_state == SCTP_SHUTDOWN_COMP;
            constexpr std::size_t info = offsetof(sctp_assoc_change, sac_info);
            if (bytes.size() > info) {
                down.by_peer = true;
                down.reason = user_reason(bytes.subspan(info));
            }
            return down;
        }
        case SCTP_ADAPTATION_INDICATION:
            return notice::Adaptation{read<sctp_adaptation_event>(bytes).sai_adaptation_ind};
        case SCTP_STREAM_RESET_EVENT: {
            const auto event = read<sctp_stream_reset_event>(bytes);
            constexpr std::size_t list = offsetof(sctp_stream_reset_event, strreset_stream_list);
            notice::Reset reset;
            reset.incoming = (event.strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN) != 0;
            reset.failed = (event.strreset_flags &
                            (SCTP_STREAM_RESET_DENIED | SCTP_STREAM_RESET_FAILED)) != 0;
            if (bytes.size() > list) reset.streams = streams_of(bytes.subspan(list));
            return reset;
        }
        case SCTP_STREAM_CHANGE_EVENT: {
            const auto event = read<sctp_stream_change_event>(bytes);
            constexpr auto failed = SCTP_STREAM_CHANGE_DENIED | SCTP_STREAM_CHANGE_FAILED;
            return notice::Streams{event.strchange_outstrms, event.strchange_instrms,
                                   (event.strchange_flags & failed) != 0};
        }
        case SCTP_SENDER_DRY_EVENT:
            given_ = line_.sent.bytes();  // what was given up unsent does not wait any more
            return notice::Dry{};
        case SCTP_SEND_FAILED_EVENT:
            return notice::Failed{read<sctp_send_failed_event>(bytes).ssfe_info.snd_context};
        case SCTP_PARTIAL_DELIVERY_EVENT: {
            const auto event = read<sctp_pdapi_event>(bytes);
            return notice::Cut{static_cast<StreamId>(event.pdapi_stream)};
        }
        default: return std::nullopt;
    }
}

bool Socket::reset_streams(std::span<const StreamId> streams) {
    const Engine::Entry entry(engine_);
    std::vector<std::byte> space(sizeof(sctp_reset_streams) + streams.size_bytes());
    sctp_reset_streams reset{};
    reset.srs_flags = SCTP_STREAM_RESET_OUTGOING;
    reset.srs_number_streams = static_cast<std::uint16_t>(streams.size());
    std::memcpy(space.data(), &reset, sizeof reset);
    std::memcpy(space.data() + offsetof(sctp_reset_streams, srs_stream_list), streams.data(),
                streams.size_bytes());
    return usrsctp_setsockopt(native_, IPPROTO_SCTP, SCTP_RESET_STREAMS, space.data(),
                              static_cast<socklen_t>(space.size())) == 0;
}

bool Socket::add_streams(std::uint16_t count) {
    const Engine::Entry entry(engine_);
    sctp_add_streams add{};
    add.sas_outstrms = count;
    return set(native_, SCTP_ADD_STREAMS, add) == 0;
}

void Socket::abort(std::span<const std::byte> reason) {
    const Engine::Entry entry(engine_);
    sctp_sndinfo how{};
    how.snd_flags = SCTP_ABORT;
    constexpr std::byte nothing{};
    const void* data = reason.empty() ? &nothing : reason.data();
    usrsctp_sendv(native_, data, reason.size(), nullptr, 0, &how, sizeof how, SCTP_SENDV_SNDINFO,
                  0);
    closed_ = true;
}

void Socket::packet_size(std::size_t size) {
    const Engine::Entry entry(engine_);
    line_.joined = line_.joined_again = chunk_packet_ = size;
    sctp_paddrparams path{};
    auto remote = address_of(line_.id, options_.remote_port);
    std::memcpy(&path.spp_address, &remote, sizeof remote);
    path.spp_flags = SPP_PMTUD_DISABLE | SPP_HB_DISABLE;  // the connection pings when it wants to
    // A path that is given up carries nothing any more, and there is no other.
    path.spp_pathmaxrxt = most_attempts;
    // Without the common header, and whole words.
    path.spp_pathmtu = static_cast<std::uint32_t>((size - common_header) & ~std::size_t{3});
    set(native_, SCTP_PEER_ADDR_PARAMS, path);
}

void Socket::join_up_to(std::size_t size) {
    const Engine::Entry entry(engine_);
    line_.joined = std::max(size, line_.joined_again);
    chunk_packet_ = line_.joined_again;
    sctp_assoc_value content{};
    if (line_.joined > line_.joined_again) {
        // The headers of I-DATA, and what usrsctp takes off its own idea of them.
        constexpr std::size_t header = 20;
        constexpr std::size_t usrsctps = 16;
        const std::size_t sure = line_.joined_again - common_header;
        const std::size_t chunks = (line_.joined - common_header + sure - 1) / sure;
        const std::size_t chunk = (line_.joined - common_header) / chunks & ~std::size_t{3};
        chunk_packet_ = common_header + chunk;
        content.assoc_value = static_cast<std::uint32_t>(chunk - header - usrsctps);
    }
    set(native_, SCTP_MAXSEG, content);
}

void Socket::ping() {
    const Engine::Entry entry(engine_);
    sctp_paddrparams path{};
    auto remote = address_of(line_.id, options_.remote_port);
    std::memcpy(&path.spp_address, &remote, sizeof remote);
    path.spp_flags = SPP_HB_DEMAND;
    set(native_, SCTP_PEER_ADDR_PARAMS, path);
}

Socket::Status Socket::status() const {
    sctp_status native{};
    socklen_t size = sizeof native;
    Status status;
    if (usrsctp_getsockopt(native_, IPPROTO_SCTP, SCTP_STATUS, &native, &size) != 0) return status;
    status.unacked = native.sstat_unackdata;
    status.window = native.sstat_rwnd;
    status.congestion_window = native.sstat_primary.spinfo_cwnd;
    status.smoothed_rtt = std::chrono::milliseconds(native.sstat_primary.spinfo_srtt);
    status.retransmission = std::chrono::milliseconds(native.sstat_primary.spinfo_rto);
    return status;
}

}  // namespace post::sctp
