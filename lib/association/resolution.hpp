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
// With DANE the certificates (TLSA, RFC 6698) of _PORT._udp.HOST and _PORT._tcp.HOST are asked, and
// nothing is an Endpoint before they have come. not done: TLSA at the targets of SVCB and SRV (RFC
// 7673, 3.1), because the name that certificates are made out to stays the Remote's.
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
    // What certificates have to match; only what was authenticated.
    const std::vector<Tlsa>& tlsa(Transport transport) const {
        return tlsa_[static_cast<std::size_t>(transport)];
    }

private:
    // One name or address of the Remote.
    struct Way {
        Remote remote;
        bool services = false;  // a service record was found
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
    };
    // What is known of a host.
    struct Family {
        bool answered = false;
        std::vector<Address> addresses{};
    };
    struct Host {
        std::array<Family, 2> families{};  // IPv6, IPv4
    };
    struct Query {
        Lookup lookup;
        std::size_t way = 0;
        Transport transport = Transport::udp;
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
    // Nothing may be tried: certificates are awaited, or were kept from us.
    bool held() const;
    void fail(const Error& error);

    Options options_;
    std::mt19937_64 random_;
    std::vector<Way> ways_;
    std::vector<Target> targets_;
    std::size_t targets_of_records_ = 0;
    std::map<std::string, Host> hosts_;
    std::deque<Query> wanted_;
    std::map<QueryId, Query> asked_;
    std::uint32_t last_id_ = 0;
    std::array<std::vector<Tlsa>, 2> tlsa_;
    bool addresses_authenticated_ = false;
    bool certificates_withheld_ = false;
    std::vector<Error> failures_;
    std::vector<Endpoint> told_;
};

}  // namespace post::core
