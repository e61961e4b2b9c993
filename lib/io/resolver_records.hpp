// What a DNS message says, as records that can be used: c-ares reads the message, and here it is
// judged. Nothing of it is trusted: what belongs to another name, what nobody can use and what
// breaks RFC 9460 is left out, and every list has an end.
#pragma once

#include <string>

#include <post/records.hpp>

struct ares_dns_record;

namespace post::io {

// Nobody can be reached at the others, whatever a name server says: "this network", multicast,
// broadcast, and IPv4 in the clothes of IPv6.
bool is_usable(const Address& address);

// Whether it may be anywhere in the Internet: none of a private network (RFC 1918, RFC 4193, RFC
// 6598), of this machine, of its links, or of IPv4 in one of the clothes of IPv6.
bool is_public(const Address& address);

// RFC 1035, 4: the query for `kind`, with the bit that asks for authenticated data (RFC 6840, 5.7)
// and EDNS. To be destroyed by who asked; null when the name is none.
ares_dns_record* make_query(const std::string& name, RecordKind kind);

// The answer to what the message itself says was asked. `status`: c-ares's, for what stands in the
// message; the answer's error is left to the caller.
struct ReadAnswer {
    Answer answer;
    int status = 0;
    bool unusable = false;  // there were records, and none that can be used
    std::string reason{};   // of an error, in the name server's words (extended_error.hpp)
};
ReadAnswer read_answer(const ares_dns_record& message, RecordKind kind);

// Leaves out what is not public.
void keep_public(ReadAnswer& read);

// What is kept of a time to live in seconds. RFC 2181, 8: beyond 31 bits it is zero. A day is
// enough for a positive answer, five minutes for a negative one.
Duration time_to_live(unsigned seconds, bool positive);

}  // namespace post::io
