// Lane: one Carrier inside its association, both directions.
#pragma once

#include <memory>
#include <optional>

#include "lib/association/inbox.hpp"
#include "lib/association/outbox.hpp"

namespace post::core {

// A Carrier's id or none, as small as an id: those are below 2^62.
class MaybeCarrier {
public:
    MaybeCarrier() = default;
    MaybeCarrier(std::optional<CarrierId> id) : value_(id ? id->value() : none) {}
    operator std::optional<CarrierId>() const {
        return *this ? std::optional(**this) : std::nullopt;
    }
    explicit operator bool() const { return value_ != none; }
    CarrierId operator*() const { return CarrierId{value_}; }

private:
    static constexpr std::uint64_t none = ~std::uint64_t{0};
    std::uint64_t value_ = none;
};

struct Lane {
    // What few Carriers have.
    struct Rare {
        std::uint64_t race = 0;  // that its early OPEN is of
        core::Boxed<ChannelInfo> channel;
        core::Boxed<std::string> target;
        std::unique_ptr<Error> error;  // what ended it, where that was not good order
    };

    // The small ones stand where `out` leaves room, since a million Carriers rest.
    [[no_unique_address]] OutLane out;
    CarrierKind kind = CarrierKind::messages;
    bool ours : 1 = false;
    bool opened : 1 = false;    // the mapping knows it
    bool known : 1 = false;     // an earlier mapping knew it, so that the peer may
    bool resumed : 1 = false;   // and the peer has forgotten that
    bool ended : 1 = false;     // the mapping has forgotten it
    bool closing : 1 = false;   // close() or abort() was called
    bool listed : 1 = false;    // in the list of those that wait for a stream
    bool draining : 1 = false;  // counted in Shared::draining
    bool heard : 1 = false;     // the peer has spoken of what we sent on it
    bool keyed : 1 = false;     // its OPEN went, or came, as early data
    InLane in;
    MaybeCarrier parent;

    CarrierId id() const { return out.carrier; }
    bool sends() const { return ours || kind != CarrierKind::one_way; }
    bool receives() const { return !ours || kind != CarrierKind::one_way; }

    const Error* error() const { return rare_ ? rare_->error.get() : nullptr; }
    // The first reason stays.
    void fail(const Error& why) {
        if (!error()) rarely().error = std::make_unique<Error>(why);
    }
    const Rare& rare() const {
        static const Rare nothing;
        return rare_ ? *rare_ : nothing;
    }
    Rare& rarely() {
        if (!rare_) rare_ = std::make_unique<Rare>();
        return *rare_;
    }

private:
    std::unique_ptr<Rare> rare_;
};
static_assert(sizeof(Lane) <= 136, "there are a million of them");

}  // namespace post::core
