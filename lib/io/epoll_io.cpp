// EpollIo: the real Io.
#include "lib/io/epoll_io.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "lib/io/system.hpp"

namespace post::io {
namespace {

// What one turn takes from one socket: 64 datagrams by themselves, or 8 runs that GRO has joined,
// which are up to 64 KiB each.
constexpr std::size_t turn_budget = 64;
constexpr std::size_t cost_of_datagram = 1;
constexpr std::size_t cost_of_run = 8;

// A socket that brought one run and nothing behind it so many times is only asked for more every
// eighth time: being told that there is nothing takes a system call while an answer waits. What
// did come meanwhile epoll tells in the next turn.
constexpr unsigned lonely_until_asked = 8;
constexpr unsigned asked_every = 8;
constexpr Duration others_after = std::chrono::microseconds(20);

// What one turn takes from all sockets. Only as much of it is ever touched as came in one turn.
constexpr std::size_t arena_size = 2 * 1024 * 1024;
// Each run begins on a cache line.
constexpr std::size_t arena_step = 64;

// ENOBUFS: a queue below the socket is full, and no event says when it is not. A millisecond drains
// 125 kB at 1 Gbit/s, or one large run at half of that.
constexpr Duration pause_without_memory = std::chrono::milliseconds(1);

constexpr std::size_t most_errors = 64;  // of one socket in one turn
constexpr std::size_t most_events = 64;  // of one call of epoll
// Runs of neighbours' in one turn.
constexpr std::size_t most_passed = 8;
constexpr std::uint64_t wake_data = ~std::uint64_t{0} >> 1;
constexpr std::uint64_t interfaces_data = wake_data - 1;

int checked(int fd, const char* what) {
    if (fd >= 0) return fd;
    Error error(last_error());
    error.stage = Stage::call;
    error.detail = what;
    throw Failure(error);
}

Instant read_clock() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return Instant(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

// `precise`: whether the system is asked for nanoseconds; it may not have that.
int sleep_on(int epoll, epoll_event* events, Duration timeout, bool& precise) {
    const int most = static_cast<int>(most_events);
    if (timeout <= Duration::zero())
        return epoll_wait(epoll, events, most, timeout < Duration::zero() ? -1 : 0);
    if (precise) {
        timespec time{};
        time.tv_sec = static_cast<time_t>(timeout / std::chrono::seconds(1));
        time.tv_nsec = static_cast<long>((timeout % std::chrono::seconds(1)).count());
        const int count = epoll_pwait2(epoll, events, most, &time, nullptr);
        if (count >= 0 || errno == EINTR) return count;
        // Before Linux 5.11 (ENOSYS), and in some sandboxes (EPERM).
        precise = false;
    }
    // Milliseconds, rounded up.
    const auto ms = (std::min<Duration>(timeout, std::chrono::hours(1)).count() + 999'999) /
                    1'000'000;
    return epoll_wait(epoll, events, most, static_cast<int>(ms));
}

}  // namespace

EpollIo::EpollIo(const EpollOptions& options)
    : options_(options),
      epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_(checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")),
      resolver_(epoll_.get(), {.servers = options.name_servers,
                               .domains = options.name_domains,
                               .hosts_file = options.hosts_file,
                               .trusted = options.trust_name_servers,
                               .public_only = options.public_names_only,
                               .timeout = options.name_timeout}),
      tcp_(epoll_.get()),
      interfaces_(epoll_.get(), interfaces_data),
      gso_(options.gso && UdpSocket::has_gso()),
      arena_(new std::byte[arena_size]) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = wake_data;
    checked(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event), "epoll_ctl");
    received_.reserve(turn_budget);
    now_ = read_clock();
}

Instant EpollIo::now() { return now_ = read_clock(); }

std::chrono::sys_seconds EpollIo::wall_time() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

void EpollIo::random(std::span<std::byte> bytes) {
    if (bytes.size() > noise_.size()) return fill(bytes);
    if (noise_.size() - used_noise_ < bytes.size()) {
        fill(noise_);
        used_noise_ = 0;
    }
    const auto given = std::span(noise_).subspan(used_noise_, bytes.size());
    std::copy(given.begin(), given.end(), bytes.begin());
    std::fill(given.begin(), given.end(), std::byte{});  // whoever has it has it alone
    used_noise_ += bytes.size();
}

void EpollIo::fill(std::span<std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t size = getrandom(bytes.data(), bytes.size(), 0);
        if (size < 0 && errno == EINTR) continue;
        checked(size < 0 ? -1 : 0, "getrandom");
        bytes = bytes.subspan(static_cast<std::size_t>(size));
    }
}

Result<SocketId> EpollIo::open_udp(const UdpOptions& options) {
    const SocketId id{++last_id_};
    auto opened = UdpSocket::open(id, {.local = options.local,
                                       .reuse_port = options.share.of > 1,
                                       .gso = gso_,
                                       .gro = options_.gro,
                                       .ecn = options_.ecn,
                                       .send_buffer = options_.send_buffer,
                                       .receive_buffer = options_.receive_buffer,
                                       .datagrams = options.datagrams,
                                       .outlet = options.outlet});
    if (!opened) return opened.error();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = id.value();
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, opened->fd(), &event) != 0)
        return Error(Errc::too_many, last_error(), Stage::call, "watching a UDP socket");
    Entry entry{std::move(*opened)};
    if (options.share.of > 1) {
        auto neighbours = Neighbours::open(entry.socket.local(), options.share.index);
        if (!neighbours) return neighbours.error();
        if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, neighbours->fd(), &event) != 0)
            return Error(Errc::too_many, last_error(), Stage::call, "watching a socket");
        entry.neighbours.emplace(std::move(*neighbours));
    }
    sockets_.emplace(id, std::move(entry));
    return id;
}

