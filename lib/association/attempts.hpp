// Attempts: which candidate addresses of a Remote are still to be tried, and what became of those
// that were. Addresses are tried one after the other in the order in which they were found.
#pragma once

#include <deque>
#include <optional>
#include <variant>
#include <vector>

#include <post/remote.hpp>

namespace post::core {

// What an association needs of the world while it connects.
struct LookUp {
    std::string host;
    std::uint16_t port;
};
struct Connect {
    Address remote;
};
using Want = std::variant<LookUp, Connect>;

class Attempts {
public:
    static constexpr std::size_t most = 16;  // candidates of one Remote

    void begin(const Remote& remote);
    // What to do next; nothing while an attempt or the lookup is under way, or when all is tried.
    std::optional<Want> next();
    void handle_resolved(const std::vector<Address>& addresses, const Error& error, bool complete);
    void handle_failure(const Error& error);
    // True when nothing is left to try.
    bool exhausted() const;
    // The failure of the attempt that came furthest, with a list of all that was tried.
    Error report() const;

private:
    std::string remote_;
    std::optional<LookUp> lookup_;
    bool resolving_ = false;
    bool trying_ = false;
    Address current_;
    std::size_t tried_ = 0;
    std::deque<Address> candidates_;
    std::vector<Error> failures_;
};

}  // namespace post::core
