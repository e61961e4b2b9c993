// What a socket of applications' datagrams is told beside the control data of each: the options
// that Linux has for sockets alone. ip(7), ipv6(7), udp(7), udplite(7).
#pragma once

#include <cstdint>
#include <optional>
#include <system_error>

#include "lib/io/io.hpp"

namespace post::io {

// Sets what a run wants and the socket has not: DF, the checksum, its coverage.
class DatagramHeaders {
public:
    DatagramHeaders(bool v6, bool lite) : v6_(v6), lite_(lite) {}
    void apply(int fd, const DatagramOptions& wanted);

private:
    bool v6_;
    bool lite_;
    std::optional<bool> dont_fragment_{};
    bool checksum_ = true;
    std::uint16_t coverage_ = 0;
};

// Before it is bound.
std::error_code prepare(int fd, bool v6, const Io::DatagramSocket& options);
// The group that it is bound to.
std::error_code join(int fd, const Address& group, const UdpOptions& options);

}  // namespace post::io
