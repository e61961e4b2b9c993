// An Establishment as text.
#include <post/establishment.hpp>

#include <algorithm>
#include <cstdio>

namespace post {

namespace {

std::string milliseconds(Duration duration) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f ms",
                  std::chrono::duration<double, std::milli>(duration).count());
    return text;
}

std::string plural(std::size_t count) {
    return std::to_string(count) + (count == 1 ? " address" : " addresses");
}

void append_line(std::string& text, Duration at, const std::string& what) {
    const std::string when = milliseconds(at);
    text += "\n  " + std::string(when.size() < 11 ? 11 - when.size() : 0, ' ') + when + "  " + what;
}

std::string line_of(const Establishment::Attempt& attempt) {
    std::string text = std::string(to_string(attempt.stack)) + " to " + attempt.remote.string();
    if (!attempt.path.empty())
        text += " over " + attempt.path + " from " + attempt.source.ip_string();
    text += std::string(": ") + to_string(attempt.result);
    if (attempt.ended != never) text += " after " + milliseconds(attempt.ended - attempt.started);
    if (attempt.heard == never)
        text += ", heard nothing";
    else if (attempt.heard != attempt.ended)
        text += ", first heard after " + milliseconds(attempt.heard - attempt.started);
    if (attempt.error) text += "; " + attempt.error.message();
    if (!attempt.reason.empty()) text += " [" + attempt.reason + "]";
    return text;
}

}  // namespace

const Establishment::Attempt* Establishment::winner() const {
    for (const Attempt& attempt : attempts)
        if (attempt.result == Result::won) return &attempt;
    return nullptr;
}

std::string Establishment::string() const {
    std::string text = remote + ": ";
    if (ended == never)
        text += "connecting";
    else
        text += (winner() ? "connected after " : "given up after ") + milliseconds(ended - began);
    if (resumed) text += ", resumed";
    if (early > 0) {
        text += ", " + std::to_string(early) + (early == 1 ? " message" : " messages") + " early";
        if (early_rejected) text += ", rejected and sent again";
    }
    for (const Answer& answer : answers) {
        std::string line = answer.question + ": " + plural(answer.endpoints);
        if (answer.error) line += "; " + answer.error.message();
        append_line(text, answer.at - began, line);
    }
    for (const Attempt& attempt : attempts)
        append_line(text, attempt.started - began, line_of(attempt));
    for (const Refused& each : refused) {
        const bool any = each.stack || each.remote.family != Address::Family::none;
        text += "\n  not";
        if (each.stack) text += std::string(" ") + to_string(*each.stack);
        if (each.remote.family != Address::Family::none) text += " " + each.remote.string();
        if (!each.path.empty()) text += (any ? " over " : " ") + each.path;
        text += ": " + each.reason;
    }
    return text;
}

const char* to_string(Establishment::Result result) noexcept {
    switch (result) {
        case Establishment::Result::under_way: return "under way";
        case Establishment::Result::won: return "won";
        case Establishment::Result::failed: return "failed";
        case Establishment::Result::lost: return "lost";
    }
    return "unknown";
}

}  // namespace post
