// The functions of the C library that tell time or give randomness, defined once more, so that the
// linker prefers these. Each passes on to the next definition (dlsym's RTLD_NEXT, which is the C
// library's or a sanitizer's) when no Scope is open or the question is about something else.
#include "tests/sim/ambient.hpp"
#include "tests/sim/calendar.hpp"

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <ctime>
#include <exception>
#include <thread>

#include <dlfcn.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

namespace post::sim::ambient {

namespace {

std::atomic<const Scope*> current = nullptr;

template <class F> F* next_definition(const char* name, F*) {
    return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

struct Split {
    std::int64_t seconds;
    std::int64_t nanoseconds;
};

Split monotonic(const Scope& scope) {
    const auto since = scope.now().time_since_epoch().count();
    return {since / 1'000'000'000, since % 1'000'000'000};
}

Split wall(const Scope& scope) {
    const auto since = (scope.now() - Timeline::start).count();
    return {wall_clock_start + scope.calendar() + since / 1'000'000'000, since % 1'000'000'000};
}

std::span<std::byte> bytes_at(void* data, std::size_t size) {
    return {static_cast<std::byte*>(data), size};
}

}  // namespace

Scope::Scope(const Timeline& timeline, std::uint64_t seed)
    : timeline_(timeline),
      random_(seed, std::uint64_t{1} << 63),
      outer_(current.exchange(this, std::memory_order_acq_rel)) {}

// Mostly it is the youngest; two Worlds of one story may go in any order.
Scope::~Scope() {
    const Scope* younger = current.load(std::memory_order_acquire);
    if (younger == this) current.store(outer_, std::memory_order_release);
    while (younger && younger->outer_ != this) younger = younger->outer_;
    if (younger) younger->outer_ = outer_;
}

void Scope::random(std::span<std::byte> bytes) const {
    const std::lock_guard lock(mutex_);
    random_.fill(bytes);
}

void apart(const std::function<void()>& story) {
    std::exception_ptr thrown;
    std::thread thread([&] {
        try {
            story();
        } catch (...) {
            thrown = std::current_exception();
        }
    });
    thread.join();
    if (thrown) std::rethrow_exception(thrown);
}

}  // namespace post::sim::ambient

namespace post::sim {

void set_calendar(std::chrono::seconds by) {
    // Scopes are never made const.
    const auto* scope = ambient::current.load(std::memory_order_acquire);
    if (scope) const_cast<ambient::Scope*>(scope)->set_calendar(by);
}

}  // namespace post::sim

namespace ambient = post::sim::ambient;

// The signatures are glibc's; `noexcept` is its __THROW.
extern "C" {

int clock_gettime(clockid_t clock, timespec* result) noexcept {
    static const auto next = ambient::next_definition("clock_gettime", &clock_gettime);
    const auto* scope = ambient::current.load(std::memory_order_acquire);
    if (!scope) return next(clock, result);
    switch (clock) {
        case CLOCK_REALTIME:
        case CLOCK_REALTIME_COARSE: {
            const auto [seconds, nanoseconds] = ambient::wall(*scope);
            *result = {.tv_sec = seconds, .tv_nsec = nanoseconds};
            return 0;
        }
        case CLOCK_MONOTONIC:
        case CLOCK_MONOTONIC_RAW:
        case CLOCK_MONOTONIC_COARSE:
        case CLOCK_BOOTTIME: {
            const auto [seconds, nanoseconds] = ambient::monotonic(*scope);
            *result = {.tv_sec = seconds, .tv_nsec = nanoseconds};
            return 0;
        }
        default: return next(clock, result);  // CPU time of processes and threads
    }
}

time_t time(time_t* result) noexcept {
    static const auto next = ambient::next_definition("time", &time);
    const auto* scope = ambient::current.load(std::memory_order_acquire);
    if (!scope) return next(result);
    const time_t now = ambient::wall(*scope).seconds;
    if (result) *result = now;
    return now;
}

int gettimeofday(timeval* result, void* zone) noexcept {
    static const auto next = ambient::next_definition("gettimeofday", &gettimeofday);
    const auto* scope = ambient::current.load(std::memory_order_acquire);
    if (!scope) return next(result, zone);
    const auto [seconds, nanoseconds] = ambient::wall(*scope);
    *result = {.tv_sec = seconds, .tv_usec = nanoseconds / 1000};  // declared never null
    return 0;
}

ssize_t getrandom(void* data, size_t size, unsigned flags) {
    static const auto next = ambient::next_definition("getrandom", &getrandom);
    const auto* scope = ambient::current.load(std::memory_order_acquire);
    if (!scope) return next(data, size, flags);
    scope->random(ambient::bytes_at(data, size));
    return static_cast<ssize_t>(size);
}

int getentropy(void* data, size_t size) {
    static const auto next = ambient::next_definition("getentropy", &getentropy);
    const auto* scope = ambient::current.load(std::memory_order_acquire);
    if (!scope) return next(data, size);
    if (size > 256) {
        errno = EIO;
        return -1;
    }
    scope->random(ambient::bytes_at(data, size));
    return 0;
}

// No system call has more than six arguments; to read six is what glibc's own syscall() does.
long syscall(long number, ...) noexcept {
    static const auto next = ambient::next_definition("syscall", &syscall);
    va_list list;
    va_start(list, number);
    long a[6];
    for (long& argument : a) argument = va_arg(list, long);
    va_end(list);
    const auto* scope = ambient::current.load(std::memory_order_acquire);
    if (number == SYS_getrandom && scope) {
        const auto size = static_cast<std::size_t>(a[1]);
        scope->random(ambient::bytes_at(reinterpret_cast<void*>(a[0]), size));
        return static_cast<long>(size);
    }
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

}  // extern "C"
