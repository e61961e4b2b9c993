// Names: the name service of a World. Every name has an answer a family, or a way to fail, and a
// delay; a name that nobody has given does not exist.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <post/address.hpp>
#include <post/error.hpp>
#include <post/time.hpp>

#include "lib/io/io.hpp"

namespace post::sim {

enum class NameFate : std::uint8_t {
    answered,        // with the addresses of the family, or "no data" where there are none
    no_such_name,    // NXDOMAIN
    server_failure,  // SERVFAIL
    silent,          // no answer until the resolver gives up
};

struct NameOptions {
    Duration delay_v4 = std::chrono::milliseconds(5);
    Duration delay_v6 = std::chrono::milliseconds(5);
    NameFate fate_v4 = NameFate::answered;
    NameFate fate_v6 = NameFate::answered;
    Duration timeout = std::chrono::seconds(5);  // of the resolver, when the servers are silent
};

class Names {
public:
    struct Answer {
        Duration after{};
        Io::Resolved resolved;
    };

    Names();

    // Gives a name, or gives it anew. Case does not count.
    void set(std::string_view name, const std::vector<std::string>& addresses,
             const NameOptions& options);
    // One answer a family in the order in which they come, the last one complete. At the same time
    // IPv6 comes first, as it is asked first.
    std::vector<Answer> answers(const Io::Lookup& lookup) const;

private:
    struct Entry {
        std::vector<Address> v4;
        std::vector<Address> v6;
        NameOptions options;
    };
    std::map<std::string, Entry> entries_;  // keys in lower case
};

}  // namespace post::sim
