// Tunnels of HTTP/3 (post/http.hpp) whose protocol is to send back what comes: bytes as bytes, and
// datagrams as datagrams.
#pragma once

#include <post/post.hpp>

namespace tunnels {

inline constexpr const char* protocol = "echo";

inline void serve(post::Listener& listener) {
    listener.accept([](post::Carrier carrier) {
        carrier.on_closed([](const post::Error&) {});  // clients end as they like
        carrier.ready([](post::Carrier& self, post::InMessage message) {
            if (message.properties().size() > 0)
                self.send("");  // 200, to other requests too
            else if (message.raw())
                self.send(message.content());
            else
                self.send(message.content(), {.ordered = false, .reliable = false});
            return true;
        });
        return true;
    });
}

}  // namespace tunnels
