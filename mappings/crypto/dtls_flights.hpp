// DtlsFlights: the handshake's way out. Records are packed into as few datagrams as the path takes,
// and wait there until somebody polls.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace post::crypto {

class DtlsFlights {
public:
    // Records beyond this are dropped, as a network would; a flight of a chain of 32 KiB fits.
    static constexpr std::size_t most_bytes = 64 * 1024;

    // `mtu`: the largest datagram; a record that is longer goes alone.
    void add(std::span<const std::byte> record, std::size_t mtu);
    // The next datagram; empty when there is none.
    std::vector<std::byte> poll();
    bool empty() const { return waiting_.empty(); }

private:
    std::vector<std::vector<std::byte>> waiting_;
    std::size_t bytes_ = 0;
};

}  // namespace post::crypto
