// The table of parameters.
#include "mappings/tls/parameters.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"

namespace post::tls {

namespace {

// RFC 9000, 4.6: more streams than that have no ids.
constexpr std::uint64_t most_streams = std::uint64_t{1} << 60;

struct Row {
    std::uint64_t id;
    std::uint64_t Parameters::*value;
    std::uint64_t least;
    std::uint64_t most;
    const char* name;
};
constexpr std::uint64_t any = wire::varint_max;
constexpr std::array<Row, 9> table = {{
    {0x01, &Parameters::idle_timeout, 0, any, "max_idle_timeout"},
    {0x04, &Parameters::max_data, 0, any, "initial_max_data"},
    {0x05, &Parameters::stream_data_ours, 0, any, "initial_max_stream_data_bidi_local"},
    {0x06, &Parameters::stream_data_theirs, 0, any, "initial_max_stream_data_bidi_remote"},
    {0x07, &Parameters::stream_data_one_way, 0, any, "initial_max_stream_data_uni"},
    {0x08, &Parameters::streams, 0, most_streams, "initial_max_streams_bidi"},
    {0x09, &Parameters::streams_one_way, 0, most_streams, "initial_max_streams_uni"},
    {0x0571c59429cd0845, &Parameters::record_size, default_record_size, any, "max_record_size"},
    {0x20, &Parameters::datagram_frame_size, 0, any, "max_datagram_frame_size"},
}};

// QMux: "Use of all other transport parameters defined in Section 18.2 of QUIC is prohibited".
constexpr std::array<std::uint64_t, 10> prohibited = {0x00, 0x02, 0x03, 0x0a, 0x0b,
                                                      0x0c, 0x0d, 0x0e, 0x0f, 0x10};

std::string named(std::uint64_t id) { return "transport parameter " + std::to_string(id); }

}  // namespace

// QMux: "Endpoints MUST NOT send transport parameters defined outside of QUIC unless they are
// specified to be usable with QMux": no others are in the table. "When the max_record_size
// transport parameter is sent, the value MUST be equal to or greater than the default value": the
// default is the least that Parameters have, and is not sent.
std::vector<std::byte> encode(const Parameters& parameters) {
    std::array<std::byte, table.size() * (8 + 1 + 8)> space;
    wire::Writer writer(space);
    for (const Row& row : table) {
        const std::uint64_t value = parameters.*row.value;
        if (value == Parameters{}.*row.value) continue;
        writer.varint(row.id).varint(wire::varint_size(value)).varint(value);
    }
    const auto written = writer.written();
    return {written.begin(), written.end()};
}

bool covers(const Parameters& parameters, const Parameters& remembered) {
    return parameters.max_data >= remembered.max_data &&
           parameters.stream_data_ours >= remembered.stream_data_ours &&
           parameters.stream_data_theirs >= remembered.stream_data_theirs &&
           parameters.stream_data_one_way >= remembered.stream_data_one_way &&
           parameters.streams >= remembered.streams &&
           parameters.streams_one_way >= remembered.streams_one_way &&
           parameters.record_size >= remembered.record_size &&
           parameters.datagram_frame_size >= remembered.datagram_frame_size;
}

bool decode(std::span<const std::byte> bytes, Parameters& parameters, std::string& why) {
    std::vector<std::uint64_t> seen;
    for (wire::Reader reader(bytes); !reader.empty();) {
        const auto id = reader.varint();
        const auto size = id ? reader.varint() : std::nullopt;
        const auto content = size ? reader.bytes(*size) : std::nullopt;
        if (!content) return why = "transport parameters that are cut", false;
        // QMux: "When an endpoint receives one of the prohibited transport parameters, the
        // endpoint MUST close the connection with an error of type TRANSPORT_PARAMETER_ERROR."
        if (std::find(prohibited.begin(), prohibited.end(), *id) != prohibited.end())
            return why = named(*id) + ", which QMux prohibits", false;
        const auto row = std::find_if(table.begin(), table.end(),
                                      [&](const Row& one) { return one.id == *id; });
        // QMux: "endpoints MUST ignore transport parameters defined outside of QUIC unless they
        // are specified to be usable with QMux".
        if (row == table.end()) continue;
        // RFC 9000, 7.4: no parameter more than once.
        if (std::find(seen.begin(), seen.end(), *id) != seen.end())
            return why = std::string(row->name) + " twice", false;
        seen.push_back(*id);
        wire::Reader number(*content);
        const auto value = number.varint();
        if (!value || !number.empty())
            return why = std::string(row->name) + ", which is no number", false;
        // QMux: "When receiving a value less than the default value, receivers MUST close the
        // connection with an error of type TRANSPORT_PARAMETER_ERROR."
        if (*value < row->least || *value > row->most)
            return why = std::string(row->name) + " of " + std::to_string(*value), false;
        parameters.*row->value = *value;
    }
    return true;
}

}  // namespace post::tls
