// The texts of ngtcp2's error codes, for an Error that keeps one as its cause.
#include <post/error.hpp>

#include <ngtcp2/ngtcp2.h>

namespace post {
namespace {

class Ngtcp2Category final : public std::error_category {
public:
    const char* name() const noexcept override { return "ngtcp2"; }
    std::string message(int code) const override { return ngtcp2_strerror(code); }
};

}  // namespace

const std::error_category& ngtcp2_category() noexcept {
    static const Ngtcp2Category category;
    return category;
}

}  // namespace post