Result<SocketId> EpollIo::connect_tcp(const TcpOptions& options, const Address& remote) {
    return tcp_.connect(options, remote);
}

Result<SocketId> EpollIo::listen_tcp(const TcpOptions& options) { return tcp_.listen(options); }

Address EpollIo::local_address(SocketId socket) const {
    if (TcpSockets::has(socket)) return tcp_.local_address(socket);
    const auto found = sockets_.find(socket);
    return found == sockets_.end() ? Address{} : found->second.socket.local();
}

bool EpollIo::bound(SocketId socket) const {
    if (TcpSockets::has(socket)) return tcp_.bound(socket);
    const auto found = sockets_.find(socket);
    return found == sockets_.end() || found->second.socket.bound();
}

void EpollIo::close(SocketId socket) {
    if (TcpSockets::has(socket)) return tcp_.close(socket, now_);
    const auto found = sockets_.find(socket);
    if (found == sockets_.end()) return;
    // One chance for what waits, such as the last flight of a connection; then it is lost.
    found->second.socket.flush(troubles_);
    // The ids that stand in ready_ and paused_ are passed over when their turn comes: no id is
    // used twice.
    sockets_.erase(found);
}

std::span<const Io::Received> EpollIo::receive() {
    if (!std::exchange(harvested_, false)) look();
    if (now_ >= resume_at_) resume_paused();
    resolver_.handle_timeout(now_);

    received_.clear();
    used_ = 0;
    turn_.swap(ready_);
    std::size_t done = 0;
    std::size_t unfinished = 0;
    while (done < turn_.size() && arena_size - used_ >= UdpSocket::receive_space) {
        const SocketId id = turn_[done++];
        Entry* entry = find(id);
        if (!entry) continue;
        const bool more = take(*entry);
        entry->ready = take_passed(*entry) || more;
        if (entry->ready) turn_[unfinished++] = id;
    }
    // Those that had no chance come first in the next turn, then those that have more.
    if (done < turn_.size())
        ready_.insert(ready_.end(), turn_.begin() + static_cast<std::ptrdiff_t>(done), turn_.end());
    if (unfinished > 0)
        ready_.insert(ready_.end(), turn_.begin(),
                      turn_.begin() + static_cast<std::ptrdiff_t>(unfinished));
    turn_.clear();
    tcp_.receive(now_, received_);
    writable_.swap(turned_);
    turned_.clear();
    tcp_.poll_writable(writable_);
    return received_;
}

