// A-labels, by GnuTLS.
#include "mappings/crypto/idna.hpp"

#include <gnutls/gnutls.h>

#include "mappings/crypto/handles.hpp"

namespace post::crypto {

Result<std::string> ascii_name(std::string_view utf8) {
    // A name of 253 letters in ASCII has fewer bytes than this in UTF-8; GnuTLS takes C strings.
    constexpr std::size_t longest = 4 * 253;
    if (utf8.empty() || utf8.size() > longest || utf8.find('\0') != std::string_view::npos)
        return Error(Errc::invalid_argument, {}, Stage::call);
    const std::string text(utf8);
    Datum name;
    const int code = gnutls_idna_map(text.c_str(), static_cast<unsigned>(text.size()), &name, 0);
    if (code == GNUTLS_E_UNIMPLEMENTED_FEATURE)
        return gnutls_failure(Errc::unsupported, code, Stage::call,
                              "this GnuTLS knows no names beyond ASCII");
    if (code < 0)
        return gnutls_failure(Errc::invalid_argument, code, Stage::call, gnutls_strerror(code));
    return name.string();
}

}  // namespace post::crypto
