// Anchor: what handles hold of their Context. It is counted and outlives the Context; when that is
// gone both pointers are null and every call answers context_closed.
#pragma once

#include <cstdint>

namespace post::core {

class Carriers;
class Root;

class Anchor {
public:
    Carriers* carriers = nullptr;
    Root* root = nullptr;
    std::uint32_t count = 0;  // of handles; one thread, so no atomic
};

}  // namespace post::core
