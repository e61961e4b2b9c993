// Stopwatch: processor time of this program, for bounds on what an attack costs. The wall clock
// stands still in these tests, and other programs do not count.
#pragma once

#include <sys/resource.h>

namespace post::test {

class Stopwatch {
public:
    double seconds() const { return used() - began_; }

private:
    static double used() {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
    }
    double began_ = used();
};

}  // namespace post::test