// Whoever never sleeps asks the socket that brings one datagram at a time itself: the answer is the
// datagram, where epoll's would be that there is one. The others wait no longer for it than they
// would for a turn with something to do.
void EpollIo::look() {
    Entry* const lonely = now_ - asked_ < others_after && ready_.empty() ? find(lonely_) : nullptr;
    if (!lonely) {
        harvest(Duration::zero());
    } else {
        lonely->ready = true;
        ready_.push_back(lonely_);
    }
}

// True when the socket may have more.
bool EpollIo::take(Entry& entry) {
    std::size_t spent = 0;
    std::size_t runs = 0;
    while (spent < turn_budget) {
        if (arena_size - used_ < UdpSocket::receive_space) return true;
        Datagrams run;
        switch (entry.socket.receive({arena_.get() + used_, arena_size - used_}, run)) {
            case UdpSocket::Receipt::nothing: entry.lonely += runs == 1; return false;
            case UdpSocket::Receipt::skipped: spent += cost_of_datagram; break;
            case UdpSocket::Receipt::run:
                used_ += (run.bytes.size() + arena_step - 1) / arena_step * arena_step;
                received_.push_back({entry.socket.id(), run});
                spent += run.count() > 1 ? cost_of_run : cost_of_datagram;
                if (++runs > 1)
                    entry.lonely = 0;
                else if (entry.lonely >= lonely_until_asked) {
                    lonely_ = entry.socket.id();
                    if (entry.lonely++ % asked_every != 0) return false;
                }
                break;
        }
    }
    return true;
}

// What neighbours handed over, a few runs a turn. True when there may be more.
bool EpollIo::take_passed(Entry& entry) {
    if (!entry.neighbours) return false;
    for (std::size_t i = 0; i < most_passed; ++i) {
        if (arena_size - used_ < UdpSocket::receive_space) return true;
        Datagrams run;
        switch (entry.neighbours->receive({arena_.get() + used_, arena_size - used_}, run)) {
            case Neighbours::Receipt::nothing: return false;
            case Neighbours::Receipt::skipped: break;
            case Neighbours::Receipt::run:
                used_ += (run.bytes.size() + arena_step - 1) / arena_step * arena_step;
                received_.push_back({entry.socket.id(), run});
                break;
        }
    }
    return true;
}

void EpollIo::pass(SocketId socket, std::uint16_t index, const Datagrams& datagrams) {
    if (Entry* entry = find(socket); entry && entry->neighbours)
        entry->neighbours->pass(index, datagrams);
}

std::vector<Io::Trouble> EpollIo::poll_troubles() {
    tcp_.poll_troubles(troubles_);
    return std::exchange(troubles_, {});
}

bool EpollIo::send(SocketId socket, const Datagrams& datagrams) {
    if (TcpSockets::has(socket)) return tcp_.send(socket, datagrams.bytes);
    Entry* entry = find(socket);
    if (!entry) return false;
    const bool taken = entry->socket.send(datagrams, troubles_);
    watch(*entry);
    return taken;
}

bool EpollIo::writable(SocketId socket) const {
    if (TcpSockets::has(socket)) return tcp_.writable(socket);
    const auto found = sockets_.find(socket);
    return found != sockets_.end() && found->second.socket.waiting() == UdpSocket::Waiting::no;
}

std::size_t EpollIo::run_limit(SocketId socket) const {
    const auto found = sockets_.find(socket);
    const bool gso = found == sockets_.end() ? gso_ : found->second.socket.gso();
    return gso ? UdpSocket::most_cut : UdpSocket::most_messages;
}

void EpollIo::lookup(const Lookup& lookup) { resolver_.lookup(lookup, now_); }

void EpollIo::cancel(LookupId lookup) { resolver_.cancel(lookup); }

std::vector<Io::Resolved> EpollIo::poll_resolved() { return resolver_.poll_resolved(); }

Instant EpollIo::deadline() const {
    return std::min({resume_at_, resolver_.deadline(), tcp_.deadline()});
}

