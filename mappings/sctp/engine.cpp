// Where usrsctp is begun, ended, and called back from.
#include "mappings/sctp/engine.hpp"

#include <algorithm>
#include <mutex>

#include <post/error.hpp>

#include "mappings/sctp/native.hpp"
#include "mappings/sctp/packet.hpp"

namespace post::sctp {

namespace {

thread_local Engine* current = nullptr;

constexpr std::uint64_t number_mask = (std::uint64_t{1} << Engine::number_bits) - 1;

Ecn ecn_of(std::uint8_t tos) { return static_cast<Ecn>(tos & 3); }

// Numbers that are the same for the whole process. What is ours alone is set at each socket.
void set_defaults() {
    usrsctp_enable_crc32c_offload();
    // Nothing is answered to packets of no association, but an INIT where somebody listens.
    usrsctp_sysctl_set_sctp_blackhole(2);
    usrsctp_sysctl_set_sctp_asconf_enable(0);
    usrsctp_sysctl_set_sctp_auto_asconf(0);
    usrsctp_sysctl_set_sctp_auth_enable(0);
    usrsctp_sysctl_set_sctp_nrsack_enable(0);
    usrsctp_sysctl_set_sctp_pktdrop_enable(0);
    usrsctp_sysctl_set_sctp_max_chunks_on_queue(4096);
    usrsctp_sysctl_set_sctp_initial_cwnd(10);
    // Silence ends an association, and not bad luck.
    usrsctp_sysctl_set_sctp_max_retran_chunk(0);
    usrsctp_sysctl_set_sctp_max_burst_default(0);
    usrsctp_sysctl_set_sctp_fr_max_burst_default(0);
    usrsctp_sysctl_set_sctp_use_cwnd_based_maxburst(0);
}

}  // namespace

// What all Engines of the process share.
struct Process {
    static Process& get() {
        // Lives as long as the process: usrsctp's state does.
        static auto* process = new Process;
        return *process;
    }

    std::uint64_t join(Engine& engine) {
        const std::lock_guard life(lifecycle);
        if (!running) {
            usrsctp_init_nothreads(0, &on_output, nullptr);
            set_defaults();
            running = true;
        }
        if (++count == 1) ticked = not_yet;
        const std::lock_guard lock(mutex);
        const auto free = std::find(engines.begin() + 1, engines.end(), nullptr);
        const auto index = static_cast<std::uint64_t>(free - engines.begin());
        if (free == engines.end()) engines.push_back(nullptr);
        engines[index] = &engine;
        return index;
    }

    void leave(std::uint64_t index) {
        const std::lock_guard life(lifecycle);
        {
            const std::lock_guard lock(mutex);
            engines[index] = nullptr;
        }
        if (--count > 0) return;
        // What is closed may need its timers to be gone. Whatever stays is nobody's, and serves
        // the next Engine as well.
        for (int rounds = 0; rounds < 10; ++rounds) {
            if (usrsctp_finish() == 0) {
                running = false;
                return;
            }
            usrsctp_handle_timers(1000);
        }
    }

    std::uint16_t open_port() {
        const std::lock_guard lock(mutex);
        const auto free = std::find(ports.begin() + 1, ports.end(), false);
        const auto port = static_cast<std::uint16_t>(free - ports.begin());
        if (port >= Engine::first_client_port)
            throw Failure(Error(Errc::too_many, {}, Stage::call, "SCTP listeners of this process"));
        if (free == ports.end()) ports.push_back(false);
        ports[port] = true;
        return port;
    }

    void close_port(std::uint16_t port) {
        const std::lock_guard lock(mutex);
        ports[port] = false;
    }

    // Only enqueues: usrsctp holds its own locks. It never hears of errors, so that a socket that
    // refuses one packet does not stall an association: what is lost is sent again.
    static int on_output(void* address, void* packet, std::size_t size, std::uint8_t tos,
                         std::uint8_t) {
        get().dispatch(address, {static_cast<const std::byte*>(packet), size}, ecn_of(tos));
        return 0;
    }

    void dispatch(void* address, std::span<const std::byte> packet, Ecn ecn) {
        const auto line = reinterpret_cast<std::uintptr_t>(address);
        const std::uint64_t index = line >> Engine::number_bits;
        const std::uint64_t number = line & number_mask;
        if (current && current->index_ == index) return current->take(number, packet, ecn);
        const std::lock_guard lock(mutex);
        Engine* engine = index < engines.size() ? engines[index] : nullptr;
        if (!engine) return;
        engine->foreign_.push_back({number, {packet.begin(), packet.end()}, ecn});
        if (!engine->foreign_waits_.exchange(true)) engine->wake_();
    }

