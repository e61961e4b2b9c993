// The callbacks of nghttp3, with their cookie being the Connection. Included by mappings/http3
// only.
#pragma once

#include <cstdint>

#include <nghttp3/nghttp3.h>

namespace post::http3 {

void fill(nghttp3_callbacks& callbacks);

// Gives nghttp3 the body that was pulled last.
nghttp3_ssize read_body(nghttp3_conn* native, std::int64_t id, nghttp3_vec* vectors,
                        std::size_t count, std::uint32_t* flags, void* connection, void*);

}  // namespace post::http3
