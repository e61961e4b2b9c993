// Secrets come and go, and keys are made of them.
#include "mappings/crypto/ticket_keys.hpp"

#include <algorithm>

#include <gnutls/crypto.h>

namespace post::crypto {

namespace {

std::string_view text_of(const RotatingSecret::Secret& secret) {
    return {reinterpret_cast<const char*>(secret.data()), secret.size()};
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
