// Limit rows over TCP: plain, and with TLS 1.3 by GnuTLS (AES-128-GCM); and the calibrator.
#pragma once

#include "row.hpp"

namespace post::bench {

void serve_tcp(const ServerEnd& end);
void measure_tcp(const ClientEnd& end);
void serve_tls(const ServerEnd& end);
void measure_tls(const ClientEnd& end);
// 64 bytes there and back over TLS.
void serve_tls_echo(const ServerEnd& end);
void measure_tls_trip(const ClientEnd& end);
// One core sealing 1452-byte records, nothing else: tells fast phases of a machine from slow ones.
void calibrate(const ClientEnd& end);

}  // namespace post::bench
