// Requests in early data (0-RTT; RFC 8470, RFC 9114, 4.1 and 7.2.4.2): a client's go with the first
// flight where the server's SETTINGS are remembered, a server's come before its client is known.
//
//   client   sends early: start() --> Established, accepted: what was held goes on
//                                 \-> Established, rejected: all begins again
//   server   event::Early: start() --> Established

#include <algorithm>
#include <utility>

#include "mappings/http3/connection.hpp"
#include "mappings/http3/errors.hpp"
#include "mappings/http3/fields.hpp"

namespace post::http3 {

namespace {

// RFC 8470, 4: other methods may not go early, whatever the application says of its message.
bool is_safe(const Piece& piece) {
    const std::string* method = piece.extras ? piece.extras->properties.find(":method") : nullptr;
    if (!method) return piece.total == 0;  // GET, else POST
    return *method == "GET" || *method == "HEAD" || *method == "OPTIONS";
}

// As RFC 9114, 4.2.2 counts them; what is filled in is not much, and counted as this.
constexpr std::uint64_t filled_in = 512;

std::uint64_t section_of(const Piece& piece) {
    std::uint64_t size = filled_in;
    if (piece.extras)
        for (const auto& [name, value] : piece.extras->properties)
            size += name.size() + value.size() + 32;
    return size;
}

}  // namespace

void Connection::begin_early() {
    if (role_ != Role::client || !options_.remembered || !below_->sends_early()) return;
    early_ = true;
    start();
}

// What may not go early, or must not go at all, waits for the handshake.
bool Connection::hold_early(Request& request, const Piece& piece) {
    if (!early_ || role_ != Role::client || !piece.first()) return false;
    const std::uint64_t target = request.target ? request.target->size() : 0;
    const bool goes = is_safe(piece) && !wrong(request, piece) &&
                      !(piece.extras && piece.extras->properties.find(":protocol")) &&
                      section_of(piece) + target <= options_.remembered->field_section;
    if (goes) return false;
    request.held = true;
    request.pulled = piece;
    if (piece.bytes.size() < small_content) request.pulled->bytes = copy(piece.bytes.span());
    return true;
}

void Connection::handle(event::Early& event) {
    if (event.alpn == alpn) {
        early_ = true;
        start();
    }
    events_.push_back(std::move(event));
}

void Connection::end_early(event::Established::Early outcome) {
    if (!std::exchange(early_, false) || role_ == Role::server) return;
    if (outcome != event::Established::Early::accepted) return begin_again();
    keeps_promise_ = true;
    std::vector<CarrierId> held;
    for (const auto& [carrier, request] : requests_)
        if (request.held) held.push_back(carrier);
    std::sort(held.begin(), held.end());
    for (const CarrierId carrier : held) {
        resumed_.push_back(carrier);
        events_.push_back(event::Unblocked{carrier});
    }
}

// Nothing of the first flight counts: below no stream is left of it, and above nobody knows of it.
void Connection::begin_again() {
    native_.reset();
    requests_.clear();
    streams_.clear();
    resumed_.clear();
    while (!ready_.empty()) ready_.pop_front();
    bound_ = false;
    waiting_for_leave_ = 0;
    control_rules_ = {};
}

// A ticket is kept with the SETTINGS of its connection, which may come behind it.
void Connection::handle(event::Ticket& event) {
    if (!settled_) {
        if (tickets_.size() < most_tickets) tickets_.push_back(std::move(event));
        return;
    }
    if (!event.parameters.empty())
        event.parameters = Kept{std::move(event.parameters), settings_}.write();
    events_.push_back(std::move(event));
}

// False: the server does not keep to what it promised when it took early data.
bool Connection::keep_settings(const Remembered& settings) {
    settings_ = settings;
    settled_ = true;
    if (keeps_promise_ && !options_.remembered->holds(settings)) {
        end_ = error_of(Errc::protocol_violation, code::settings_error,
                        "the server took early data, and allows less than its earlier SETTINGS");
        return false;
    }
    for (event::Ticket& ticket : std::exchange(tickets_, {})) handle(ticket);
    return true;
}

}  // namespace post::http3
