// What c-ares read, judged.
#include "lib/io/resolver_records.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>

#include <ares.h>

#include "lib/io/extended_error.hpp"

namespace post::io {
namespace {

constexpr std::size_t most_aliases = 8;     // CNAME records from the name to its records
constexpr std::size_t most_alpn = 16;       // of one record
constexpr std::size_t most_hints = 8;       // of one family in one record
constexpr std::size_t longest_tlsa = 4096;  // bytes: a whole certificate
// What fits into one packet on every path (the DNS flag day of 2020); more comes over TCP.
constexpr unsigned short largest_udp = 1232;

ares_dns_rec_type_t type_of(RecordKind kind) {
    switch (kind) {
        case RecordKind::aaaa: return ARES_REC_TYPE_AAAA;
        case RecordKind::a: return ARES_REC_TYPE_A;
        case RecordKind::svcb: return ARES_REC_TYPE_SVCB;
        case RecordKind::https: return ARES_REC_TYPE_HTTPS;
        case RecordKind::srv: return ARES_REC_TYPE_SRV;
        case RecordKind::tlsa: return ARES_REC_TYPE_TLSA;
    }
    return ARES_REC_TYPE_ANY;
}

std::string lower(const char* text) {
    std::string name(text ? text : "");
    for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!name.empty() && name.back() == '.') name.pop_back();
    return name;
}

// What can be asked for as a host: no escapes, blanks or controls (RFC 1035, 5.1), not too long.
bool is_host(std::string_view name) {
    return name.size() <= 253 && std::all_of(name.begin(), name.end(), [](char c) {
               return c > ' ' && c <= '~' && c != '\\' && c != '"';
           });
}

using Value = std::span<const unsigned char>;

std::uint16_t u16(Value value, std::size_t at) {
    return static_cast<std::uint16_t>(value[at] << 8 | value[at + 1]);
}

// RFC 9460, 7.1.1: a list of names with their lengths, none of them empty. False: malformed.
bool read_alpn(Value value, std::vector<std::string>& alpn) {
    if (value.empty()) return false;
    while (!value.empty()) {
        const std::size_t size = value[0];
        if (size == 0 || size >= value.size()) return false;
        if (alpn.size() < most_alpn)
            alpn.emplace_back(reinterpret_cast<const char*>(value.data()) + 1, size);
        value = value.subspan(1 + size);
    }
    return true;
}

// RFC 9460, 7.3: whole addresses, one at least.
bool read_hints(Value value, Address::Family family, std::vector<Address>& hints) {
    const std::size_t size = family == Address::Family::v4 ? 4 : 16;
    if (value.empty() || value.size() % size != 0) return false;
    for (; !value.empty(); value = value.subspan(size)) {
        Address address;
        address.family = family;
        std::copy_n(value.begin(), size, address.ip.begin());
        if (is_usable(address) && hints.size() < most_hints) hints.push_back(address);
    }
    return true;
}

// RFC 9460, 8: keys in ascending order, none twice, not itself.
bool read_mandatory(Value value, std::vector<std::uint16_t>& keys) {
    if (value.empty() || value.size() % 2 != 0) return false;
    for (std::size_t i = 0; i < value.size(); i += 2) {
        const std::uint16_t key = u16(value, i);
        if (key == ARES_SVCB_PARAM_MANDATORY || (!keys.empty() && key <= keys.back())) return false;
        keys.push_back(key);
    }
    return true;
}

bool is_known(std::uint16_t key) {
    return key == ARES_SVCB_PARAM_ALPN || key == ARES_SVCB_PARAM_NO_DEFAULT_ALPN ||
           key == ARES_SVCB_PARAM_PORT || key == ARES_SVCB_PARAM_IPV4HINT ||
           key == ARES_SVCB_PARAM_IPV6HINT;
}

enum class Verdict { fine, incompatible, malformed };

bool read_parameter(std::uint16_t key, Value value, ServiceRecord& record) {
    switch (key) {
        case ARES_SVCB_PARAM_MANDATORY: return read_mandatory(value, record.mandatory);
        case ARES_SVCB_PARAM_ALPN: return read_alpn(value, record.alpn);
        case ARES_SVCB_PARAM_NO_DEFAULT_ALPN: record.no_default_alpn = true; return value.empty();
        case ARES_SVCB_PARAM_PORT:
            if (value.size() != 2 || u16(value, 0) == 0) return false;
            record.port = u16(value, 0);
            return true;
        case ARES_SVCB_PARAM_IPV4HINT:
            return read_hints(value, Address::Family::v4, record.ipv4_hint);
        case ARES_SVCB_PARAM_IPV6HINT:
            return read_hints(value, Address::Family::v6, record.ipv6_hint);
        default: return true;
    }
}

// RFC 9460, 2.2. (That a key came twice is not seen: c-ares keeps the last.)
Verdict read_service(const ares_dns_rr_t* rr, RecordKind kind, const std::string& owner,
                     ServiceRecord& record) {
    const bool svcb = kind == RecordKind::svcb;
    record.priority = ares_dns_rr_get_u16(rr,
                                          svcb ? ARES_RR_SVCB_PRIORITY : ARES_RR_HTTPS_PRIORITY);
    record.target = lower(
        ares_dns_rr_get_str(rr, svcb ? ARES_RR_SVCB_TARGET : ARES_RR_HTTPS_TARGET));
    if (!is_host(record.target)) return Verdict::malformed;
    // 2.4.2: parameters of an alias are ignored, and "." means that there is no service.
    if (record.priority == 0) return Verdict::fine;
    if (record.target.empty()) record.target = owner;

    const auto parameters = svcb ? ARES_RR_SVCB_PARAMS : ARES_RR_HTTPS_PARAMS;
    const std::size_t count = ares_dns_rr_get_opt_cnt(rr, parameters);
    std::vector<std::uint16_t> keys;
    for (std::size_t i = 0; i < count; ++i) {
        const unsigned char* bytes = nullptr;
        std::size_t size = 0;
        const std::uint16_t key = ares_dns_rr_get_opt(rr, parameters, i, &bytes, &size);
        if (!keys.empty() && key <= keys.back()) return Verdict::malformed;
        keys.push_back(key);
        if (!read_parameter(key, {bytes, bytes ? size : 0}, record)) return Verdict::malformed;
    }
    if (record.no_default_alpn && record.alpn.empty()) return Verdict::malformed;
    for (const std::uint16_t key : record.mandatory)
        if (!std::binary_search(keys.begin(), keys.end(), key)) return Verdict::malformed;
    const bool known = std::all_of(record.mandatory.begin(), record.mandatory.end(), is_known);
    return known ? Verdict::fine : Verdict::incompatible;
}

void read_address(const ares_dns_rr_t* rr, RecordKind kind, std::vector<Address>& addresses) {
    Address address;
    if (kind == RecordKind::a) {
        const in_addr* ip = ares_dns_rr_get_addr(rr, ARES_RR_A_ADDR);
        if (!ip) return;
        address.family = Address::Family::v4;
        std::memcpy(address.ip.data(), ip, 4);
    } else {
        const ares_in6_addr* ip = ares_dns_rr_get_addr6(rr, ARES_RR_AAAA_ADDR);
        if (!ip) return;
        address.family = Address::Family::v6;
        std::memcpy(address.ip.data(), ip, 16);
    }
    if (is_usable(address) && addresses.size() < Answer::most &&
        std::find(addresses.begin(), addresses.end(), address) == addresses.end())
        addresses.push_back(address);
}

void read_server(const ares_dns_rr_t* rr, std::vector<ServerRecord>& servers) {
    ServerRecord record;
    record.priority = ares_dns_rr_get_u16(rr, ARES_RR_SRV_PRIORITY);
    record.weight = ares_dns_rr_get_u16(rr, ARES_RR_SRV_WEIGHT);
    record.port = ares_dns_rr_get_u16(rr, ARES_RR_SRV_PORT);
    record.target = lower(ares_dns_rr_get_str(rr, ARES_RR_SRV_TARGET));
    const bool usable = is_host(record.target) && (record.port != 0 || record.target.empty());
    if (usable && servers.size() < Answer::most) servers.push_back(std::move(record));
}

void read_tlsa(const ares_dns_rr_t* rr, std::vector<Tlsa>& records) {
    std::size_t size = 0;
    const unsigned char* data = ares_dns_rr_get_bin(rr, ARES_RR_TLSA_DATA, &size);
    if (!data || size == 0 || size > longest_tlsa || records.size() == Answer::most) return;
    records.push_back({ares_dns_rr_get_u8(rr, ARES_RR_TLSA_CERT_USAGE),
                       ares_dns_rr_get_u8(rr, ARES_RR_TLSA_SELECTOR),
                       ares_dns_rr_get_u8(rr, ARES_RR_TLSA_MATCH),
                       Bytes(std::as_bytes(std::span(data, size)))});
}

// The records of the answer section which belong to `name` and are of `type`.
template <class Each>
void each_record(const ares_dns_record& message, const std::string& name, ares_dns_rec_type_t type,
                 ares_dns_section_t section, Each each) {
    const std::size_t count = ares_dns_record_rr_cnt(&message, section);
    for (std::size_t i = 0; i < count; ++i) {
        const ares_dns_rr_t* rr = ares_dns_record_rr_get_const(&message, section, i);
        if (rr && ares_dns_rr_get_class(rr) == ARES_CLASS_IN && ares_dns_rr_get_type(rr) == type &&
            (section != ARES_SECTION_ANSWER || lower(ares_dns_rr_get_name(rr)) == name))
            each(rr);
    }
}

// Follows aliases within the message; the shortest time to live on the way counts. False when they
// do not end.
bool follow_aliases(const ares_dns_record& message, std::string& name, unsigned& ttl) {
    for (std::size_t hops = 0; hops <= most_aliases; ++hops) {
        std::string next;
        each_record(message, name, ARES_REC_TYPE_CNAME, ARES_SECTION_ANSWER,
                    [&](const ares_dns_rr_t* rr) {
                        if (!next.empty()) return;
                        next = lower(ares_dns_rr_get_str(rr, ARES_RR_CNAME_CNAME));
                        ttl = std::min(ttl, ares_dns_rr_get_ttl(rr));
                    });
        if (next.empty() || !is_host(next)) return true;
        name = std::move(next);
    }
    return false;
}

// What came of the records that were asked for.
struct Seen {
    bool any = false;
    bool malformed = false;  // one that cannot be read
};

Seen read_records(const ares_dns_record& message, Answer& answer, unsigned& ttl) {
    Seen seen;
    each_record(message, answer.name, type_of(answer.kind), ARES_SECTION_ANSWER,
                [&](const ares_dns_rr_t* rr) {
                    seen.any = true;
                    ttl = std::min(ttl, ares_dns_rr_get_ttl(rr));
                    switch (answer.kind) {
                        case RecordKind::aaaa:
                        case RecordKind::a: read_address(rr, answer.kind, answer.addresses); break;
                        case RecordKind::srv: read_server(rr, answer.servers); break;
                        case RecordKind::tlsa: read_tlsa(rr, answer.tlsa); break;
                        case RecordKind::svcb:
                        case RecordKind::https: {
                            ServiceRecord record;
                            const auto verdict = read_service(rr, answer.kind, answer.name, record);
                            seen.malformed |= verdict == Verdict::malformed;
                            if (verdict == Verdict::fine && answer.services.size() < Answer::most)
                                answer.services.push_back(std::move(record));
                        }
                    }
                });
    return seen;
}

bool is_empty(const Answer& answer) {
    return answer.addresses.empty() && answer.services.empty() && answer.servers.empty() &&
           answer.tlsa.empty();
}

int status_of(const ares_dns_record& message) {
    switch (ares_dns_record_get_rcode(&message)) {
        case ARES_RCODE_NOERROR: return ARES_SUCCESS;
        case ARES_RCODE_FORMERR: return ARES_EFORMERR;
        case ARES_RCODE_NXDOMAIN: return ARES_ENOTFOUND;
        case ARES_RCODE_NOTIMP: return ARES_ENOTIMP;
        case ARES_RCODE_REFUSED: return ARES_EREFUSED;
        default: return ARES_ESERVFAIL;
    }
}

// RFC 2308, 5: how long a name server lets us believe that there is nothing.
Duration negative_time(const ares_dns_record& message) {
    unsigned ttl = 0;
    each_record(
        message, {}, ARES_REC_TYPE_SOA, ARES_SECTION_AUTHORITY, [&](const ares_dns_rr_t* rr) {
            ttl = std::min(ares_dns_rr_get_ttl(rr), ares_dns_rr_get_u32(rr, ARES_RR_SOA_MINIMUM));
        });
    return time_to_live(ttl, false);
}

}  // namespace

