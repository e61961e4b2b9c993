// Renewing the two secrets.
#include "mappings/crypto/rotating_secret.hpp"

namespace post::crypto {

void RotatingSecret::rotate(Instant now, Random& random) {
    const bool fresh = since_ == never || now - since_ >= 2 * period_;
    if (!fresh && now - since_ < period_) return;
    // After a long silence what was current is as old as a previous one may be at most.
    if (fresh)
        random(std::as_writable_bytes(std::span(secrets_[1])));
    else
        secrets_[1] = secrets_[0];
    random(std::as_writable_bytes(std::span(secrets_[0])));
    since_ = now;
}

}  // namespace post::crypto
