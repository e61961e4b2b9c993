// What the system measures of a TCP connection.
#pragma once

#include <post/path.hpp>

namespace post::io {

// Puts into the path what the system knows of the connection; the rest stays.
void measure_tcp(int fd, Path& path);

}  // namespace post::io
