// Secrets come and go, and keys are made of them.
#include "mappings/crypto/ticket_keys.hpp"

#include <algorithm>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "mappings/crypto/handles.hpp"

namespace post::crypto {

namespace {

std::string_view text_of(const RotatingSecret::Secret& secret) {
    return {reinterpret_cast<const char*>(secret.data()), secret.size()};
}

// RFC 8446, 8.2. GnuTLS names a ClientHello by its binder, behind 12 bytes that change in time, so
// that it would not know an older one again.
int add_hello(void* pointer, time_t, const gnutls_datum_t* key, const gnutls_datum_t*) noexcept
    try {
    constexpr std::size_t time_size = 12;
    const auto name = bytes_of(*key);
    if (name.size() <= time_size) return GNUTLS_E_DB_ENTRY_EXISTS;
    return static_cast<EarlyGuard*>(pointer)->admit(name.subspan(time_size))
               ? 0
               : GNUTLS_E_DB_ENTRY_EXISTS;
} catch (...) {
    return GNUTLS_E_DB_ENTRY_EXISTS;
}

}  // namespace

void TicketKeys::refresh(Instant now) {
    if (!source_) {
        own_.rotate(now, random_);
        return renew(text_of(own_.current()), text_of(own_.previous()));
    }
    if (asked_ != never && now - asked_ < asked_each) return;
    asked_ = now;
    const auto secrets = source_->secrets();
    renew(secrets.current.view(), secrets.previous.view());
}

void TicketKeys::renew(std::string_view current, std::string_view previous) {
    if (current == current_.bytes && previous == previous_.bytes) return;
    // What was current may be previous now, and its tickets are known by its generation.
    const Secret before = current_;
    if (previous != previous_.bytes)
        previous_ = previous == before.bytes ? before
                                             : Secret{std::string(previous), ++generations_};
    if (current != before.bytes) current_ = {std::string(current), ++generations_};
    std::erase_if(known_, [&](const Known& known) {
        return known.generation != current_.generation && known.generation != previous_.generation;
    });
}

std::optional<TicketKeys::Key> TicketKeys::current(std::string_view scope) const {
    return derive(scope, current_);
}

std::optional<TicketKeys::Key> TicketKeys::named(std::string_view scope, const Name& name) const {
    const auto found = std::find_if(known_.begin(), known_.end(),
                                    [&](const Known& known) { return known.name == name; });
    if (found == known_.end()) return std::nullopt;
    return derive(scope, found->generation == current_.generation ? current_ : previous_);
}

void TicketKeys::learn(const Name& name, const Key& key) {
    const bool in_use = key.generation == current_.generation ||
                        key.generation == previous_.generation;
    const bool known = std::any_of(known_.begin(), known_.end(),
                                   [&](const Known& one) { return one.name == name; });
    if (!in_use || known) return;
    if (known_.size() == most_known) known_.pop_front();
    known_.push_back({name, key.generation});
}

void TicketKeys::Free::operator()(gnutls_anti_replay_st* replay) const noexcept {
    gnutls_anti_replay_deinit(replay);
}

// What GnuTLS calls the window is also when it forgets all tickets from before; the guard remembers
// for as long as tickets are good, and needs none (RFC 8446, 8.3, has it for those that forget).
gnutls_anti_replay_st* TicketKeys::anti_replay(EarlyGuard& guard) {
    constexpr unsigned no_window = 0x7fffffff;  // milliseconds: 24 days
    if (!anti_replay_) {
        gnutls_anti_replay_t made = nullptr;
        must(gnutls_anti_replay_init(&made), "anti-replay");
        anti_replay_.reset(made);
        gnutls_anti_replay_set_window(made, no_window);
        gnutls_anti_replay_set_add_function(made, add_hello);
        gnutls_anti_replay_set_ptr(made, &guard);
    }
    return anti_replay_.get();
}

std::optional<TicketKeys::Key> TicketKeys::derive(std::string_view scope, const Secret& secret) {
    if (secret.bytes.size() < least_secret) return std::nullopt;
    const std::string label = "post ticket key: " + std::string(scope);
    Key key;
    key.generation = secret.generation;
    static_assert(sizeof key.bytes == 64);  // as SHA-512 makes it, and GnuTLS takes it
    if (gnutls_hmac_fast(GNUTLS_MAC_SHA512, secret.bytes.data(), secret.bytes.size(), label.data(),
                         label.size(), key.bytes.data()) < 0)
        return std::nullopt;
    return key;
}

std::string digest_of(std::string_view text) {
    std::array<unsigned char, 32> digest{};
    gnutls_hash_fast(GNUTLS_DIG_SHA256, text.data(), text.size(), digest.data());
    constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    for (const unsigned char byte : digest) {
        hex += digits[byte >> 4];
        hex += digits[byte & 15];
    }
    return hex;
}

}  // namespace post::crypto
