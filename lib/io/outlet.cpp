// Binds a socket to the interface that it is to keep to, and marks what leaves by it.
#include "lib/io/outlet.hpp"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "lib/io/system.hpp"

namespace post::io {

namespace {

// IPV6_PREFER_SRC_TMP and IPV6_PREFER_SRC_PUBLIC, of linux/in6.h, which does not go together with
// netinet/in.h.
constexpr int prefer_temporary = 0x0001;
constexpr int prefer_public = 0x0002;

// IP_UNICAST_IF and IPV6_UNICAST_IF: not done, because TCP does not mind them, and what comes in by
// other interfaces would be taken.
std::error_code bind_to(int fd, std::uint32_t interface) {
    if (set_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX, static_cast<int>(interface))) return {};
    if (errno != ENOPROTOOPT) return last_error();  // before Linux 5.0
    char name[IF_NAMESIZE] = {};
    if (!if_indextoname(interface, name)) return last_error();
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, sizeof(name)) == 0) return {};
    return last_error();
}

}  // namespace

std::error_code apply(const Io::Outlet& outlet, int fd, bool v6, bool& bound) {
    bound = true;
    // What the kernel does not know it does without: it is a preference.
    if (v6 && outlet.source != SourceChoice::automatic)
        set_option(fd, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES,
                   outlet.source == SourceChoice::temporary ? prefer_temporary : prefer_public);
    if (outlet.dscp != 0 && !set_option(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                                        v6 ? IPV6_TCLASS : IP_TOS, outlet.dscp << 2))
        return last_error();
    if (outlet.interface == 0) return {};
    const std::error_code error = bind_to(fd, outlet.interface);
    // Before Linux 5.7 that needs a privilege, and some sandboxes know nothing of it.
    // It has gone meanwhile, and whatever lay behind it.
    if (error == std::errc::no_such_device)
        return std::make_error_code(std::errc::network_unreachable);
    if (error && outlet.strict) return error;
    bound = !error;
    return {};
}

}  // namespace post::io
