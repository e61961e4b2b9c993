// Plain datagrams for other people's software:
//
//   udp_peer echo PORT                          sends back what comes, and prints it
//   udp_peer ask ADDRESS PORT TEXT              sends it, and prints the answer
//   udp_peer sink GROUP PORT INTERFACE          prints what is sent to the group
//   udp_peer source GROUP PORT INTERFACE TEXT   sends it to the group
//
// echo and sink say "listening" when they do, and go on until they are ended.
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <post/post.hpp>
#include <post/responder.hpp>

namespace {

using post::Policy;

const Policy datagrams{.security = post::Security::none, .stacks = {post::Stack::udp}};

void show(post::InMessage& message) {
    std::cout << message.remote()->ip_string() << ": " << message.content().string() << std::endl;
}

post::Address address_of(const std::string& ip, std::uint16_t port) {
    const auto address = post::Address::parse(ip, port);
    if (!address) throw std::runtime_error(ip + " is no address");
    return *address;
}

void echo(std::uint16_t port) {
    post::Context context;
    post::respond(context.listen({.port = port}, {.policy = datagrams}),
                  [](post::InMessage request, post::Source reply) {
                      show(request);
                      reply.send(std::move(request).content());
                  });
    std::cout << "listening" << std::endl;
    context.run();
}

void ask(const post::Address& remote, const std::string& text) {
    post::Context context;
    auto carrier = context.initiate(post::Remote(remote), {.policy = datagrams});
    carrier.send(text);
    carrier.ready([](post::Carrier&, post::InMessage answer) {
        show(answer);
        return false;
    });
    context.run();
}

void sink(const post::Address& group, const std::string& interface) {
    post::Context context;
    auto sink = context.listen_sink({.address = group},
                                    {.policy = datagrams, .udp = {.interface = interface}});
    sink.ready([](post::Carrier&, post::InMessage message) {
        show(message);
        return true;
    });
    std::cout << "listening" << std::endl;
    context.run();
}

void source(const post::Address& group, const std::string& interface, const std::string& text) {
    post::Context context;
    auto source = context.initiate_source(post::Remote(group),
                                          {.policy = datagrams, .udp = {.interface = interface}});
    source.send(text, {.final = true});
    context.run();
}

}  // namespace

int main(int count, char** values) {
    const std::vector<std::string> words(values + 1, values + count);
    const auto is = [&](const char* verb, std::size_t size) {
        return words.size() == size && words[0] == verb;
    };
    const auto port = [&](std::size_t at) {
        return static_cast<std::uint16_t>(std::stoul(words[at]));
    };
    try {
        if (is("echo", 2))
            echo(port(1));
        else if (is("ask", 4))
            ask(address_of(words[1], port(2)), words[3]);
        else if (is("sink", 4))
            sink(address_of(words[1], port(2)), words[3]);
        else if (is("source", 5))
            source(address_of(words[1], port(2)), words[3], words[4]);
        else
            throw std::runtime_error("echo, ask, sink or source, and what they need");
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
