// One candidate after the other.
#include "lib/association/attempts.hpp"

#include <algorithm>

namespace post::core {

void Attempts::begin(const Remote& remote) {
    remote_ = remote.string();
    if (remote.complete()) {
        candidates_.push_back(remote.address());
    } else {
        lookup_ = LookUp{remote.host(), remote.port()};
        resolving_ = true;
    }
}

std::optional<Want> Attempts::next() {
    if (lookup_) return std::exchange(lookup_, std::nullopt);
    if (trying_ || candidates_.empty()) return std::nullopt;
    current_ = candidates_.front();
    candidates_.pop_front();
    trying_ = true;
    ++tried_;
    return Connect{current_};
}

void Attempts::handle_resolved(const std::vector<Address>& addresses, const Error& error,
                               bool complete) {
    for (const Address& address : addresses)
        if (tried_ + candidates_.size() < most) candidates_.push_back(address);
    if (error) failures_.push_back(error);
    if (complete) resolving_ = false;
}

void Attempts::handle_failure(const Error& error) {
    trying_ = false;
    failures_.push_back(error);
    failures_.back().candidate = current_;
}

bool Attempts::exhausted() const { return !resolving_ && !trying_ && candidates_.empty(); }

Error Attempts::report() const {
    if (failures_.empty()) return Error(Errc::no_route, {}, Stage::resolve);
    Error worst = *std::max_element(
        failures_.begin(), failures_.end(),
        [](const Error& a, const Error& b) { return a.stage < b.stage; });
    std::string text = "could not reach " + remote_ + "; tried:";
    for (const Error& failure : failures_) text += "\n  " + failure.message();
    if (!worst.detail.empty()) text += "\n" + worst.detail.string();
    worst.detail = Bytes(std::move(text));
    return worst;
}

}  // namespace post::core
