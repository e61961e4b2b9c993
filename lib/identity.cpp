// Identity and Trust: reading files and checking PEM at the call. The cryptography is in
// mappings/crypto/credentials; here is only what turns its answers into the public values.

#include <post/identity.hpp>

#include <cerrno>
#include <fstream>

#include "mappings/crypto/credentials.hpp"

namespace post {

namespace {

// A PEM file that is larger than this is no PEM file.
constexpr std::size_t largest_file = 16 * 1024 * 1024;

Error unreadable(const std::string& path, int code, const char* why) {
    return Error(Errc::invalid_pem, std::error_code(code, std::generic_category()), Stage::call,
                 path + ": " + why);
}

Result<std::string> read_file(const std::string& path) {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file) return unreadable(path, errno ? errno : ENOENT, "cannot be opened");
    std::string text;
    char part[4096];
    while (file.read(part, sizeof part) || file.gcount() > 0) {
        text.append(part, static_cast<std::size_t>(file.gcount()));
        if (text.size() > largest_file) return unreadable(path, EFBIG, "longer than 16 MiB");
    }
    // A folder can be opened, but not read.
    if (file.bad()) return unreadable(path, errno ? errno : EIO, "cannot be read");
    return text;
}

// The same fault, with the name of the file in front.
Error in_file(Error error, const std::string& path) {
    error.detail = Bytes(path + ": " + error.detail.string());
    return error;
}

}  // namespace

Result<Identity> Identity::try_from_pem(std::string_view certificates, std::string_view key) {
    auto pin = crypto::check_identity(certificates, key);
    if (!pin) return pin.error();
    Identity identity;
    identity.certificates_ = Bytes(certificates);
    identity.key_ = Bytes(key);
    identity.pin_ = std::move(*pin);
    return identity;
}

Identity Identity::from_pem(std::string_view certificates, std::string_view key) {
    return try_from_pem(certificates, key).value();
}

Result<Identity> Identity::try_from_files(const std::string& certificates, const std::string& key) {
    auto chain = read_file(certificates);
    if (!chain) return chain.error();
    auto secret = read_file(key);
    if (!secret) return secret.error();
    auto identity = try_from_pem(*chain, *secret);
    if (identity) return identity;
    return in_file(identity.error(), certificates + ", " + key);
}

Identity Identity::from_files(const std::string& certificates, const std::string& key) {
    return try_from_files(certificates, key).value();
}

Identity Identity::self_signed(std::string_view name) {
    crypto::CertificateRequest request;
    request.names.emplace_back(name);
    for (const char* local : {"localhost", "127.0.0.1", "::1"})
        if (name != local) request.names.emplace_back(local);
    auto pair = crypto::make_certificate(request);
    return from_pem(pair.certificates, pair.key);
}

std::string Identity::fingerprint() const {
    return *this ? crypto::fingerprint_of_pem(certificates_.view()) : std::string();
}

Result<Trust> Trust::try_authorities(std::string_view pem) {
    if (auto checked = crypto::check_authorities(pem); !checked) return checked.error();
    Trust trust;
    trust.kind_ = Kind::authorities;
    trust.authorities_ = Bytes(pem);
    return trust;
}

Trust Trust::authorities(std::string_view pem) { return try_authorities(pem).value(); }

Result<Trust> Trust::try_authorities_file(const std::string& path) {
    auto text = read_file(path);
    if (!text) return text.error();
    auto trust = try_authorities(*text);
    if (trust) return trust;
    return in_file(trust.error(), path);
}

Trust Trust::authorities_file(const std::string& path) {
    return try_authorities_file(path).value();
}

Trust Trust::pinned(Pin pin) {
    if (!crypto::is_pin(pin))
        throw Failure(Error(Errc::invalid_argument, {}, Stage::call,
                            "not a pin (\"sha256//\" and 44 characters of base64): " + pin));
    Trust trust;
    trust.kind_ = Kind::pinned;
    trust.pin_ = std::move(pin);
    return trust;
}

Trust Trust::fingerprint(std::string_view text) {
    auto normal = crypto::normal_fingerprint(text);
    if (normal.empty())
        throw Failure(Error(Errc::invalid_argument, {}, Stage::call,
                            "not a fingerprint (\"sha-256 4A:AD:...\", or sha-384 or sha-512): " +
                                std::string(text)));
    Trust trust;
    trust.kind_ = Kind::fingerprint;
    trust.fingerprint_ = std::move(normal);
    return trust;
}

Trust Trust::danger_anyone() {
    Trust trust;
    trust.kind_ = Kind::danger_anyone;
    return trust;
}

}  // namespace post
