// The rules for fields that go out; those that come in are checked by nghttp3.
#include "mappings/http3/fields.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "mappings/http3/protocols.hpp"

namespace post::http3 {

namespace {

// RFC 9114, 4.2: without capitals.
bool is_name(std::string_view name) {
    return is_token(name) &&
           std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

// RFC 9110, 5.5.
bool is_value(std::string_view value) {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    if (!value.empty() && (blank(value.front()) || blank(value.back()))) return false;
    return std::none_of(value.begin(), value.end(), [](char c) {
        const auto code = static_cast<unsigned char>(c);
        return (code < 0x20 && c != '\t') || code == 0x7f;
    });
}

// RFC 9114, 4.2: fields that speak of a connection of HTTP/1.1.
bool of_connection(std::string_view name, std::string_view value) {
    constexpr std::array names{std::string_view("connection"), std::string_view("keep-alive"),
                               std::string_view("proxy-connection"),
                               std::string_view("transfer-encoding"), std::string_view("upgrade")};
    return std::find(names.begin(), names.end(), name) != names.end() ||
           (name == "te" && value != "trailers");
}

bool is_pseudo(std::string_view name, Section section) {
    switch (section) {
        case Section::request:
            return name == ":method" || name == ":scheme" || name == ":authority" ||
                   name == ":path" || name == ":protocol";
        case Section::response: return name == ":status";
        case Section::trailers: return false;
    }
    return false;
}

// Nobody on the way keeps these in a table (RFC 9204, 7.1).
bool is_secret(std::string_view name) {
    return name == "authorization" || name == "proxy-authorization" || name == "set-cookie";
}

}  // namespace

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty())
        return std::nullopt;
    return value;
}

std::optional<int> status_of(const Properties& fields) {
    const std::string* text = fields.find(":status");
    const auto value = text && text->size() == 3 ? number(*text) : std::nullopt;
    if (!value || *value < 100 || *value > 599) return std::nullopt;
    return static_cast<int>(*value);
}

bool is_interim(int status) { return status / 100 == 1; }

bool has_no_content(int status) { return status == 204 || status == 304 || is_interim(status); }

bool opens_tunnel(int status) { return status / 100 == 2 && !has_no_content(status); }

Fields::Fields(const Properties& properties, Section section, const Defaults& defaults) {
    native_.reserve(properties.size() + 6);
    const bool content = defaults.length > 0;
    bool length_said = false;
    bool priority_said = false;
    if (section == Section::request) {
        tunnel_ = properties.find(":protocol") != nullptr;
        add_pseudo(properties, ":method", tunnel_ ? "CONNECT" : content ? "POST" : "GET");
        method_ = {reinterpret_cast<const char*>(native_.front().value), native_.front().valuelen};
        add_pseudo(properties, ":scheme", "https");
        add_pseudo(properties, ":authority", defaults.authority);
        add_pseudo(properties, ":path", defaults.target.empty() ? "/" : defaults.target);
        if (tunnel_) add_pseudo(properties, ":protocol", {});
        if (tunnel_ != (method_ == "CONNECT"))
            wrong_ = "CONNECT and `:protocol` go together (RFC 9220)";
    } else if (section == Section::response) {
        add_pseudo(properties, ":status", "200");
        const auto status = properties.find(":status") ? status_of(properties) : 200;
        if (!status || *status == 101) wrong_ = "`:status` is 100 to 599, and not 101";
        status_ = status.value_or(0);
        tunnel_ = defaults.connect && opens_tunnel(status_);
    }
    for (const auto& [name, value] : properties) {
        check(name, value, section);
        if (name.starts_with(':')) continue;
        add(name, value);
        length_said |= name == "content-length";
        priority_said |= name == "priority";
        trailers_ |= name == "trailer" && section != Section::trailers;
        leave_ |= name == "expect" && section == Section::request && value == "100-continue";
        if (name == "content-length" && content && number(value) != defaults.length)
            wrong_ = "`content-length` says another length than the content has";
    }
    if (tunnel_ && (length_said || trailers_ || leave_))
        wrong_ = "a tunnel has no `content-length`, no `trailer` and no `expect`";
    if (section == Section::trailers || (section == Section::response && is_interim(status_)))
        return;
    const bool bodiless = section == Section::response && has_no_content(status_);
    const bool plain_question = section == Section::request && !content &&
                                (method_ == "GET" || method_ == "HEAD");
    if (!length_said && !bodiless && !plain_question && !trailers_ && !tunnel_) {
        length_ = std::to_string(defaults.length);
        add("content-length", length_);
    }
    // RFC 9218, 4.1: 3 is what goes without saying, and 7 the last.
    const auto urgency = std::min(3 + int{defaults.niceness.value()}, 7);
    if (!priority_said && section == Section::request && urgency != 3) {
        priority_ = "u=" + std::to_string(urgency);
        add("priority", priority_);
    }
}

void Fields::add(std::string_view name, std::string_view value) {
    const auto bytes = [](std::string_view text) {
        // nghttp3 reads through the pointer only.
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
    };
    native_.push_back({bytes(name), bytes(value), name.size(), value.size(),
                       is_secret(name) ? std::uint8_t{NGHTTP3_NV_FLAG_NEVER_INDEX}
                                       : std::uint8_t{NGHTTP3_NV_FLAG_NONE}});
}

void Fields::add_pseudo(const Properties& properties, std::string_view name,
                        std::string_view otherwise) {
    const std::string* said = properties.find(name);
    add(name, said ? std::string_view(*said) : otherwise);
}

void Fields::check(std::string_view name, std::string_view value, Section section) {
    const bool pseudo = is_pseudo(name, section);
    if (!pseudo && !is_name(name))
        wrong_ = "\"" + std::string(name) + "\" is no name of a field here";
    else if (!is_value(value) || (pseudo && value.empty()))
        wrong_ = "the value of \"" + std::string(name) + "\" is none that a field can have";
    else if (of_connection(name, value))
        wrong_ = "\"" + std::string(name) + "\" has no place in HTTP/3";
}

}  // namespace post::http3