    std::mutex lifecycle;  // of usrsctp: of all below
    std::size_t count = 0;
    bool running = false;
    std::mutex mutex;                       // also of what Engines have in foreign_
    std::vector<Engine*> engines{nullptr};  // nobody has number 0
    std::vector<bool> ports{true};          // of listeners; nobody has number 0
    std::mutex timers;                      // held by whoever runs them
    static constexpr Instant not_yet = Instant::min();
    std::atomic<Instant> ticked = not_yet;
};

Engine::Entry::Entry(Engine& engine) : before_(std::exchange(current, &engine)) {}
Engine::Entry::~Entry() { current = before_; }

Engine::Engine(Function<void()> wake) : wake_(std::move(wake)) {
    index_ = Process::get().join(*this);
}

Engine::~Engine() { Process::get().leave(index_); }

Line& Engine::open_line(TransientId transient) { return open_line(next_number_++, transient); }

Line& Engine::open_line(std::uint64_t number, TransientId transient) {
    auto& line = lines_[number];
    line = std::make_unique<Line>();
    line->id = id_of(number);
    line->transient = transient;
    usrsctp_register_address(reinterpret_cast<void*>(line->id.value()));
    return *line;
}

Line* Engine::find(std::uint64_t number) {
    const auto at = lines_.find(number);
    return at == lines_.end() ? nullptr : at->second.get();
}

void Engine::close_line(Line& line) {
    usrsctp_deregister_address(reinterpret_cast<void*>(line.id.value()));
    lines_.erase(line.id.value() & number_mask);
}

std::uint16_t Engine::open_port() { return Process::get().open_port(); }

void Engine::close_port(std::uint16_t port) { Process::get().close_port(port); }

void Engine::input(LineId line, std::span<const std::byte> packet, Ecn ecn) {
    if (!parameters_fit(packet)) return;
    const Entry entry(*this);
    stranger_ = line.value() & number_mask;
    usrsctp_conninput(reinterpret_cast<void*>(line.value()), packet.data(), packet.size(),
                      static_cast<std::uint8_t>(ecn));
    stranger_ = 0;
}

void Engine::on_upcall(struct socket*, void* line, int) { Process::get().dispatch(line, {}, {}); }

void Engine::take(std::uint64_t number, std::span<const std::byte> packet, Ecn ecn) {
    Line* line = find(number);
    if (line) touch(*line);
    if (packet.empty()) return;
    // Without a line only the answer to the packet at hand is for anybody.
    if (!line && number != stranger_) return;
    if (!line) return strays_.push(packet, ecn, 0);
    if (!line->sent.count(packet)) return line->packets.push(packet, ecn, line->joined);
    // Without a mark, for a path that drops what is marked.
    line->sent_again = true;
    line->packets.push(packet, Ecn::not_ect, line->joined_again);
}

void Engine::touch(Line& line) {
    line.news = true;
    if (std::exchange(line.touched, true)) return;
    touched_.push_back(line.id.value() & number_mask);
}

void Engine::take_foreign() {
    if (!foreign_waits_.load(std::memory_order_relaxed)) return;
    std::vector<Foreign> taken;
    {
        const std::lock_guard lock(Process::get().mutex);
        taken.swap(foreign_);
        foreign_waits_.store(false);
    }
    for (const Foreign& one : taken)
        if (find(one.number)) take(one.number, one.packet, one.ecn);
}

void Engine::tick(Instant now) {
    take_foreign();
    if (lines_.empty()) return;
    Process& process = Process::get();
    // Whoever holds it runs the timers of all.
    const std::unique_lock lock(process.timers, std::try_to_lock);
    if (!lock) return;
    const Instant last = process.ticked;
    if (last == Process::not_yet || last > now) {
        process.ticked = now;
        return;
    }
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - last);
    if (elapsed < tick_interval) return;
    process.ticked = last + elapsed;
    const Entry entry(*this);
    usrsctp_handle_timers(static_cast<std::uint32_t>(elapsed.count()));
}

Instant Engine::deadline() const {
    if (foreign_waits_.load(std::memory_order_relaxed)) return Instant::min();
    if (lines_.empty()) return never;
    const Instant last = Process::get().ticked;
    return last == Process::not_yet ? Instant::min() : last + tick_interval;
}

void Engine::poll_touched(std::vector<TransientId>& touched) {
    for (std::uint64_t number : touched_) {
        Line* line = find(number);
        if (!line) continue;
        line->touched = false;
        touched.push_back(line->transient);
    }
    touched_.clear();
}

}  // namespace post::sctp
