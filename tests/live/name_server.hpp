// A name server with a script, on 127.0.0.1: answers queries over UDP and TCP as the test says, one
// turn at a time in the test's own loop. Records are bytes, so that they can be wrong.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/io/sockaddr.hpp"

namespace post::test {

class NameServer {
public:
    // RFC 1035, 3.2.2 and RFC 3596; 4.1.1: response codes.
    static constexpr int type_a = 1;
    static constexpr int type_aaaa = 28;
    static constexpr int type_cname = 5;
    static constexpr int type_soa = 6;
    static constexpr int type_srv = 33;
    static constexpr int type_tlsa = 52;
    static constexpr int type_svcb = 64;
    static constexpr int type_https = 65;
    static constexpr int servfail = 2;
    static constexpr int nxdomain = 3;

    struct Record {
        int type = 0;
        std::string data;
        std::string owner{};  // empty: the name that was asked for
        std::uint32_t ttl = 60;
    };
    struct Reply {
        int rcode = 0;
        std::vector<std::string> addresses{};
        std::vector<Record> records{};                // behind the addresses
        std::uint32_t ttl = 60;                       // of the addresses
        bool authenticated = false;                   // the AD bit
        bool truncated = false;                       // over UDP, without an answer
        bool edns_error = false;                      // FORMERR for who speaks EDNS
        std::optional<std::uint32_t> negative_ttl{};  // with an SOA record
        std::string options{};                        // of EDNS
    };
    // What to say to a query of this type; nothing: stay silent.
    using Script = std::function<std::optional<Reply>(const std::string& name, int type)>;

    explicit NameServer(Script script) : script_(std::move(script)) {
        // The same port for both, and who else runs on this machine may have one of them.
        while (!bound()) {
            close(fd_);
            close(listening_);
        }
        listen(listening_, 16);
    }
    NameServer(const NameServer&) = delete;
    NameServer& operator=(const NameServer&) = delete;
    ~NameServer() {
        close(fd_);
        close(listening_);
        for (const int fd : connections_) close(fd);
    }

    // The bytes of a name, of 16 bits, and of a parameter of a service (RFC 9460, 2.2).
    static std::string name(const std::string& text) {
        std::string bytes;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find('.', at), text.size());
            bytes += static_cast<char>(end - at) + text.substr(at, end - at);
            at = end + 1;
        }
        return bytes + '\0';
    }
    static std::string u16(unsigned value) {
        return {static_cast<char>(value >> 8), static_cast<char>(value)};
    }
    static std::string u32(std::uint32_t value) { return u16(value >> 16) + u16(value & 0xffff); }
    static std::string parameter(unsigned key, const std::string& value) {
        return u16(key) + u16(static_cast<unsigned>(value.size())) + value;
    }

    std::string address() const { return address_.string(); }
    const std::vector<std::string>& asked() const { return asked_; }
    // From how many different ports queries have come.
    std::size_t ports() const { return ports_.size(); }

    // Answers what has come.
    void serve() {
        std::string query(2048, '\0');
        io::SocketAddress client;
        client.size = sizeof(client.v6);
        ssize_t size;
        while ((size = recvfrom(fd_, query.data(), query.size(), 0, &client.any, &client.size)) >
               0) {
            ports_.insert(io::address_of(client.any, client.size).port);
            const std::string out = answer(query.substr(0, static_cast<std::size_t>(size)), false);
            if (!out.empty()) sendto(fd_, out.data(), out.size(), 0, &client.any, client.size);
        }
        for (int fd; (fd = accept4(listening_, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;)
            connections_.push_back(fd);
        for (const int fd : connections_) {
            if ((size = recv(fd, query.data(), query.size(), 0)) <= 2) continue;
            const std::string out = answer(query.substr(2, static_cast<std::size_t>(size) - 2),
                                           true);
            const std::string whole = u16(static_cast<unsigned>(out.size())) + out;
            if (!out.empty()) send(fd, whole.data(), whole.size(), MSG_NOSIGNAL);
        }
    }

private:
    // Whether one port that the system gave could be had over UDP and TCP.
    bool bound() {
        fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        listening_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        io::SocketAddress local(*Address::parse("127.0.0.1"));
        bind(fd_, &local.any, local.size);
        getsockname(fd_, &local.any, &local.size);
        address_ = io::address_of(local.any, local.size);
        return bind(listening_, &local.any, local.size) == 0;
    }

    static const char* text_of(int type) {
        switch (type) {
            case type_a: return " A";
            case type_aaaa: return " AAAA";
            case type_srv: return " SRV";
            case type_tlsa: return " TLSA";
            case type_svcb: return " SVCB";
            case type_https: return " HTTPS";
            default: return " ?";
        }
    }

    static std::string written(const Record& record) {
        return (record.owner.empty() ? std::string("\xc0\x0c") : name(record.owner)) +
               u16(static_cast<unsigned>(record.type)) + u16(1) + u32(record.ttl) +
               u16(static_cast<unsigned>(record.data.size())) + record.data;
    }

    std::string answer(const std::string& query, bool tcp) {
        if (query.size() < 17) return {};
        std::string name;
        std::size_t at = 12;
        while (at < query.size() && query[at] != 0) {
            const auto length = static_cast<std::size_t>(query[at]);
            name += (name.empty() ? "" : ".") + query.substr(at + 1, length);
            at += length + 1;
        }
        if (at + 5 > query.size()) return {};
        const int type = query[at + 2];
        const bool edns = query[11] != 0;
        asked_.push_back(name + text_of(type) + (tcp ? " TCP" : "") +
                         (edns ? "" : " without EDNS"));
        auto reply = script_(name, type);
        if (!reply) return {};
        if (reply->edns_error && edns) reply = Reply{.rcode = 1};
        const bool cut = reply->truncated && !tcp;

        std::vector<Record> records;
        for (const std::string& text : reply->addresses) {
            const Address address = *Address::parse(text);
            const std::size_t length = address.family == Address::Family::v4 ? 4 : 16;
            records.push_back(
                {type, {reinterpret_cast<const char*>(address.ip.data()), length}, {}, reply->ttl});
        }
        records.insert(records.end(), reply->records.begin(), reply->records.end());
        if (cut) records.clear();

        // The header with QR, RD and RA, the question, and the answers; names point to offset 12.
        std::string out = query.substr(0, 2);
        out += static_cast<char>(0x81 | (cut ? 2 : 0));
        out += static_cast<char>(0x80 | (reply->authenticated ? 0x20 : 0) | reply->rcode);
        out += u16(1) + u16(static_cast<unsigned>(records.size()));
        out += u16(reply->negative_ttl ? 1 : 0) + u16(reply->options.empty() ? 0 : 1) +
               query.substr(12, at + 5 - 12);
        for (const Record& record : records) out += written(record);
        if (reply->negative_ttl)
            out += written({type_soa,
                            NameServer::name("ns.example") + NameServer::name("root.example") +
                                u32(1) + u32(2) + u32(3) + u32(4) + u32(*reply->negative_ttl),
                            "example", 3600});
        // RFC 6891, 6.1.2: the root, OPT, what fits into UDP, no flags, and the options.
        if (!reply->options.empty())
            out += '\0' + u16(41) + u16(1232) + u32(0) +
                   u16(static_cast<unsigned>(reply->options.size())) + reply->options;
        return out;
    }

    Script script_;
    int fd_ = -1;
    int listening_ = -1;
    std::vector<int> connections_;
    Address address_;
    std::vector<std::string> asked_;
    std::set<std::uint16_t> ports_;
};

}  // namespace post::test
