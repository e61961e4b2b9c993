// Routes: which connection a connection id leads to. Our own ids are random, but the first one of
// a client is chosen by the client, so the table's hash is keyed (SipHash): nobody outside can make
// entries collide.
//
// The layout of the ids that we give out (RFC 9000, 5.1; 10 bytes):
//
//    0        1        2                                                             9
//   +--------+--------+--------+--------+--------+--------+--------+--------+--------+--------+
//   | context index   | random                                                              |
//   +--------+--------+--------+--------+--------+--------+--------+--------+--------+--------+
//
// The index names the Context among those that share one port, so that a datagram which the system
// gave to the wrong one can be passed on before anything else is known of it. It is no secret.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <unordered_map>

#include "mappings/values.hpp"

namespace post::quic {

// RFC 9000, 17.2: at most 20 bytes.
struct ConnectionId {
    std::array<std::byte, 20> bytes{};
    std::uint8_t size = 0;

    ConnectionId() = default;
    ConnectionId(const void* data, std::size_t length)
        : size(static_cast<std::uint8_t>(length <= bytes.size() ? length : bytes.size())) {
        if (size) std::memcpy(bytes.data(), data, size);
    }
    const std::uint8_t* data() const { return reinterpret_cast<const std::uint8_t*>(bytes.data()); }
    bool operator==(const ConnectionId& other) const {
        return size == other.size && std::memcmp(bytes.data(), other.bytes.data(), size) == 0;
    }
};

inline constexpr std::size_t our_id_size = 10;

// The Context's index in one of our ids; nothing when it cannot be ours.
inline std::optional<std::uint16_t> context_index_of(std::span<const std::byte> id) {
    if (id.size() != our_id_size) return std::nullopt;
    return static_cast<std::uint16_t>(std::to_integer<unsigned>(id[0]) << 8 |
                                      std::to_integer<unsigned>(id[1]));
}

class Routes {
public:
    using Key = std::array<std::uint64_t, 2>;

    explicit Routes(const Key& key) : table_(0, Hash{key}) {}

    // False when the id is taken.
    bool add(const ConnectionId& id, TransientId transient) {
        return table_.try_emplace(id, transient).second;
    }
    void remove(const ConnectionId& id) { table_.erase(id); }
    std::optional<TransientId> find(const ConnectionId& id) const {
        auto row = table_.find(id);
        if (row == table_.end()) return std::nullopt;
        return row->second;
    }
    std::size_t size() const { return table_.size(); }

    // SipHash-1-3 (Aumasson, Bernstein 2012; the parameters of most hash tables).
    struct Hash {
        Key key;
        std::size_t operator()(const ConnectionId& id) const noexcept;
    };

private:
    std::unordered_map<ConnectionId, TransientId, Hash> table_;
};

}  // namespace post::quic