void EpollIo::wait(Instant until) {
    until = std::min(until, deadline());
    const bool due = more_input() || harvested_ || std::exchange(woken_, false);
    if (due)
        harvest(Duration::zero());
    else if (!spin(until))
        harvest(until == never      ? Duration{-1}
                : until > Instant{} ? std::max(Duration::zero(), until - read_clock())
                                    : Duration::zero());
    woken_ = false;
    harvested_ = true;
}

// What comes soon is met awake: going to sleep and being woken takes longer than many a round trip.
// True when something came, or the time did.
bool EpollIo::spin(Instant until) {
    if (options_.spin <= Duration::zero() || until <= now_) return false;
    now_ = read_clock();
    for (const Instant end = std::min(until, now_ + options_.spin); now_ < end; now_ = read_clock())
        if (harvest(Duration::zero())) return true;
    return now_ >= until;
}

// Only what a signal handler may do; errno belongs to the code that was interrupted. The counter
// being full (EAGAIN) is as good as a write.
void EpollIo::wake() noexcept {
    const int kept = errno;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
    errno = kept;
}

bool EpollIo::harvest(Duration timeout) {
    std::array<epoll_event, most_events> events;
    const int count = sleep_on(epoll_.get(), events.data(), timeout, precise_);
    // A sleep ends later than the turn began; what is timed from here on wants the time of now.
    if (timeout != Duration::zero()) now_ = read_clock();
    asked_ = now_;
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        const std::uint64_t data = event.data.u64;
        if (data == wake_data) {
            std::uint64_t wakes = 0;
            woken_ = read(wake_.get(), &wakes, sizeof(wakes)) > 0 || woken_;
        } else if (data == interfaces_data) {
            interfaces_.handle_event();
        } else if (Resolver::is_event(data)) {
            resolver_.handle_event(data, event.events, now_);
        } else {
            handle_socket(SocketId{static_cast<std::uint32_t>(data)}, event.events);
        }
    }
    return count > 0;
}

void EpollIo::handle_socket(SocketId id, std::uint32_t events) {
    if (TcpSockets::has(id)) return tcp_.handle_event(id, events);
    Entry* entry = find(id);
    if (!entry) return;
    if ((events & EPOLLERR) != 0) entry->socket.drain_errors(troubles_, most_errors);
    if ((events & EPOLLIN) != 0 && !std::exchange(entry->ready, true)) ready_.push_back(id);
    if ((events & EPOLLOUT) != 0) flush(*entry);
}

void EpollIo::flush(Entry& entry) {
    entry.socket.flush(troubles_);
    watch(entry);
    if (entry.socket.waiting() == UdpSocket::Waiting::no) turned_.push_back(entry.socket.id());
}

void EpollIo::resume_paused() {
    resume_at_ = never;
    turn_.swap(paused_);
    for (const SocketId id : turn_) {
        Entry* entry = find(id);
        if (!entry) continue;
        entry->paused = false;
        flush(*entry);
    }
    turn_.clear();
}

void EpollIo::watch(Entry& entry) {
    const auto waiting = entry.socket.waiting();
    const bool for_room = waiting == UdpSocket::Waiting::for_room;
    if (for_room != entry.armed) {
        epoll_event event{};
        event.events = EPOLLIN | (for_room ? EPOLLOUT : 0u);
        event.data.u64 = entry.socket.id().value();
        epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, entry.socket.fd(), &event);
        entry.armed = for_room;
    }
    if (waiting == UdpSocket::Waiting::for_memory && !std::exchange(entry.paused, true)) {
        paused_.push_back(entry.socket.id());
        resume_at_ = std::min(resume_at_, now_ + pause_without_memory);
    }
}

EpollIo::Entry* EpollIo::find(SocketId id) {
    const auto found = sockets_.find(id);
    return found == sockets_.end() ? nullptr : &found->second;
}

}  // namespace post::io

namespace post {

std::unique_ptr<Io> make_epoll_io(const EpollOptions& options) {
    return std::make_unique<io::EpollIo>(options);
}

}  // namespace post
