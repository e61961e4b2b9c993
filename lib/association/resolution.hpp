// Resolution: from a Remote to Endpoints, in passes, as answers come (draft 2.4, 3.1.2). It asks
// nobody itself: it says which lookups it wants and is told the answers, so that it is the same in
// virtual time.
//
//   post://HOST:PORT   SVCB of _PORT._post.HOST, and the addresses of HOST
//   https://HOST:PORT  HTTPS of HOST at port 443, else of _PORT._https.HOST (RFC 9460, 9.1), and
//                      the addresses of HOST
//   the others         the addresses of HOST
//   a service          SRV of _SERVICE._PROTO.HOST, PROTO being tcp for tcp, tls and https, sctp
//                      for sctp, else udp; where there is none, the addresses of HOST at the port
//                      that the system's list has
//
// and then the addresses of the targets that the records name. Aliases are followed; addresses that
// no service record names come last. An address, localhost and a zone need no records.
//
// With DANE the certificates (TLSA, RFC 6698) of _PORT._udp.HOST and _PORT._tcp.HOST are asked for
// each host and port that a way leads to, and it is no Endpoint before they have come:
//
//   the Remote's own       HOST and PORT of the URL
//   a target               its host and port, when every record that led there was authenticated
//                          (RFC 7673, 3.1; for SVCB and HTTPS the same); else it has none
//   an alias of these      the name at its end too, which counts before the first one, when its
//                          addresses were authenticated (RFC 7671, 7)
//
// Of several names or addresses everybody's certificates are the first one's.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <post/ids.hpp>
#include <post/records.hpp>
#include <post/remote.hpp>

#include "lib/association/endpoint.hpp"

namespace post::core {

using QueryId = Strong<struct QueryTag, std::uint32_t>;

class Resolution {
public:
    static constexpr std::size_t most_endpoints = 16;
    static constexpr std::size_t most_of_family = 8;
    static constexpr std::size_t most_targets = 8;  // of service and SRV records
    static constexpr std::size_t most_aliases = 8;  // one after the other
    // Of addresses that no service record names, where there are some: behind all others.
    static constexpr std::uint32_t unassociated = 65'536;

    struct Options {
        bool services = true;    // SVCB and HTTPS are asked for
        bool dane = false;       // TLSA too; only where answers can be authenticated
        std::uint64_t seed = 1;  // chooses among records of the same priority
    };
    struct Lookup {
        QueryId id;
        Question question = Question::addresses;
        std::string name;
        std::uint16_t port = 0;
        std::string service{};  // whose port the system's list has
    };
    // What Happy Eyeballs waits for (v3, 4.2): an answer that says something, or that nothing of it
    // is still to come.
    struct Answered {
        bool aaaa = false;
        bool a = false;
        bool services = false;
        bool operator==(const Answered&) const = default;
    };
    // What a certificate is asked for.
    enum class Transport : std::uint8_t { udp, tcp };
    // What is said of the certificates at an endpoint; only what was authenticated.
    struct Certificates {
        std::vector<Tlsa> records{};
        std::string host{};  // whose they are: a peer that it names may show its name, too
        bool operator==(const Certificates&) const = default;
    };

    void begin(const Remote& remote, const Options& options);
    // The next lookup to be made; nothing until there is an answer.
    std::optional<Lookup> poll_lookup();
    // The name of a lookup that is under way; empty: it is not.
    std::string asked(QueryId id) const {
        const auto found = asked_.find(id);
        return found == asked_.end() ? std::string() : found->second.lookup.name;
    }
    // `complete`: the lookup has no further answer. Those that were not asked for are ignored.
    void handle_answer(QueryId id, const Answer& answer, bool complete);

    // What is known, in order: lower priorities first, among the same ones as their weights and the
    // seed have it, in each target IPv6 first.
    std::vector<Endpoint> endpoints() const;
    // Those of them that are new since the last call, or of which something else is said.
    std::vector<Endpoint> poll_endpoints();
    Answered answered() const;
    // No lookup is under way or wanted.
    bool complete() const { return wanted_.empty() && asked_.empty(); }
    // Why there is no endpoint: everything that failed. No error when there is one, or nothing has
    // failed.
    Error error() const;
    const std::vector<Error>& failures() const { return failures_; }
    // What the certificate of an endpoint has to match, also of one that is none any more.
    Certificates certificates(const Address& endpoint, Transport transport) const;

private:
    // One name or address of the Remote.
    struct Way {
        Remote remote;
        bool services = false;      // a service record was found
        bool authenticated = true;  // all records that lead to its targets so far
        std::vector<std::string> aliases{};
    };
    // A host and port where one of the ways leads to.
    struct Target {
        std::size_t way = 0;
        std::string host;
        std::uint16_t port = 0;  // 0: as its addresses have it
        std::uint32_t priority = 0;
        std::uint64_t place = 0;  // among those of the same priority
        bool own = false;         // of the way itself, not of a record
        std::optional<std::vector<std::string>> alpn{};
        std::vector<Address> hints{};
        // Whose certificates it has, as keys of bases_; empty: nobody's.
        std::string base{};
        std::string alias{};  // of the host, which counts first
    };
    // What is known of a host.
    struct Family {
        bool answered = false;
        std::vector<Address> addresses{};
    };
    struct Host {
        std::array<Family, 2> families{};  // IPv6, IPv4
        bool authenticated = false;        // its addresses
        std::string alias{};               // authenticated, and another name than its own
    };
    // A host and port whose certificates are asked for.
    struct Base {
        std::string host;
        bool alias = false;  // of a host: asked for because that was authenticated
        std::size_t missing = 0;
        bool withheld = false;  // no answer, and not because there are none
        std::array<std::vector<Tlsa>, 2> records{};
    };
    // An endpoint, and whose certificates it has.
    struct Place {
        Endpoint endpoint;
        std::string base;
        std::string alias;
    };
    struct Query {
        Lookup lookup;
        std::size_t way = 0;
        Transport transport = Transport::udp;
        std::string base{};
    };

    void begin_way(std::size_t way);
    void ask(Query query);
    void ask_addresses(std::size_t way, const std::string& host, std::uint16_t port,
                       const std::string& service = {});
    void ask_system(std::size_t way);
    void handle_addresses(const Query& query, const Answer& answer, bool complete);
    void handle_services(const Query& query, const Answer& answer);
    void follow_alias(const Query& query, const Answer& answer);
    void handle_servers(const Query& query, const Answer& answer);
    void handle_certificates(const Query& query, const Answer& answer);
    void add_target(Target target);
    std::vector<Place> places() const;
    void fail(const Error& error);
    // resolution_certificates.cpp
    std::string ask_certificates(const std::string& host, std::uint16_t port, bool alias = false);
    void ask_alias(Target& target);
    // It may not be tried: its certificates are awaited, or were kept from us.
    bool held(const Target& target) const;
    bool kept_from_us(const std::string& base) const;

    Options options_;
    std::mt19937_64 random_;
    std::vector<Way> ways_;
    std::vector<Target> targets_;
    std::size_t targets_of_records_ = 0;
    std::map<std::string, Host> hosts_;
    std::deque<Query> wanted_;
    std::map<QueryId, Query> asked_;
    std::uint32_t last_id_ = 0;
    std::string own_base_;               // of the first way; empty: there is none
    std::map<std::string, Base> bases_;  // at most of the first way, its targets and their aliases
    std::vector<Error> failures_;
    std::vector<Endpoint> told_;
    // All that were told: what is tried late is still asked for the certificate that it was told
    // with. At most most_endpoints for each answer.
    std::map<std::string, Place> ever_told_;
};

}  // namespace post::core
