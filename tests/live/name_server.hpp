// A name server with a script, on 127.0.0.1: answers A and AAAA queries as the test says, one turn
// at a time in the test's own loop.
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
    static constexpr int servfail = 2;
    static constexpr int nxdomain = 3;

    struct Reply {
        int rcode = 0;
        std::vector<std::string> addresses;
    };
    // What to say to a query of this type; nothing: stay silent.
    using Script = std::function<std::optional<Reply>(const std::string& name, int type)>;

    explicit NameServer(Script script)
        : script_(std::move(script)),
          fd_(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
        io::SocketAddress local(*Address::parse("127.0.0.1"));
        bind(fd_, &local.any, local.size);
        getsockname(fd_, &local.any, &local.size);
        address_ = io::address_of(local.any, local.size);
    }
    NameServer(const NameServer&) = delete;
    NameServer& operator=(const NameServer&) = delete;
    ~NameServer() { close(fd_); }

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
        while ((size = recvfrom(fd_, query.data(), query.size(), 0, &client.any, &client.size)) > 0)
            answer(query.substr(0, static_cast<std::size_t>(size)), client);
    }

private:
    void answer(const std::string& query, const io::SocketAddress& client) {
        if (query.size() < 17) return;
        ports_.insert(io::address_of(client.any, client.size).port);
        std::string name;
        std::size_t at = 12;
        while (at < query.size() && query[at] != 0) {
            const auto length = static_cast<std::size_t>(query[at]);
            name += (name.empty() ? "" : ".") + query.substr(at + 1, length);
            at += length + 1;
        }
        if (at + 5 > query.size()) return;
        const int type = query[at + 2];
        asked_.push_back(name + (type == type_aaaa ? " AAAA" : " A"));
        const auto reply = script_(name, type);
        if (!reply) return;

        // The header with QR, RD and RA, the question, and the answers; names point to offset 12.
        std::string out = query.substr(0, 2);
        out += '\x81';
        out += static_cast<char>(0x80 | reply->rcode);
        out += std::string("\0\1\0", 3) + static_cast<char>(reply->addresses.size());
        out += std::string("\0\0\0\0", 4) + query.substr(12, at + 5 - 12);
        for (const std::string& text : reply->addresses) {
            const Address address = *Address::parse(text);
            const std::size_t length = address.family == Address::Family::v4 ? 4 : 16;
            out += std::string("\xc0\x0c\0", 3) + static_cast<char>(type);
            out += std::string("\0\1\0\0\0\x3c\0", 7) + static_cast<char>(length);
            out.append(reinterpret_cast<const char*>(address.ip.data()), length);
        }
        sendto(fd_, out.data(), out.size(), 0, &client.any, client.size);
    }

    Script script_;
    int fd_;
    Address address_;
    std::vector<std::string> asked_;
    std::set<std::uint16_t> ports_;
};

}  // namespace post::test
