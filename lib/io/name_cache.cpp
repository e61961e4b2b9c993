// NameCache: a table that is small enough to be searched when it is full.
#include "lib/io/name_cache.hpp"

#include <algorithm>

namespace post::io {
namespace {

std::pair<RecordKind, std::string> key_of(const std::string& name, RecordKind kind) {
    std::pair<RecordKind, std::string> key{kind, name};
    for (char& c : key.second)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return key;
}

}  // namespace

void NameCache::keep(const std::string& name, const Answer& answer, Instant now) {
    if (answer.ttl <= Duration::zero()) return;
    auto key = key_of(name, answer.kind);
    if (entries_.size() >= most && !entries_.contains(key))
        entries_.erase(std::min_element(
            entries_.begin(), entries_.end(),
            [](const auto& a, const auto& b) { return a.second.end < b.second.end; }));
    entries_.insert_or_assign(std::move(key), Entry{answer, now + answer.ttl});
}

std::optional<Answer> NameCache::find(const std::string& name, RecordKind kind, Instant now) const {
    const auto found = entries_.find(key_of(name, kind));
    if (found == entries_.end() || found->second.end <= now) return {};
    Answer answer = found->second.answer;
    answer.ttl = found->second.end - now;
    answer.cached = true;
    return answer;
}

}  // namespace post::io
