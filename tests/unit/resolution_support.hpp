// A scripted name service for tests of Resolution, and what is found as text.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "lib/association/resolution.hpp"

namespace post::test {

using core::Resolution;
using Texts = std::vector<std::string>;

inline const char* text_of(Question question) {
    const char* texts[] = {"addresses", "SVCB", "HTTPS", "SRV", "TLSA"};
    return texts[static_cast<std::size_t>(question)];
}

// A name service that answers each lookup in the order in which it was asked.
struct Names {
    std::map<std::string, std::vector<Address>> addresses;
    std::map<std::string, std::vector<ServiceRecord>> services;
    std::map<std::string, std::vector<ServerRecord>> servers;
    std::map<std::string, std::vector<Tlsa>> tlsa;
    std::set<std::string> failing;  // SERVFAIL
    bool authenticated = false;
    std::set<std::string> unsigned_names;        // although all others are authenticated
    std::map<std::string, std::string> aliases;  // CNAME: whose addresses a name has
    Texts asked;

    void host(const std::string& name, std::initializer_list<const char*> texts) {
        for (const char* text : texts) addresses[name].push_back(*Address::parse(text));
    }

    std::vector<Answer> answers(const Resolution::Lookup& lookup) {
        asked.push_back(std::string(text_of(lookup.question)) + " " + lookup.name +
                        (lookup.service.empty() ? "" : " service " + lookup.service));
        std::vector<Answer> all(1);
        all[0].authenticated = authenticated && unsigned_names.count(lookup.name) == 0;
        const auto alias = aliases.find(lookup.name);
        all[0].name = alias == aliases.end() ? lookup.name : alias->second;
        switch (lookup.question) {
            case Question::addresses: {
                all.push_back(all[0]);
                all[0].kind = RecordKind::aaaa;
                all[1].kind = RecordKind::a;
                for (Address address : addresses[all[0].name]) {
                    address.port = lookup.service.empty() ? lookup.port : 7;
                    all[address.family == Address::Family::v6 ? 0 : 1].addresses.push_back(address);
                }
                break;
            }
            case Question::svcb:
            case Question::https:
                all[0].kind = lookup.question == Question::svcb ? RecordKind::svcb
                                                                : RecordKind::https;
                all[0].services = services[lookup.name];
                break;
            case Question::srv:
                all[0].kind = RecordKind::srv;
                all[0].servers = servers[lookup.name];
                break;
            case Question::tlsa:
                all[0].kind = RecordKind::tlsa;
                all[0].tlsa = tlsa[lookup.name];
                break;
        }
        for (Answer& answer : all) {
            const bool empty = answer.addresses.empty() && answer.services.empty() &&
                               answer.servers.empty() && answer.tlsa.empty();
            if (failing.count(lookup.name) != 0) answer = {.kind = answer.kind};
            if (!empty && !failing.count(lookup.name)) continue;
            answer.denied = !failing.count(lookup.name);
            answer.error = Error(Errc::resolve_failed, {}, Stage::resolve,
                                 Bytes("nothing for " + lookup.name));
        }
        return all;
    }

    void answer(Resolution& resolution, const Resolution::Lookup& lookup) {
        const auto all = answers(lookup);
        for (std::size_t i = 0; i < all.size(); ++i)
            resolution.handle_answer(lookup.id, all[i], i + 1 == all.size());
    }
    Resolution resolve(const Remote& remote, const Resolution::Options& options = {}) {
        Resolution resolution;
        resolution.begin(remote, options);
        while (const auto lookup = resolution.poll_lookup()) answer(resolution, *lookup);
        CHECK(resolution.complete());
        CHECK(resolution.answered() == Resolution::Answered{true, true, true});
        return resolution;
    }
};

inline Texts texts(const Resolution& resolution) {
    Texts all;
    for (const auto& endpoint : resolution.endpoints()) {
        std::string text = endpoint.address.string() + " " + std::to_string(endpoint.priority);
        for (const auto& alpn : endpoint.alpn.value_or(Texts{})) text += " " + alpn;
        all.push_back(text + ", " + endpoint.from);
    }
    return all;
}

inline Tlsa certificate(char content) { return {3, 1, 1, Bytes(std::string(32, content))}; }

// The contents of the certificates at an endpoint for UDP and for TCP, and whose they are.
inline Texts certificates(Resolution& resolution, std::string_view endpoint) {
    resolution.poll_endpoints();
    const std::size_t colon = endpoint.rfind(':');
    const auto port = static_cast<std::uint16_t>(
        std::stoul(std::string(endpoint.substr(colon + 1))));
    Texts all;
    for (const auto transport : {Resolution::Transport::udp, Resolution::Transport::tcp}) {
        const auto found = resolution.certificates(*Address::parse(endpoint.substr(0, colon), port),
                                                   transport);
        all.push_back(found.records.empty()
                          ? ""
                          : found.records[0].data.string().substr(0, 1) + ' ' + found.host);
    }
    return all;
}

}  // namespace post::test
