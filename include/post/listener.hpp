// Listener: a Carrier that only makes Carriers (draft 2.1.1). A handle: it moves and does not copy;
// one with an accept() callback belongs to the callback and listens on when the handle is dropped,
// until the callback returns false, close(), or the end of its Context.
#pragma once

#include <post/carrier.hpp>

namespace post {

namespace core {
struct ListenerKey {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
};
}  // namespace core

class Listener {
public:
    Listener() = default;
    Listener(Listener&& other) noexcept;
    Listener& operator=(Listener&& other) noexcept;
    ~Listener();

    explicit operator bool() const { return key_.generation != 0; }
    // Takes the peers' first Carriers, and the forks that no Carrier's own accept takes, until the
    // callback returns false.
    void accept(Carrier::OnCarrier on_carrier);
    // The next one; not_listening when it is closed. From the first call on up to 1024 wait for the
    // following calls; further ones are refused.
    Operation<Carrier> accept();
    // Takes no new peers, nor one back whose connection broke (Bounds::continuity). Carriers that
    // were accepted live on. The TCP port is free for another Listener then; a UDP port is the
    // socket of those who were accepted, too: address_in_use until the last of them has ended.
    void close();
    // Where it listens: one address a family, with the port that the system chose.
    std::vector<Address> addresses() const;
    std::uint16_t port() const;

private:
    friend class core::Carriers;
    Listener(core::AnchorRef anchor, core::ListenerKey key);
    void drop();

    core::AnchorRef anchor_;
    core::ListenerKey key_;
};

}  // namespace post
