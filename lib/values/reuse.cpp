// A Reuse as text.
#include <post/reuse.hpp>

#include <cstdio>

namespace post {

namespace {

std::string other(Reuse::Aspect aspect) {
    switch (aspect) {
        case Reuse::Aspect::ways: return "other addresses or ports";
        case Reuse::Aspect::stacks:
        case Reuse::Aspect::preferences:
        case Reuse::Aspect::bounds: return std::string("other ") + to_string(aspect);
        case Reuse::Aspect::quic:
        case Reuse::Aspect::sctp:
        case Reuse::Aspect::tls: return std::string("other options of ") + to_string(aspect);
        default: return std::string("another ") + to_string(aspect);
    }
}

std::string since(Duration age) {
    if (age == Reuse::never_was) return "which is not connected yet";
    char text[48];
    std::snprintf(text, sizeof text, "which has been up for %.1f s",
                  std::chrono::duration<double>(age).count());
    return text;
}

}  // namespace

std::string Reuse::string() const {
    const std::string fresh = "a new Association: ";
    switch (how) {
        case How::first: return fresh + "there was none to " + remote;
        case How::ending: return fresh + "the one to " + remote + " is closing";
        case How::datagrams: return fresh + "plain datagrams share none";
        case How::joined: return "shares the Association to " + remote + ", " + since(age);
        case How::forked: return "a fork: that of the Carrier which it was forked from";
        case How::accepted: return "the peer's: that in which the peer opened it";
        case How::differs: break;
    }
    std::string text = fresh + "the one to " + remote + " has ";
    for (std::size_t i = 0; i < differs.size(); ++i) {
        if (i > 0) text += i + 1 == differs.size() ? " and " : ", ";
        text += other(differs[i]);
    }
    return text;
}

const char* to_string(Reuse::How how) noexcept {
    switch (how) {
        case Reuse::How::first: return "first";
        case Reuse::How::differs: return "differs";
        case Reuse::How::ending: return "ending";
        case Reuse::How::datagrams: return "datagrams";
        case Reuse::How::joined: return "joined";
        case Reuse::How::forked: return "forked";
        case Reuse::How::accepted: return "accepted";
    }
    return "unknown";
}

const char* to_string(Reuse::Aspect aspect) noexcept {
    switch (aspect) {
        case Reuse::Aspect::ways: return "ways";
        case Reuse::Aspect::server_name: return "server name";
        case Reuse::Aspect::local: return "local";
        case Reuse::Aspect::identity: return "identity";
        case Reuse::Aspect::trust: return "trust";
        case Reuse::Aspect::alpn: return "alpn";
        case Reuse::Aspect::security: return "security";
        case Reuse::Aspect::stacks: return "stacks";
        case Reuse::Aspect::preferences: return "preferences";
        case Reuse::Aspect::bounds: return "bounds";
        case Reuse::Aspect::quic: return "quic";
        case Reuse::Aspect::sctp: return "sctp";
        case Reuse::Aspect::tls: return "tls";
        case Reuse::Aspect::isolation: return "isolation";
    }
    return "unknown";
}

}  // namespace post
