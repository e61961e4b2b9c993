// Parked: what is left in memory of an association that rests (dormancy.hpp), some hundred bytes:
// its names, the key that proves who it is, and its lanes as they are. What it was made with is
// kept once for all that are alike (rest_terms.hpp).
#pragma once

#include <memory>
#include <string>

#include <post/remote.hpp>

#include "lib/association/outcomes.hpp"
#include "lib/association/rest_terms.hpp"
#include "lib/association/shared.hpp"
#include "mappings/early_guard.hpp"
#include "mappings/values.hpp"

namespace post::core {

struct Parked {
    Lanes lanes{};
    TermsId terms{};
    std::string url{};                     // of a client's Remote
    std::unique_ptr<Remote> remote{};      // where the URL does not say all of it
    std::unique_ptr<Outcomes> outcomes{};  // none: `opened` says all
    std::uint64_t opened = 0;
    EarlyGuard* guard = nullptr;
    ContinuityKey key{};
    AssociationName name{};
    std::uint64_t epoch = 0;
    std::uint64_t race_id = 0;
    std::uint64_t next_carrier = 0;
    std::uint64_t peer_largest = 0;
    std::uint64_t peer_features = 0;
    Instant give_up = never;
    std::size_t counted = 0;  // in Shared::dormant
    // For the table: hashes of its key, and of the Remote in that.
    std::size_t key_hash = 0;
    std::size_t remote_hash = 0;
    Role role = Role::client;
    Stack stack = Stack::quic;
    bool dane = false;

    void keep(const Remote& whole) {
        url = whole.string();
        const auto read = Remote::parse(url);
        if (!read || *read != whole) remote = std::make_unique<Remote>(whole);
    }
    Remote where() const { return remote ? *remote : Remote(url); }
};

}  // namespace post::core
