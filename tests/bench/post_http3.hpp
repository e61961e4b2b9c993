// HTTP/3: a server whose paths say how long their answers are, as that of ngtcp2's examples, and
// what is measured with it.
#pragma once

#include "row.hpp"

namespace post::bench {

// Answers each request for "/N" with N bytes.
void serve_http3(const ServerEnd& end);

// One answer without an end.
void measure_http3_download(const ClientEnd& end);
// Requests that are answered with 64 bytes, 100 at once.
void measure_http3_requests(const ClientEnd& end);

}  // namespace post::bench
