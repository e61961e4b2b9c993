// The limits of what is kept of one peer.
#include <algorithm>

#include <post/association_store.hpp>

namespace post {

namespace {

using Kept = KeptAssociation;

bool from_the_future(WallTime now, WallTime at) { return at > now + Kept::slack; }

bool good(WallTime now, const ResumptionTicket& ticket) {
    return !from_the_future(now, ticket.issued) && now < ticket.expires &&
           now < ticket.issued + Kept::longest_ticket;
}

bool good(WallTime now, const AddressToken& token) {
    return !from_the_future(now, token.issued) && now < token.issued + Kept::token_life;
}

std::size_t size_of(const ResumptionTicket& ticket) {
    return ticket.session.size() + ticket.parameters.size();
}

// Of those that `alike` holds for, the oldest go until there is room for one more below `most`.
template <class Items, class Alike> void make_room(Items& items, std::size_t most, Alike alike) {
    auto count = static_cast<std::size_t>(std::count_if(items.begin(), items.end(), alike));
    while (count-- >= most) items.erase(std::find_if(items.begin(), items.end(), alike));
}

// The newest that is good and `alike`.
template <class Items, class Alike> auto newest(Items& items, WallTime now, Alike alike) {
    return std::find_if(items.rbegin(), items.rend(),
                        [&](const auto& item) { return alike(item) && good(now, item); });
}

template <class Item, class Alike>
std::optional<Item> take(std::vector<Item>& items, WallTime now, Alike alike) {
    const auto at = newest(items, now, alike);
    if (at == items.rend()) return std::nullopt;
    Item taken = std::move(*at);
    items.erase(std::next(at).base());
    return taken;
}

auto of_stack(Stack stack) {
    return [stack](const ResumptionTicket& ticket) { return ticket.stack == stack; };
}
auto of_address(const Address& remote) {
    return [&remote](const AddressToken& token) { return token.remote == remote; };
}

}  // namespace

void KeptAssociation::keep(WallTime now, ResumptionTicket ticket) {
    if (ticket.session.empty() || size_of(ticket) > most_ticket_bytes || !good(now, ticket)) return;
    drop_stale(now);
    make_room(tickets, most_tickets, of_stack(ticket.stack));
    std::size_t all = size_of(ticket);
    for (const ResumptionTicket& each : tickets) all += size_of(each);
    while (all > most_ticket_bytes) {
        all -= size_of(tickets.front());
        tickets.erase(tickets.begin());
    }
    tickets.push_back(std::move(ticket));
    used = now;
}

void KeptAssociation::keep(WallTime now, AddressToken token) {
    if (token.token.empty() || token.token.size() > most_token_bytes || !good(now, token)) return;
    drop_stale(now);
    make_room(tokens, most_tokens, of_address(token.remote));
    make_room(tokens, most_tokens * most_addresses, [](const AddressToken&) { return true; });
    tokens.push_back(std::move(token));
    used = now;
}

std::optional<ResumptionTicket> KeptAssociation::take_ticket(WallTime now, Stack stack) {
    used = now;
    return take(tickets, now, of_stack(stack));
}

std::optional<AddressToken> KeptAssociation::take_token(WallTime now, const Address& remote) {
    used = now;
    return take(tokens, now, of_address(remote));
}

bool KeptAssociation::has_ticket(WallTime now, Stack stack) const {
    return newest(tickets, now, of_stack(stack)) != tickets.rend();
}

bool KeptAssociation::has_token(WallTime now, const Address& remote) const {
    return newest(tokens, now, of_address(remote)) != tokens.rend();
}

void KeptAssociation::drop_stale(WallTime now) {
    std::erase_if(tickets, [&](const auto& ticket) { return !good(now, ticket); });
    std::erase_if(tokens, [&](const auto& token) { return !good(now, token); });
    const auto stale = [&](const Leaf& leaf) {
        return from_the_future(now, leaf.at) || leaf.at + life < now;
    };
    std::erase_if(failed, stale);
    if (winner && stale(*winner)) winner.reset();
}

bool KeptAssociation::empty() const {
    return tickets.empty() && tokens.empty() && !winner && failed.empty() && rtt == Duration{};
}

}  // namespace post
