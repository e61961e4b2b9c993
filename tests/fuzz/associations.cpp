// Fuzz target for the core without a protocol: what two applications do with their associations
// comes from the data (tests/fake/association_play.hpp keeps the books and throws when they are
// wrong, which ends the fuzzer).
#include <cstdint>

#include "tests/fake/association_play.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 4096) return 0;
    post::test::AssociationPlay play(std::as_bytes(std::span(data, size)));
    play.run();
    return 0;
}
