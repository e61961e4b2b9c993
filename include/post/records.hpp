// Records: what a name service says of a name, as plain values: addresses, services (SVCB, HTTPS,
// SRV) and certificates (TLSA). The edge fills them in, resolution reads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <post/address.hpp>
#include <post/bytes.hpp>
#include <post/error.hpp>
#include <post/time.hpp>

namespace post {

// What can be asked. Addresses have two answers, of one family each; all others have one.
enum class Question : std::uint8_t { addresses, svcb, https, srv, tlsa };

// Which answer it is.
enum class RecordKind : std::uint8_t { aaaa, a, svcb, https, srv, tlsa };
const char* to_string(RecordKind kind) noexcept;  // "AAAA"

// SVCB or HTTPS (RFC 9460, 2). Records with mandatory keys that the library does not know are left
// out of answers.
struct ServiceRecord {
    std::uint16_t priority = 0;  // 0: an alias, and nothing but the target counts
    // Whose addresses they are: never "." but the owner's name in its place. Of an alias, empty:
    // the service does not exist here.
    std::string target;
    std::vector<std::uint16_t> mandatory{};
    std::vector<std::string> alpn{};
    bool no_default_alpn = false;
    std::optional<std::uint16_t> port{};  // none: the one that was asked for
    std::vector<Address> ipv4_hint{};
    std::vector<Address> ipv6_hint{};
    bool operator==(const ServiceRecord&) const = default;
};

// SRV (RFC 2782). An empty target: the service is decidedly not available here.
struct ServerRecord {
    std::uint16_t priority = 0;
    std::uint16_t weight = 0;
    std::uint16_t port = 0;
    std::string target;
    bool operator==(const ServerRecord&) const = default;
};

// TLSA (RFC 6698, 2.1). The numbers as they came; who uses them decides which it knows.
struct Tlsa {
    std::uint8_t usage = 0;
    std::uint8_t selector = 0;
    std::uint8_t matching = 0;
    Bytes data;
    bool operator==(const Tlsa&) const = default;
};

struct Answer {
    // Of any kind, in one answer; the rest is dropped.
    static constexpr std::size_t most = 16;

    RecordKind kind = RecordKind::aaaa;
    std::string name{};  // that has the records, at the end of its aliases (CNAME)
    std::vector<Address> addresses{};
    std::vector<ServiceRecord> services{};
    std::vector<ServerRecord> servers{};
    std::vector<Tlsa> tlsa{};
    // How long it may be kept; zero: not at all.
    Duration ttl{};
    // It comes from a name server that is trusted, which has validated it (DNSSEC).
    bool authenticated = false;
    // It was kept from an earlier question.
    bool cached = false;
    // There are none, and a name server said so, in good order: the error is set, too.
    bool denied = false;
    Error error{};  // set when there is no record
};

}  // namespace post
