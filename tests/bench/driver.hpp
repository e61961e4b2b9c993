// Driver: turns a Context in the way of waiting that is measured, until stop() or for a time.
#pragma once

#include <post/context.hpp>

#include "settings.hpp"

namespace post::bench {

// At most one at a time: it has the process's alarm.
class Driver {
public:
    Driver(Context& context, Waiting waiting) : context_(context), waiting_(waiting) {}

    // Until stop() is called from a callback. Throws std::runtime_error when the Context has
    // nothing left to do before that.
    void run();
    // For `seconds`, whatever happens; throws as run() does.
    void run_for(double seconds);
    void stop() noexcept;

private:
    void turn_until_stopped();

    Context& context_;
    Waiting waiting_;
    volatile bool stopped_ = false;
};

}  // namespace post::bench
