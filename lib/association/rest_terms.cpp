// Rows are counted by those who rest, and found by what they hold.
#include "lib/association/rest_terms.hpp"

#include <utility>

#include "lib/association/sharing.hpp"

namespace post::core {

TermsId RestTerms::keep(const InitiateOptions& options) {
    static const Remote nowhere("post://nowhere");
    std::string key = sharing_key(nowhere, options);
    const auto at = by_key_.find(key);
    if (at == by_key_.end()) return add(options, std::move(key));
    ++rows_.at(at->second).users;
    return at->second;
}

TermsId RestTerms::keep(const Bounds& bounds) {
    const auto at = rows_.find(last_taken_);
    if (at == rows_.end() || at->second.options.bounds != bounds)
        return last_taken_ = add({.bounds = bounds}, {});
    ++at->second.users;
    return at->first;
}

void RestTerms::drop(TermsId id) {
    const auto at = rows_.find(id);
    if (at == rows_.end() || --at->second.users > 0) return;
    if (!at->second.key.empty()) by_key_.erase(at->second.key);
    rows_.erase(at);
}

TermsId RestTerms::add(InitiateOptions options, std::string key) {
    const TermsId id{++last_};
    if (!key.empty()) by_key_.emplace(key, id);
    rows_.emplace(id, Row{std::move(options), std::move(key), 1});
    return id;
}

}  // namespace post::core
