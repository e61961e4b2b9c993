// usrsctp's header, and what it forgets to declare. Included by mappings/sctp only.
#pragma once

#include <usrsctp.h>

namespace post::sctp {

// Socket options that the library has and its header has not.
inline constexpr int option_interleaving_supported = 0x1206;

}  // namespace post::sctp
