// What the files with system calls share: errno as a value, socket options, and what the opening of
// a socket fails with.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <system_error>

#include <post/error.hpp>

#include "lib/io/sockaddr.hpp"

namespace post::io {

inline std::error_code last_error() { return {errno, std::system_category()}; }

inline bool set_option(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

// Family none when the system does not say.
inline Address bound_address(int fd) {
    SocketAddress address;
    address.size = sizeof(address.v6);
    if (getsockname(fd, &address.any, &address.size) != 0) return {};
    return address_of(address.any, address.size);
}

// `what`: "a UDP socket on".
inline Error opening_error(std::error_code cause, const char* what, const Address& local) {
    Errc code = Errc::invalid_argument;
    if (cause == std::errc::address_in_use) code = Errc::address_in_use;
    if (cause == std::errc::address_family_not_supported ||
        cause == std::errc::protocol_not_supported || cause == std::errc::operation_not_permitted)
        code = Errc::unsupported;
    if (cause == std::errc::too_many_files_open ||
        cause == std::errc::too_many_files_open_in_system)
        code = Errc::too_many;
    if (cause == std::errc::address_not_available || cause == std::errc::network_unreachable ||
        cause == std::errc::host_unreachable)
        code = Errc::no_route;
    return {code, cause, Stage::call, std::string("opening ") + what + " " + local.string()};
}

}  // namespace post::io
