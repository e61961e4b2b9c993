// Our values in ngtcp2's form and back: times, addresses, paths. ngtcp2 only compares addresses,
// so that nothing here asks the system anything.
#pragma once

#include <algorithm>
#include <cstring>

#include <netinet/in.h>

#include <ngtcp2/ngtcp2.h>

#include <post/address.hpp>
#include <post/time.hpp>

#include "mappings/quic/routes.hpp"

namespace post::quic {

// ngtcp2 counts nanoseconds from anywhere, but not below zero, and keeps the largest for "never".
inline ngtcp2_tstamp to_timestamp(Instant instant) {
    return static_cast<ngtcp2_tstamp>(std::max<Clock::rep>(0, instant.time_since_epoch().count()));
}
inline Instant to_instant(ngtcp2_tstamp timestamp) {
    constexpr auto last = static_cast<ngtcp2_tstamp>(Instant::max().time_since_epoch().count());
    if (timestamp >= last) return never;
    return Instant(Duration(static_cast<Clock::rep>(timestamp)));
}
// At least a millisecond (0 would switch a timeout off), at most a day.
inline ngtcp2_duration to_timeout(Duration duration) {
    return static_cast<ngtcp2_duration>(
        std::clamp<Duration>(duration, std::chrono::milliseconds(1), std::chrono::hours(24))
            .count());
}

inline ngtcp2_cid to_native(const ConnectionId& id) {
    ngtcp2_cid native;
    ngtcp2_cid_init(&native, id.data(), id.size);
    return native;
}
inline ConnectionId to_id(const ngtcp2_cid& native) { return {native.data, native.datalen}; }

inline ngtcp2_socklen to_sockaddr(const Address& address, ngtcp2_sockaddr_union& out) {
    std::memset(&out, 0, sizeof out);
    if (address.family == Address::Family::v4) {
        out.in.sin_family = AF_INET;
        out.in.sin_port = htons(address.port);
        std::memcpy(&out.in.sin_addr, address.ip.data(), 4);
        return sizeof out.in;
    }
    out.in6.sin6_family = AF_INET6;
    out.in6.sin6_port = htons(address.port);
    out.in6.sin6_scope_id = address.scope;
    std::memcpy(&out.in6.sin6_addr, address.ip.data(), 16);
    return sizeof out.in6;
}

inline Address to_address(const ngtcp2_addr& from) {
    Address address;
    if (from.addr == nullptr || from.addrlen == 0) return address;
    ngtcp2_sockaddr_union in;
    std::memset(&in, 0, sizeof in);
    std::memcpy(&in, from.addr, std::min<std::size_t>(from.addrlen, sizeof in));
    if (in.sa.sa_family == AF_INET) {
        address.family = Address::Family::v4;
        address.port = ntohs(in.in.sin_port);
        std::memcpy(address.ip.data(), &in.in.sin_addr, 4);
    } else if (in.sa.sa_family == AF_INET6) {
        address.family = Address::Family::v6;
        address.port = ntohs(in.in6.sin6_port);
        address.scope = in.in6.sin6_scope_id;
        std::memcpy(address.ip.data(), &in.in6.sin6_addr, 16);
    }
    return address;
}

// A path with room for its own addresses. It points into itself and therefore stays where it is.
class PathStorage {
public:
    PathStorage() {
        std::memset(&storage_, 0, sizeof storage_);
        ngtcp2_path_storage_zero(&storage_);
    }
    PathStorage(const Address& local, const Address& remote) : PathStorage() {
        storage_.path.local.addrlen = to_sockaddr(local, storage_.local_addrbuf);
        storage_.path.remote.addrlen = to_sockaddr(remote, storage_.remote_addrbuf);
    }
    PathStorage(const PathStorage&) = delete;
    PathStorage& operator=(const PathStorage&) = delete;

    ngtcp2_path* path() { return &storage_.path; }
    Address local() const { return to_address(storage_.path.local); }
    Address remote() const { return to_address(storage_.path.remote); }

private:
    ngtcp2_path_storage storage_;
};

}  // namespace post::quic
