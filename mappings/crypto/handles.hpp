// Owners for GnuTLS's objects, and its return values as Errors. Included only in this folder.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <post/error.hpp>

namespace post::crypto {

template <auto Free> struct Freer {
    template <class T> void operator()(T* handle) const noexcept { Free(handle); }
};
template <class Handle, auto Free>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Freer<Free>>;

using Certificate = Owned<gnutls_x509_crt_t, gnutls_x509_crt_deinit>;
using PrivateKey = Owned<gnutls_x509_privkey_t, gnutls_x509_privkey_deinit>;

inline std::error_code gnutls_code(int code) { return {code, gnutls_category()}; }

inline Error gnutls_failure(Errc errc, int code, Stage stage, std::string_view detail) {
    return Error(errc, gnutls_code(code), stage, Bytes(detail));
}

// For what only fails when the machine is out of memory or randomness.
inline void must(int code, std::string_view what) {
    if (code < 0) throw Failure(gnutls_failure(Errc::unsupported, code, Stage::call, what));
}

inline gnutls_datum_t datum(std::string_view text) {
    return {reinterpret_cast<unsigned char*>(const_cast<char*>(text.data())),
            static_cast<unsigned>(text.size())};
}

inline std::span<const std::byte> bytes_of(const gnutls_datum_t& datum) {
    return std::as_bytes(std::span(datum.data, datum.size));
}

// Memory that GnuTLS allocated for us.
struct Datum : gnutls_datum_t {
    Datum() : gnutls_datum_t{nullptr, 0} {}
    Datum(const Datum&) = delete;
    Datum& operator=(const Datum&) = delete;
    ~Datum() { gnutls_free(data); }
    std::string string() const { return {reinterpret_cast<const char*>(data), size}; }
};

}  // namespace post::crypto
