// Extended DNS Errors, from the options of EDNS.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-------------------------------+-------------------------------+
//   |          OPTION-CODE          |         OPTION-LENGTH         |   RFC 8914, 2
//   +-------------------------------+-------------------------------+
//   |           INFO-CODE           |  EXTRA-TEXT (UTF-8) ...       |
//   +-------------------------------+-------------------------------+
#include "lib/io/extended_error.hpp"

#include <algorithm>

#include <ares.h>

namespace post::io {
namespace {

constexpr unsigned short option = 15;
constexpr std::size_t longest_text = 128;

// RFC 8914, 4: those that say why a client got nothing.
const char* name_of(unsigned code) {
    switch (code) {
        case 0: return "other error";
        case 5: return "DNSSEC indeterminate";
        case 6: return "DNSSEC bogus";
        case 7: return "signature expired";
        case 8: return "signature not yet valid";
        case 9: return "DNSKEY missing";
        case 10: return "RRSIGs missing";
        case 12: return "NSEC missing";
        case 15: return "blocked";
        case 16: return "censored";
        case 17: return "filtered";
        case 18: return "prohibited";
        case 20: return "not authoritative";
        case 22: return "no reachable authority";
        case 23: return "network error";
        default: return "error";
    }
}

}  // namespace

std::string extended_error(const ares_dns_record& message) {
    const std::size_t count = ares_dns_record_rr_cnt(&message, ARES_SECTION_ADDITIONAL);
    for (std::size_t i = 0; i < count; ++i) {
        const auto* rr = ares_dns_record_rr_get_const(&message, ARES_SECTION_ADDITIONAL, i);
        const unsigned char* value = nullptr;
        std::size_t size = 0;
        if (!rr || ares_dns_rr_get_type(rr) != ARES_REC_TYPE_OPT ||
            !ares_dns_rr_get_opt_byid(rr, ARES_RR_OPT_OPTIONS, option, &value, &size) || !value ||
            size < 2)
            continue;
        const unsigned code = static_cast<unsigned>(value[0] << 8 | value[1]);
        std::string text = std::string(name_of(code)) + " (" + std::to_string(code) + ')';
        std::string extra(reinterpret_cast<const char*>(value) + 2,
                          std::min(size - 2, longest_text));
        // It may hold anything, and ends on somebody's screen.
        std::replace_if(
            extra.begin(), extra.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
        return extra.empty() ? text : text + ": " + extra;
    }
    return {};
}

}  // namespace post::io