bool is_usable(const Address& address) {
    const auto& ip = address.ip;
    if (address.family == Address::Family::v4)
        return ip[0] != 0 && (ip[0] & 0xf0) != 0xe0 &&
               !(ip[0] == 255 && ip[1] == 255 && ip[2] == 255 && ip[3] == 255);
    if (address.family != Address::Family::v6 || address.is_any() || ip[0] == 0xff) return false;
    const bool mapped = std::all_of(ip.begin(), ip.begin() + 10, [](auto b) { return b == 0; }) &&
                        ip[10] == 0xff && ip[11] == 0xff;
    return !mapped;
}

bool is_public(const Address& address) {
    const auto& ip = address.ip;
    if (!is_usable(address) || address.is_loopback()) return false;
    if (address.family == Address::Family::v4)
        return ip[0] != 10 && ip[0] != 127 && !(ip[0] == 172 && (ip[1] & 0xf0) == 16) &&
               !(ip[0] == 192 && ip[1] == 168) && !(ip[0] == 169 && ip[1] == 254) &&
               !(ip[0] == 100 && (ip[1] & 0xc0) == 64);
    // 2000::/3 is all that was given out, and 2002::/16 and 2001::/32 hide an IPv4 address.
    const bool hides = ip[0] == 0x20 && (ip[1] == 0x02 || (ip[1] == 1 && ip[2] == 0 && ip[3] == 0));
    return (ip[0] & 0xe0) == 0x20 && !hides;
}

