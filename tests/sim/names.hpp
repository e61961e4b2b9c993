// Names: the name service of a World. Every name has an answer a family, and one for each other
// kind of record, or a way to fail, and a delay; what nobody has given does not exist.
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
    bool authenticated = false;                  // signed, and validated by a trusted resolver
};

// The answer for one kind of record but addresses.
struct RecordOptions {
    Duration delay = std::chrono::milliseconds(5);
    NameFate fate = NameFate::answered;
    Duration timeout = std::chrono::seconds(5);
};

class Names {
public:
    struct Timed {
        Duration after{};
        Io::Resolved resolved;
    };

    Names();

    // Gives a name, or gives it anew. Case does not count.
    void set(std::string_view name, const std::vector<std::string>& addresses,
             const NameOptions& options);
    // Gives the records of `answer.kind` of a name; only they, `name` and `authenticated` count.
    void set_records(std::string_view name, Answer answer, const RecordOptions& options);
    // A service of the system's list.
    void set_service(std::string_view service, std::uint16_t port);
    // An interface, for the zones of link-local addresses.
    void set_interface(std::string_view name, std::uint32_t index);
    // Whether the resolver is one whose word counts.
    void set_trusted(bool trusted) { trusted_ = trusted; }
    bool trusted() const { return trusted_; }
    // One answer a family in the order in which they come, the last one complete. At the same time
    // IPv6 comes first, as it is asked first.
    std::vector<Timed> answers(const Io::Lookup& lookup) const;

private:
    struct Entry {
        std::vector<Address> v4;
        std::vector<Address> v6;
        NameOptions options;
    };
    struct Records {
        Answer answer;
        RecordOptions options;
    };
    std::vector<Timed> address_answers(const Io::Lookup& lookup) const;
    Timed record_answer(const Io::Lookup& lookup) const;

    std::map<std::string, Entry> entries_;  // keys in lower case
    std::map<std::pair<Question, std::string>, Records> records_;
    std::map<std::string, std::uint16_t> services_;
    std::map<std::string, std::uint32_t> interfaces_;
    bool trusted_ = false;
};

}  // namespace post::sim
