// RestTerms: what associations that rest were made with, kept once for all that are alike, as long
// as one of them is put away (parked.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

#include <post/context.hpp>

namespace post::core {

using TermsId = Strong<struct TermsTag, std::uint64_t>;

class RestTerms {
public:
    // Each has to be dropped once. Of a client's what differs from Remote to Remote is left out.
    TermsId keep(const InitiateOptions& options);
    // Of a listener's.
    TermsId keep(const Bounds& bounds);
    void drop(TermsId id);

    const InitiateOptions& options(TermsId id) const { return rows_.at(id).options; }
    const Bounds& bounds(TermsId id) const { return options(id).bounds; }
    std::size_t size() const { return rows_.size(); }

private:
    struct Row {
        InitiateOptions options;  // of a listener's only the bounds
        std::string key;
        std::size_t users = 0;
    };
    TermsId add(InitiateOptions options, std::string key);

    std::unordered_map<TermsId, Row> rows_;
    std::map<std::string, TermsId> by_key_;
    TermsId last_taken_{};  // of listeners'; they have few
    std::uint64_t last_ = 0;
};

}  // namespace post::core
