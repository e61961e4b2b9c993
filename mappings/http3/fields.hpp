// Fields: what a message's properties are as fields of HTTP (RFC 9114, 4.2 and 4.3): which may
// stand, what is filled in where nothing is said, and their form for nghttp3.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nghttp3/nghttp3.h>

#include <post/properties.hpp>

#include "mappings/values.hpp"

namespace post::http3 {

// What a section of fields is the beginning, or the end, of.
enum class Section : std::uint8_t { request, response, trailers };

// A whole number in decimal, with nothing around it.
std::optional<std::uint64_t> number(std::string_view text);
// 100 to 599, of `:status`.
std::optional<int> status_of(const Properties& fields);
bool is_interim(int status);
// Such a response, or one to HEAD, has no content whatever its fields say.
bool has_no_content(int status);
// With such a response to extended CONNECT the tunnel is open (RFC 9220, 3; RFC 8441, 4).
bool opens_tunnel(int status);

// What goes out: the properties as they are, behind them what was filled in. Views into them.
class Fields {
public:
    struct Defaults {
        std::string_view authority;
        std::string_view target;
        std::uint64_t length = 0;  // of the content
        NicenessClass niceness{};
        bool connect = false;  // of a response: to extended CONNECT
    };
    Fields(const Properties& properties, Section section, const Defaults& defaults);

    // What is wrong with them; empty: nothing.
    const std::string& wrong() const { return wrong_; }
    const std::vector<nghttp3_nv>& native() const { return native_; }
    bool is_head() const { return method_ == "HEAD"; }
    // Trailers are to come.
    bool announces_trailers() const { return trailers_; }
    bool asks_for_leave() const { return leave_; }
    // What follows is a tunnel: of a request, if it is answered so.
    bool is_tunnel() const { return tunnel_; }
    int status() const { return status_; }

private:
    void add(std::string_view name, std::string_view value);
    void add_pseudo(const Properties& properties, std::string_view name,
                    std::string_view otherwise);
    void check(std::string_view name, std::string_view value, Section section);

    std::vector<nghttp3_nv> native_;
    std::string wrong_;
    std::string length_;
    std::string priority_;
    std::string_view method_;
    int status_ = 0;
    bool trailers_ = false;
    bool leave_ = false;
    bool tunnel_ = false;
};

}  // namespace post::http3
