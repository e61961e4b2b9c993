// Tunnels of HTTP/3 (post/http.hpp) whose protocol is to send back what comes: bytes as bytes, and
// datagrams as datagrams.
#pragma once

#include <cstdio>
#include <string>
#include <utility>

#include <post/post.hpp>

namespace tunnels {

inline constexpr const char* protocol = "echo";

inline const post::SendOptions as_datagram{.ordered = false, .reliable = false};

inline void serve(post::Listener& listener) {
    listener.accept([](post::Carrier carrier) {
        carrier.on_closed([](const post::Error&) {});  // clients end as they like
        carrier.ready([](post::Carrier& self, post::InMessage message) {
            if (message.properties().size() > 0)
                self.send("");  // 200, to other requests too
            else if (message.raw())
                self.send(message.content());
            else
                self.send(message.content(), as_datagram);
            return true;
        });
        return true;
    });
}

// Opens a tunnel and sends a datagram. Whether it came back.
inline bool ask(post::Context& context, const std::string& url, const std::string& other_protocol,
                post::InitiateOptions options) {
    bool came_back = false;
    post::Carrier carrier = context.initiate(url, std::move(options));
    carrier.on_closed([](const post::Error& error) {
        std::fprintf(stderr, "closed: %s\n", error.message().c_str());
    });
    carrier.ready([&](post::Carrier& self, post::InMessage message) {
        const int status = post::http::status(message);
        if (status != 0) std::fprintf(stderr, "answered: %d\n", status);
        if (status == 200) self.send("a datagram", as_datagram);
        came_back |= status == 0 && !message.raw() && message.view() == "a datagram";
        return !came_back;
    });
    carrier.send("", {.properties = {{":protocol", other_protocol}}});
    carrier = {};
    context.run();
    return came_back;
}

}  // namespace tunnels
