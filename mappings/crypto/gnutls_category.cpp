// The texts of GnuTLS's error codes, for an Error that keeps one as its cause.
#include <post/error.hpp>

#include <gnutls/gnutls.h>

namespace post {
namespace {

class GnutlsCategory final : public std::error_category {
public:
    const char* name() const noexcept override { return "gnutls"; }
    std::string message(int code) const override {
        const char* text = gnutls_strerror(code);
        return text ? text : "unknown code";
    }
};

}  // namespace

const std::error_category& gnutls_category() noexcept {
    static const GnutlsCategory category;
    return category;
}

}  // namespace post
