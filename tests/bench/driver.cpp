// The ways of turning, and the alarm that ends a measurement.
#include "driver.hpp"

#include <signal.h>
#include <sys/time.h>

#include <cmath>
#include <stdexcept>

namespace post::bench {

namespace {

Driver* alarmed = nullptr;

void on_alarm(int) {
    if (alarmed) alarmed->stop();
}

void set_alarm(double seconds) {
    itimerval timer{};
    timer.it_value.tv_sec = static_cast<time_t>(seconds);
    timer.it_value.tv_usec = static_cast<suseconds_t>(std::fmod(seconds, 1.0) * 1e6) + 1;
    ::setitimer(ITIMER_REAL, &timer, nullptr);
}

}  // namespace

void Driver::run() {
    stopped_ = false;
    turn_until_stopped();
}

void Driver::run_for(double seconds) {
    stopped_ = false;
    alarmed = this;
    ::signal(SIGALRM, on_alarm);
    set_alarm(seconds);
    turn_until_stopped();
    alarmed = nullptr;
}

void Driver::turn_until_stopped() {
    if (waiting_ == Waiting::busy) {
        while (!stopped_) context_.turn();
        return;
    }
    context_.run();
    if (!stopped_) throw std::runtime_error("the connection ended before the measurement did");
}

void Driver::stop() noexcept {
    stopped_ = true;
    if (waiting_ != Waiting::busy) context_.stop();
}

}  // namespace post::bench
