// Names for other people's name servers:
//
//   names serve ADDRESS PORT CERTIFICATES KEY   sends back what comes, until it is ended
//   names resolve SERVER WHOM                   prints what WHOM is resolved to, an address a line
//   names reach SERVER TRUST STACK WHOM         connects, says a word and hears it: prints how
//
// WHOM is a URL, or SERVICE@HOST. SERVER is a name server's ADDRESS:PORT, TRUST is "trusted" when
// its word counts wherever it is, STACK a stack's name or "any". Only the system's authorities and
// what DNS says of certificates are believed. 0: in good order; 1: what went wrong was printed.
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <post/post.hpp>

#include "number.hpp"

namespace {

post::Remote remote_of(const std::string& whom) {
    const std::size_t at = whom.find('@');
    if (at == std::string::npos) return post::Remote(whom);
    return post::Remote::service(whom.substr(at + 1), whom.substr(0, at), post::Scheme::post);
}

int print(const post::Error& error) {
    std::cout << error.message() << '\n' << error.detail.string() << std::endl;
    return 1;
}

void serve(const std::string& ip, std::uint16_t port, const std::string& certificates,
           const std::string& key) {
    const auto address = post::Address::parse(ip, port);
    if (!address) throw std::runtime_error(ip + " is no address");
    post::Context context;
    auto listener = context.listen({.port = port,
                                    .address = *address,
                                    .identity = post::Identity::from_files(certificates, key)});
    listener.accept([](post::Carrier carrier) {
        carrier.ready([](post::Carrier& from, post::InMessage message) {
            from.send(std::move(message).content());
            return true;
        });
        return true;
    });
    std::cout << "listening" << std::endl;
    context.run();
}

int resolve(const std::string& server, const std::string& whom) {
    post::Context context({.name_servers = {server}});
    int status = 0;
    context.resolve(remote_of(whom)).then([&](post::Result<std::vector<post::Remote>> found) {
        if (!found) return (void)(status = print(found.error()));
        for (const post::Remote& remote : *found)
            std::cout << remote.address().string() << std::endl;
    });
    context.run();
    return status;
}

int reach(const std::string& server, bool trusted, const std::string& stack,
          const std::string& whom) {
    post::Context context({.name_servers = {server}, .trust_name_servers = trusted});
    post::InitiateOptions options{.trust = post::Trust::system()};
    if (const auto only = post::stack_of(stack)) options.policy.stacks = {*only};
    auto carrier = context.initiate(remote_of(whom), options);
    int status = 1;
    carrier.on_closed([&](const post::Error& error) {
        if (status != 0) print(error);
    });
    carrier.send("hello");
    carrier.ready([&](post::Carrier& from, post::InMessage message) {
        status = message.content().view() == "hello" ? 0 : 1;
        if (const auto made = from.association().establishment())
            std::cout << made->string() << std::endl;
        from.close();
        return false;
    });
    context.run();
    return status;
}

}  // namespace

int main(int count, char** values) {
    const std::vector<std::string> words(values + 1, values + count);
    const auto is = [&](const char* verb, std::size_t size) {
        return words.size() == size && words[0] == verb;
    };
    try {
        if (is("serve", 5))
            serve(words[1], number<std::uint16_t>(words[2]), words[3], words[4]);
        else if (is("resolve", 3))
            return resolve(words[1], words[2]);
        else if (is("reach", 5))
            return reach(words[1], words[2] == "trusted", words[3], words[4]);
        else
            throw std::invalid_argument("usage: see the head of names.cpp");
    } catch (const std::exception& problem) {
        std::cerr << problem.what() << '\n';
        return 1;
    }
    return 0;
}
