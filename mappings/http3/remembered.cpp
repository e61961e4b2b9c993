// SETTINGS that are kept: how they are compared, and written beside a ticket's parameters.
#include "mappings/http3/remembered.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include <nghttp3/nghttp3.h>

#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"

namespace post::http3 {

Remembered Remembered::of(const nghttp3_settings& settings) {
    Remembered remembered;
    remembered.field_section = std::min(settings.max_field_section_size, wire::varint_max);
    remembered.table = settings.qpack_max_dtable_capacity;
    remembered.blocked = settings.qpack_blocked_streams;
    remembered.connect = settings.enable_connect_protocol != 0;
    remembered.datagrams = settings.h3_datagram != 0;
    return remembered;
}

bool Remembered::holds(const Remembered& now) const {
    // RFC 9204, 3.2.3: a table that was there is the same.
    return now.field_section >= field_section && (table == 0 || now.table == table) &&
           now.blocked >= blocked && now.connect >= connect && now.datagrams >= datagrams;
}

Bytes Kept::write() const {
    std::vector<std::byte> space(transport.size() + 6 * wire::largest_varint);
    wire::Writer writer(space);
    writer.varint(transport.size()).bytes(transport.span());
    writer.varint(settings.field_section).varint(settings.table).varint(settings.blocked);
    writer.varint(settings.connect ? 1 : 0).varint(settings.datagrams ? 1 : 0);
    return Bytes(writer.written());
}

std::optional<Kept> Kept::read(const Bytes& bytes) {
    wire::Reader reader(bytes.span());
    const auto size = reader.varint();
    const auto transport = size ? reader.bytes(*size) : std::nullopt;
    const auto section = reader.varint();
    const auto table = reader.varint();
    const auto blocked = reader.varint();
    const auto connect = reader.varint();
    const auto datagrams = reader.varint();
    const bool whole = transport && section && table && blocked && connect && datagrams;
    if (!whole || *connect > 1 || *datagrams > 1 || reader.taken() != bytes.size())
        return std::nullopt;
    return Kept{Bytes(*transport), {*section, *table, *blocked, *connect == 1, *datagrams == 1}};
}

}  // namespace post::http3
