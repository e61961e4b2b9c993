// A Plan as text.
#include <post/plan.hpp>

namespace post {

namespace {

std::string right(const std::string& text) {
    constexpr std::size_t width = 12;
    return std::string(text.size() < width ? width - text.size() : 0, ' ') + text;
}

std::string when(const Plan::Candidate& candidate) {
    if (!candidate.delay) return "at last";
    return std::to_string(
               std::chrono::duration_cast<std::chrono::milliseconds>(*candidate.delay).count()) +
           " ms";
}

}  // namespace

std::string Plan::string() const {
    std::string text = remote;
    if (reuse.how != Reuse::How::first) text += "\n" + right("reuse") + "  " + reuse.string();
    for (const Candidate& each : candidates) {
        text += "\n" + right(when(each)) + "  " + to_string(each.stack) + " to " +
                each.remote.string();
        if (!each.path.empty()) text += " over " + each.path;
        if (each.source.family != Address::Family::none) text += " from " + each.source.ip_string();
        if (!each.from.empty()) text += " (" + each.from + ")";
        text += ": " + each.reason;
    }
    for (const Refused& each : refused)
        text += "\n" + right("not") + "  " + each.what + ": " + each.reason;
    for (const std::string& note : notes)
        text += "\n" + right("note") + "  the system's wish gives way: " + note;
    if (error) text += "\n" + right("error") + "  " + error.message();
    if (error && !error.detail.empty()) text += "\n" + error.detail.string();
    return text;
}

}  // namespace post