ares_dns_record* make_query(const std::string& name, RecordKind kind) {
    ares_dns_record_t* query = nullptr;
    if (ares_dns_record_create(&query, 0, ARES_FLAG_RD | ARES_FLAG_AD, ARES_OPCODE_QUERY,
                               ARES_RCODE_NOERROR) != ARES_SUCCESS)
        return nullptr;
    ares_dns_rr_t* edns = nullptr;
    if (ares_dns_record_query_add(query, name.c_str(), type_of(kind), ARES_CLASS_IN) ==
            ARES_SUCCESS &&
        ares_dns_record_rr_add(&edns, query, ARES_SECTION_ADDITIONAL, "", ARES_REC_TYPE_OPT,
                               ARES_CLASS_IN, 0) == ARES_SUCCESS &&
        ares_dns_rr_set_u16(edns, ARES_RR_OPT_UDP_SIZE, largest_udp) == ARES_SUCCESS &&
        ares_dns_rr_set_u8(edns, ARES_RR_OPT_VERSION, 0) == ARES_SUCCESS &&
        ares_dns_rr_set_u16(edns, ARES_RR_OPT_FLAGS, 0) == ARES_SUCCESS)
        return query;
    ares_dns_record_destroy(query);
    return nullptr;
}

ReadAnswer read_answer(const ares_dns_record& message, RecordKind kind) {
    ReadAnswer read;
    Answer& answer = read.answer;
    answer.kind = kind;
    const char* asked = nullptr;
    if (ares_dns_record_query_get(&message, 0, &asked, nullptr, nullptr) != ARES_SUCCESS) {
        read.status = ARES_EBADRESP;
        return read;
    }
    answer.name = lower(asked);
    answer.authenticated = (ares_dns_record_get_flags(&message) & ARES_FLAG_AD) != 0;
    read.status = status_of(message);
    if (read.status != ARES_SUCCESS) read.reason = extended_error(message);
    Seen seen;
    unsigned ttl = ~0u;
    if (read.status == ARES_SUCCESS) {
        const bool found = follow_aliases(message, answer.name, ttl);
        if (found) seen = read_records(message, answer, ttl);
        if (!found || seen.malformed) {
            // RFC 9460, 2.2: one malformed record spoils the whole set.
            answer = {.kind = kind, .name = std::move(answer.name)};
            read.status = ARES_EBADRESP;
            return read;
        }
        // RFC 9460, 2.4.1: beside an alias nothing else counts.
        const auto is_alias = [](const ServiceRecord& record) { return record.priority == 0; };
        if (std::any_of(answer.services.begin(), answer.services.end(), is_alias))
            std::erase_if(answer.services, [&](const auto& record) { return !is_alias(record); });
        if (is_empty(answer)) read.status = ARES_ENODATA;
        read.unusable = is_empty(answer) && seen.any;
    }
    answer.denied = !read.unusable &&
                    (read.status == ARES_ENODATA || read.status == ARES_ENOTFOUND);
    if (read.status == ARES_SUCCESS)
        answer.ttl = time_to_live(ttl, true);
    else if (answer.denied)
        answer.ttl = negative_time(message);
    return read;
}

void keep_public(ReadAnswer& read) {
    const auto refuse = [](std::vector<Address>& addresses) {
        return std::erase_if(addresses, [](const Address& one) { return !is_public(one); }) != 0;
    };
    Answer& answer = read.answer;
    for (ServiceRecord& record : answer.services) {
        refuse(record.ipv4_hint);
        refuse(record.ipv6_hint);
    }
    if (!refuse(answer.addresses) || !answer.addresses.empty()) return;
    read.status = ARES_ENODATA;
    read.unusable = true;
    answer.ttl = {};
}

Duration time_to_live(unsigned seconds, bool positive) {
    constexpr unsigned day = 86'400;
    constexpr unsigned five_minutes = 300;
    if (seconds > 0x7fffffff) return {};
    return std::chrono::seconds(std::min(seconds, positive ? day : five_minutes));
}

}  // namespace post::io
