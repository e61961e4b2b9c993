// The names of records.
#include <post/records.hpp>

namespace post {

const char* to_string(RecordKind kind) noexcept {
    switch (kind) {
        case RecordKind::aaaa: return "AAAA";
        case RecordKind::a: return "A";
        case RecordKind::svcb: return "SVCB";
        case RecordKind::https: return "HTTPS";
        case RecordKind::srv: return "SRV";
        case RecordKind::tlsa: return "TLSA";
    }
    return "?";
}

}  // namespace post
