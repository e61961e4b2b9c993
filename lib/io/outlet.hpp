// Binds a socket to the interface that it is to keep to, and says which of several addresses it
// comes from: socket(7), ipv6(7), RFC 5014.
#pragma once

#include <system_error>

#include "lib/io/io.hpp"

namespace post::io {

// Before bind() and connect(). `bound` turns false when the system does not allow it and the outlet
// is not strict.
std::error_code apply(const Io::Outlet& outlet, int fd, bool v6, bool& bound);

}  // namespace post::io
