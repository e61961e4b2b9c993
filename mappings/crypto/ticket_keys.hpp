// TicketKeys: what a server's tickets are sealed with (RFC 5077, 4; RFC 8446, 4.6.1). The secrets
// are our own, anew each hour, or come from a source that a fleet shares; the current one seals,
// and that and the one before open.
//
// GnuTLS has one key a session. So the key is chosen when the client's first message is here: the
// one that its ticket names (the first 16 bytes), or else the current one. Names are learned from
// the tickets that sessions send.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <post/association_store.hpp>
#include <post/time.hpp>

#include "mappings/crypto/rotating_secret.hpp"
#include "mappings/early_guard.hpp"

struct gnutls_anti_replay_st;

namespace post::crypto {

class TicketKeys {
public:
    static constexpr Duration period = std::chrono::hours(1);
    // How long a ticket is good: sealed in the last moment of a key's time it can be opened for as
    // long. GnuTLS never extends it by resuming, so certificates are looked at once an hour.
    static constexpr std::chrono::seconds lifetime = std::chrono::hours(1);
    // How often a source is asked.
    static constexpr Duration asked_each = std::chrono::minutes(1);
    static constexpr std::size_t least_secret = 32;

    using Name = std::array<std::byte, 16>;
    struct Key {
        std::array<std::uint8_t, 64> bytes{};
        std::uint64_t generation = 0;  // of the secret that it comes of
    };

    // The source outlives it; none: secrets of our own.
    TicketKeys(RotatingSecret::Random random, TicketKeySource* source)
        : random_(std::move(random)), source_(source) {}

    // Renews the secrets when it is time; to be called when clients come.
    void refresh(Instant now);
    // For sessions of this scope, which others do not share. None: there is no secret.
    std::optional<Key> current(std::string_view scope) const;
    // For the tickets of this name; none: it is not known, or too old.
    std::optional<Key> named(std::string_view scope, const Name& name) const;
    // What a session asks whether a first flight is new: the guard, which outlives this. Throws
    // Failure when the machine cannot.
    gnutls_anti_replay_st* anti_replay(EarlyGuard& guard);
    // A ticket of this name was sealed with the key.
    void learn(const Name& name, const Key& key);

private:
    struct Secret {
        std::string bytes;
        std::uint64_t generation = 0;
    };
    struct Known {
        Name name;
        std::uint64_t generation;
    };
    // Scopes, with two names each while GnuTLS changes its own.
    static constexpr std::size_t most_known = 256;

    void renew(std::string_view current, std::string_view previous);
    static std::optional<Key> derive(std::string_view scope, const Secret& secret);

    RotatingSecret::Random random_;
    TicketKeySource* source_;
    RotatingSecret own_{period};
    Instant asked_ = never;
    Secret current_;
    Secret previous_;
    std::uint64_t generations_ = 0;
    std::deque<Known> known_;
    struct Free {
        void operator()(gnutls_anti_replay_st* replay) const noexcept;
    };
    std::unique_ptr<gnutls_anti_replay_st, Free> anti_replay_;
};

// What a server's sessions give and take; no keys: none.
struct ServerTickets {
    TicketKeys* keys = nullptr;  // outlives them
    std::string scope{};
    unsigned count = 3;           // of each new session
    EarlyGuard* early = nullptr;  // early data is taken; outlives them, too
};

// A text of any length as one that stands for it: SHA-256 in hexadecimal.
std::string digest_of(std::string_view text);

}  // namespace post::crypto
