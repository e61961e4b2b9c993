// RotatingSecret: what a server seals with so that it need not remember whom it has answered, and
// renews so that nobody has for ever to guess it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <post/function.hpp>
#include <post/time.hpp>

namespace post::crypto {

// Two secrets in turn.
class RotatingSecret {
public:
    using Random = Function<void(std::span<std::byte>)>;
    using Secret = std::array<std::uint8_t, 32>;

    explicit RotatingSecret(Duration period) : period_(period) {}

    // Renews what is too old. What was sealed up to one period ago can be opened afterwards.
    void rotate(Instant now, Random& random);
    const Secret& current() const { return secrets_[0]; }
    const Secret& previous() const { return secrets_[1]; }

private:
    Duration period_;
    Instant since_ = never;  // of the current one; never: there is none yet
    std::array<Secret, 2> secrets_{};
};

// What nobody can choose two texts for who does not know the secret.
std::uint64_t keyed_hash(const RotatingSecret::Secret& secret, std::string_view text);

}  // namespace post::crypto
