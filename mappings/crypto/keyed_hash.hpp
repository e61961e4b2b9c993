// KeyedHash: HMAC-SHA256 under one key that stays, for what is asked often: the key is set up once.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace post::crypto {

class KeyedHash {
public:
    using Digest = std::array<std::byte, 32>;

    explicit KeyedHash(std::span<const std::byte> key);
    Digest operator()(std::span<const std::byte> text) const;

private:
    struct Free {
        void operator()(void* state) const noexcept;
    };
    std::unique_ptr<void, Free> state_;  // at rest between two calls
};

}  // namespace post::crypto
