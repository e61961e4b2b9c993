// The seed of a test program. POST_SEED=n repeats a run byte for byte; a failing test prints it.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace post::test {

inline std::uint64_t seed() {
    const char* text = std::getenv("POST_SEED");
    return text ? std::strtoull(text, nullptr, 10) : 1;
}

}  // namespace post::test
