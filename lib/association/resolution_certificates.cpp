// Resolution: whose certificates (TLSA) are asked for, and when they keep an endpoint back.
#include <algorithm>
#include <utility>

#include "lib/association/resolution.hpp"

namespace post::core {

// Its key; asked once for the same host and port.
std::string Resolution::ask_certificates(const std::string& host, std::uint16_t port, bool alias) {
    std::string key = '_' + std::to_string(port) + ' ' + host;
    const auto [at, fresh] = bases_.try_emplace(key, Base{.host = host, .alias = alias});
    if (!fresh) return key;
    at->second.missing = 2;
    for (const auto& [transport, label] :
         {std::pair(Transport::udp, "._udp."), std::pair(Transport::tcp, "._tcp.")})
        ask({{.question = Question::tlsa, .name = '_' + std::to_string(port) + label + host},
             0,
             transport,
             key});
    return key;
}

// RFC 7671, 7: the name at the end of an alias, when the way there was authenticated.
void Resolution::ask_alias(Target& target) {
    if (target.base.empty() || !target.alias.empty()) return;
    const Base& base = bases_.at(target.base);
    const auto host = hosts_.find(base.host);
    if (host == hosts_.end() || host->second.alias.empty()) return;
    const std::uint16_t port = target.way == 0 ? target.port : ways_.front().remote.port();
    target.alias = ask_certificates(host->second.alias, port, true);
}

void Resolution::handle_certificates(const Query& query, const Answer& answer) {
    Base& base = bases_.at(query.base);
    if (base.missing > 0) --base.missing;
    if (answer.error && !answer.denied) base.withheld = true;
    // RFC 6698, 4.1: what nobody has validated says nothing.
    if (answer.authenticated) base.records[static_cast<std::size_t>(query.transport)] = answer.tlsa;
}

// RFC 7672, 2.1.2: who keeps certificates from us where the addresses are authenticated means no
// good. Elsewhere old name servers stumble over the question.
bool Resolution::kept_from_us(const std::string& key) const {
    const auto base = bases_.find(key);
    if (base == bases_.end() || !base->second.withheld) return false;
    const auto host = hosts_.find(base->second.host);
    return base->second.alias || (host != hosts_.end() && host->second.authenticated);
}

bool Resolution::held(const Target& target) const {
    for (const std::string& key : {target.base, target.alias}) {
        const auto base = bases_.find(key);
        if (base != bases_.end() && (base->second.missing > 0 || kept_from_us(key))) return true;
    }
    return false;
}

Resolution::Certificates Resolution::certificates(const Address& endpoint,
                                                  Transport transport) const {
    const auto place = ever_told_.find(endpoint.string());
    if (place == ever_told_.end()) return {};
    for (const std::string& key : {place->second.alias, place->second.base}) {
        const auto base = bases_.find(key);
        if (base == bases_.end()) continue;
        const auto& records = base->second.records[static_cast<std::size_t>(transport)];
        if (!records.empty()) return {records, base->second.host};
    }
    return {};
}

}  // namespace post::core
