// Fuzz target for what names a peer. The first byte chooses: a URL, which is refused with a caret
// below one of its bytes or can be written and read again; a host, which never makes more than a
// name that DNS could have; or a name server's message, of which nothing but a bounded number of
// usable records is kept, whatever kind was asked for.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <ares.h>

#include <post/remote.hpp>

#include "lib/io/resolver_records.hpp"

namespace {

using namespace post;

void require(bool condition) {
    if (!condition) std::abort();
}

void check(const Remote& remote) {
    require(!remote.host().empty() && remote.host().size() <= 254);
    for (const char c : remote.host()) require(c > ' ' && c <= '~');
    require(remote.port() != 0);
    require(remote.complete() == (remote.address().family != Address::Family::none));
    require(remote.target().empty() == (remote.scheme() != Scheme::https));
    const auto again = Remote::parse(remote.string());
    require(again && *again == remote);
}

void read_url(std::string_view url) {
    const auto remote = Remote::parse(url);
    if (remote) return check(*remote);
    require(remote.error() == Errc::invalid_url);
    require(remote.error().detail.view().find("^\n") != std::string_view::npos);
}

void read_host(std::string_view host) {
    try {
        check(Remote(host, 4433));
    } catch (const Failure& failure) {
        require(failure.error() == Errc::invalid_argument);
    }
}

void check_services(const Answer& answer) {
    for (const ServiceRecord& record : answer.services) {
        require(record.target.size() <= 253);
        require(record.priority == 0 || !record.port || *record.port != 0);
        require(!record.no_default_alpn || !record.alpn.empty());
        for (const std::string& alpn : record.alpn) require(!alpn.empty() && alpn.size() <= 255);
        for (const auto* hints : {&record.ipv4_hint, &record.ipv6_hint})
            for (const Address& hint : *hints) require(io::is_usable(hint));
    }
}

void read_message(std::string_view data) {
    ares_dns_record_t* message = nullptr;
    if (ares_dns_parse(reinterpret_cast<const unsigned char*>(data.data()), data.size(), 0,
                       &message) != ARES_SUCCESS)
        return;
    for (const RecordKind kind : {RecordKind::aaaa, RecordKind::a, RecordKind::svcb,
                                  RecordKind::https, RecordKind::srv, RecordKind::tlsa}) {
        const auto read = io::read_answer(*message, kind);
        const Answer& answer = read.answer;
        const std::size_t count = answer.addresses.size() + answer.services.size() +
                                  answer.servers.size() + answer.tlsa.size();
        require(count <= Answer::most);
        require((count > 0) == (read.status == ARES_SUCCESS));
        require(answer.ttl >= Duration::zero() && answer.ttl <= std::chrono::hours(24));
        require(!answer.denied || count == 0);
        require(read.reason.size() <= 192);
        for (const char c : read.reason) require(c >= ' ' && c <= '~');
        for (const Address& address : answer.addresses) require(io::is_usable(address));
        check_services(answer);
    }
    ares_dns_record_destroy(message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view data(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    switch (bytes[0] % 3) {
        case 0: read_url(data); break;
        case 1: read_host(data); break;
        case 2: read_message(data); break;
    }
    return 0;
}
