// Packing records into datagrams.
#include "mappings/crypto/dtls_flights.hpp"

#include <utility>

namespace post::crypto {

void DtlsFlights::add(std::span<const std::byte> record, std::size_t mtu) {
    if (bytes_ + record.size() > most_bytes) return;
    bytes_ += record.size();
    if (waiting_.empty() || waiting_.back().size() + record.size() > mtu) waiting_.emplace_back();
    auto& datagram = waiting_.back();
    datagram.insert(datagram.end(), record.begin(), record.end());
}

std::vector<std::byte> DtlsFlights::poll() {
    if (waiting_.empty()) return {};
    auto datagram = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    bytes_ -= datagram.size();
    // A session lives long after its last flight.
    if (waiting_.empty()) waiting_ = {};
    return datagram;
}

}  // namespace post::crypto
