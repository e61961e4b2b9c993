// The sockets of rtnetlink(7).
#include "lib/io/interfaces.hpp"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "lib/io/rtnetlink.hpp"
#include "lib/io/system.hpp"

namespace post::io {

namespace {

// What the kernel puts into one answer, at most (NLMSG_GOODSIZE, and 32 KiB for who asks with that
// much room).
constexpr std::size_t answer_size = 32 * 1024;
// Of one question: 4 MiB, some 30,000 routes. A router with a table of the whole Internet has its
// default routes, which come first, and more_routes.
constexpr int most_answers = 128;
constexpr int most_tries = 3;           // when something changes meanwhile
constexpr int most_events = 64;         // that one turn takes from the watch
constexpr std::size_t type_file = 512;  // bytes of a uevent file that are looked at

sockaddr_nl kernel() {
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    return address;
}

Error failed(std::error_code code) {
    return Error(Errc::unsupported, code, Stage::call, "asking the system for its interfaces");
}

// One question, and all of its answers.
InterfaceTable::Answer ask(int fd, std::uint16_t type, std::uint32_t sequence,
                           InterfaceTable& table, std::error_code& error) {
    using Answer = InterfaceTable::Answer;
    struct {
        nlmsghdr header{};
        rtgenmsg body{};
    } question;
    question.header.nlmsg_len = NLMSG_LENGTH(sizeof(question.body));
    question.header.nlmsg_type = type;
    question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    question.header.nlmsg_seq = sequence;
    question.body.rtgen_family = AF_UNSPEC;
    const sockaddr_nl to = kernel();
    if (sendto(fd, &question, question.header.nlmsg_len, 0, reinterpret_cast<const sockaddr*>(&to),
               sizeof(to)) < 0) {
        error = last_error();
        return Answer::refused;
    }
    const auto space = std::make_unique<std::array<std::byte, answer_size>>();
    for (int i = 0; i < most_answers; ++i) {
        sockaddr_nl from{};
        iovec vector{space->data(), space->size()};
        msghdr message{};
        message.msg_name = &from;
        message.msg_namelen = sizeof(from);
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        ssize_t size;
        // The kernel answers inside the calls themselves: nothing is waited for.
        do size = recvmsg(fd, &message, MSG_DONTWAIT);
        while (size < 0 && errno == EINTR);
        if (size < 0) {
            error = last_error();
            return Answer::refused;
        }
        if (from.nl_pid != 0) continue;  // another process
        if ((message.msg_flags & MSG_TRUNC) != 0) return Answer::malformed;
        const Answer answer = table.take({space->data(), static_cast<std::size_t>(size)}, sequence);
        if (answer != Answer::more) return answer;
    }
    return Answer::done;
}

// What netlink does not tell: whether there is a radio. Of interfaces of this namespace alone;
// where /sys is not there, nothing is added.
InterfaceType radio_of(const Interface& interface) {
    const std::string path = "/sys/class/net/" + interface.name + "/uevent";
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, type_file> text{};
    const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : 0;
    const std::string_view found(text.data(), static_cast<std::size_t>(size > 0 ? size : 0));
    const std::string index = "IFINDEX=" + std::to_string(interface.index) + "\n";
    if (found.find(index) == std::string_view::npos) return interface.type;
    if (found.find("DEVTYPE=wlan\n") != std::string_view::npos) return InterfaceType::wifi;
    if (found.find("DEVTYPE=wwan\n") != std::string_view::npos) return InterfaceType::cellular;
    return interface.type;
}

}  // namespace

Result<std::vector<Interface>> Interfaces::gather() {
    // Watched first, so that nothing happens unseen between the two.
    open_watch();
    std::error_code error;
    for (int tries = 0; tries < most_tries; ++tries) {
        const Descriptor fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
        if (!fd) return failed(last_error());
        InterfaceTable table;
        auto answer = InterfaceTable::Answer::done;
        std::uint32_t sequence = 0;
        for (const std::uint16_t type : {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE}) {
            answer = ask(fd.get(), type, ++sequence, table, error);
            if (answer != InterfaceTable::Answer::done) break;
        }
        if (answer == InterfaceTable::Answer::interrupted) continue;
        if (answer != InterfaceTable::Answer::done)
            return failed(error ? error : std::make_error_code(std::errc::protocol_error));
        std::vector<Interface> found = table.interfaces();
        for (Interface& interface : found)
            if (interface.type == InterfaceType::wired || interface.type == InterfaceType::tunnel)
                interface.type = radio_of(interface);
        return found;
    }
    return failed(std::make_error_code(std::errc::resource_unavailable_try_again));
}

void Interfaces::open_watch() {
    if (watch_) return;
    Descriptor fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    sockaddr_nl groups = kernel();
    groups.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                       RTMGRP_IPV6_ROUTE;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = event_;
    if (!fd || bind(fd.get(), reinterpret_cast<const sockaddr*>(&groups), sizeof(groups)) != 0 ||
        epoll_ctl(epoll_, EPOLL_CTL_ADD, fd.get(), &event) != 0)
        return;
    watch_ = std::move(fd);
}

// What it says is not read: who wants to know asks for all of it.
void Interfaces::handle_event() {
    std::array<std::byte, 64> space;
    for (int i = 0; i < most_events; ++i) {
        const ssize_t size = recv(watch_.get(), space.data(), space.size(), MSG_TRUNC);
        // ENOBUFS: there were more than fit; they count all the same.
        if (size < 0 && errno != ENOBUFS && errno != EINTR) return;
        changed_ = true;
    }
}

// Without a watch anything may have changed.
bool Interfaces::poll_changed() { return std::exchange(changed_, false) || !watch_; }

}  // namespace post::io
