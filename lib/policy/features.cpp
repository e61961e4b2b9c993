// Looking up in the table, what all streams have in common, and the table as text.
#include "lib/policy/features.hpp"

#include <algorithm>
#include <array>

#include "lib/policy/stacks.hpp"

namespace post {

namespace {

struct Named {
    Feature feature;
    const char* name;
};
constexpr std::array<Named, feature_count> names{{
    {Feature::fork, "multistreaming"},
    {Feature::one_way, "oneWay"},
    {Feature::niceness, "niceness"},
    {Feature::lifetime, "lifetime"},
    {Feature::unordered, "unordered"},
    {Feature::unreliable, "perMsgReliability"},
    {Feature::antecedents, "antecedents"},
    {Feature::idempotent, "idempotent"},
    {Feature::immediate, "immediate"},
    {Feature::properties, "properties"},
    {Feature::message_boundaries, "preserveMsgBoundaries"},
    {Feature::acked, "acked"},
    {Feature::backpressure, "backpressure"},
    {Feature::label, "label"},
    {Feature::text, "text"},
    {Feature::datagram_options, "datagramOptions"},
    {Feature::security, "security"},
    {Feature::reliability, "reliability"},
    {Feature::order, "preserveOrder"},
    {Feature::congestion_control, "congestionControl"},
    {Feature::early_data, "zeroRttMsg"},
    {Feature::checksum_sent, "fullChecksumSend"},
    {Feature::checksum_received, "fullChecksumRecv"},
    {Feature::keep_alive, "keepAlive"},
    {Feature::soft_errors, "softErrorNotify"},
    {Feature::read_first, "activeReadBeforeSend"},
    {Feature::multipath, "multipath"},
    {Feature::temporary_address, "useTemporaryLocalAddress"},
    {Feature::advertises_altaddr, "advertisesAltaddr"},
    {Feature::migration, "migration"},
}};
constexpr std::array preferences{Preference::prohibit, Preference::avoid, Preference::none,
                                 Preference::prefer, Preference::require};

}  // namespace

const char* to_string(Feature feature) noexcept {
    for (const Named& each : names)
        if (each.feature == feature) return each.name;
    return "unknown";
}

std::optional<Feature> feature_of(std::string_view name) noexcept {
    for (const Named& each : names)
        if (each.name == name) return each.feature;
    return std::nullopt;
}

const char* to_string(Support::Level level) noexcept {
    switch (level) {
        case Support::Level::native: return "native";
        case Support::Level::emulated: return "emulated";
        case Support::Level::unsupported: return "unsupported";
    }
    return "unknown";
}

const char* to_string(Preference preference) noexcept {
    switch (preference) {
        case Preference::prohibit: return "prohibit";
        case Preference::avoid: return "avoid";
        case Preference::none: return "none";
        case Preference::prefer: return "prefer";
        case Preference::require: return "require";
    }
    return "unknown";
}

std::optional<Preference> preference_of(std::string_view name) noexcept {
    for (const Preference each : preferences)
        if (to_string(each) == name) return each;
    return std::nullopt;
}

}  // namespace post

namespace post::core {

std::span<const Cell> stream_cells() {
    using enum Support::Level;
    static constexpr Cell cells[] = {
        {Feature::fork, When::always, native, "a fork is the next stream of the connection"},
        {Feature::backpressure, When::always, native,
         "each stream has a flow control window of its own"},
        {Feature::niceness, When::plain, emulated,
         "orders what is sent; the receiver sees no class"},
        {Feature::niceness, When::always, emulated,
         "our scheduler decides what goes into the next packet"},
        {Feature::lifetime, When::plain, emulated,
         "until the first byte is sent; what has begun is finished"},
        {Feature::lifetime, When::always, emulated,
         "unsent bytes are dropped and announced as such"},
        {Feature::unordered, When::plain, emulated,
         "may leave before others; the stream keeps order"},
        {Feature::unordered, When::always, emulated,
         "may leave, and is given out, before others of its class"},
        {Feature::antecedents, When::waits, emulated,
         "a message leaves behind those that it comes after, and the peer's library holds it until "
         "they are there"},
        {Feature::antecedents, When::always, emulated,
         "a message leaves when those that it comes after are acknowledged"},
        {Feature::immediate, When::always, native,
         "no message ever waits to be sent together with others"},
        {Feature::properties, When::plain, unsupported, "a plain peer has no place for them"},
        {Feature::properties, When::no_properties, unsupported,
         "the peer's library does not take them"},
        {Feature::properties, When::always, emulated, "fields of the Post frame"},
        {Feature::idempotent, When::plain, unsupported, "a plain peer has no place for the mark"},
        {Feature::idempotent, When::always, emulated, "a mark in the Post frame"},
        {Feature::message_boundaries, When::plain, unsupported,
         "raw framing: what arrives in one go is one message"},
        {Feature::message_boundaries, When::always, emulated, "Post frames"},
        {Feature::label, When::always, unsupported, "the stack has no data channels"},
        {Feature::text, When::post, emulated, "a mark in the Post frame"},
        {Feature::text, When::always, unsupported, "a plain peer has no place for the mark"},
        {Feature::datagram_options, When::always, unsupported,
         "messages share packets, and their headers"},
        {Feature::acked, When::plain, native, "the peer's transport acknowledged every byte"},
        {Feature::acked, When::always, emulated,
         "the peer's library holds the whole message (DELIVERED)"},
        {Feature::reliability, When::always, native, "what is lost is sent again"},
        {Feature::order, When::always, native, "a stream keeps it"},
        {Feature::congestion_control, When::always, native, "one window for the connection"},
        {Feature::early_data, When::always, unsupported,
         "its handshake carries no messages: nothing is sent before it is complete"},
        {Feature::keep_alive, When::always, native, "Bounds::keep_alive"},
        {Feature::soft_errors, When::always, unsupported,
         "ICMP errors end attempts, and are not told later on"},
        {Feature::read_first, When::plain, unsupported,
         "the peer hears of a Carrier with its first byte"},
        {Feature::read_first, When::always, emulated, "ForkOptions::announce opens the Carrier"},
        {Feature::multipath, When::always, unsupported, "one path at a time"},
        {Feature::migration, When::always, unsupported,
         "the stack keeps to the addresses that it began with"},
        {Feature::temporary_address, When::always, unsupported,
         "no matter of the stack: Local::source chooses"},
        {Feature::advertises_altaddr, When::always, unsupported,
         "the peer hears of no address of ours but the one that it is spoken to from"},
    };
    return cells;
}

namespace {

bool holds(When when, const Peer& peer) {
    switch (when) {
        case When::always: return true;
        case When::post: return !peer.plain;
        case When::plain: return peer.plain;
        case When::messages: return peer.messages;
        case When::no_datagrams: return !peer.datagrams;
        case When::waits: return peer.waits;
        case When::no_properties: return !peer.properties;
    }
    return false;
}

// What may be said of one message.
constexpr std::array of_messages{
    Feature::niceness,    Feature::lifetime,           Feature::unordered, Feature::unreliable,
    Feature::antecedents, Feature::idempotent,         Feature::immediate, Feature::properties,
    Feature::text,        Feature::message_boundaries, Feature::acked,
};

std::vector<Feature> all_features() {
    std::vector<Feature> all;
    for (std::uint8_t i = 0; i < feature_count; ++i) all.push_back(static_cast<Feature>(i));
    return all;
}

std::string line(const std::vector<std::string>& cells) {
    std::string text = "|";
    for (const std::string& cell : cells) text += " " + cell + " |";
    return text + "\n";
}

std::string in_words(const Support& support) {
    return to_string(support.level) + std::string(": ") + support.reason;
}

}  // namespace

Peer expected(Stack stack, bool plain) {
    if (!plain && row(stack).post) return {};
    return {.plain = true, .messages = row(stack).messages, .waits = false, .properties = false};
}

Support explain(Stack stack, Feature feature, const Peer& peer) {
    const StackRow& from = row(stack);
    const std::span<const Cell> none;
    for (const auto& cells : {from.cells, from.connections ? connection_cells() : none,
                              from.streams ? stream_cells() : none})
        for (const Cell& cell : cells)
            if (cell.feature == feature && holds(cell.when, peer)) return {cell.level, cell.reason};
    return {Support::Level::unsupported, "the stack has nothing like it"};
}

FeatureTable explain(Stack stack, const Peer& peer) {
    FeatureTable all;
    for (const Feature each : all_features()) all.emplace_back(each, explain(stack, each, peer));
    return all;
}

std::string table_of_levels(bool plain) {
    std::vector<Stack> stacks = all_stacks();
    std::erase_if(stacks,
                  [plain](Stack stack) { return plain ? !row(stack).plain : !row(stack).post; });
    std::vector<std::string> head{"feature"};
    std::vector<std::string> rule{"---"};
    for (const Stack stack : stacks) {
        head.push_back("`" + std::string(row(stack).name) + "`");
        rule.push_back("---");
    }
    std::string text = line(head) + line(rule);
    for (const Feature feature : all_features()) {
        std::vector<std::string> cells{"`" + std::string(to_string(feature)) + "`"};
        for (const Stack stack : stacks)
            cells.push_back(to_string(explain(stack, feature, expected(stack, plain)).level));
        text += line(cells);
    }
    return text;
}

std::string table_in_words(Stack stack) {
    const std::string name = "`" + std::string(row(stack).name) + "`";
    std::string text = line({"feature", "to a Post peer over " + name,
                             "to a plain peer over " + name}) +
                       line({"---", "---", "---"});
    for (const Feature feature : of_messages)
        text += line({"`" + std::string(to_string(feature)) + "`",
                      in_words(explain(stack, feature, expected(stack, false))),
                      in_words(explain(stack, feature, expected(stack, true)))});
    return text;
}

}  // namespace post::core

namespace post {

std::string to_string(const FeatureTable& table) {
    std::string text;
    for (const auto& [feature, support] : table)
        text += to_string(feature) + std::string(": ") + core::in_words(support) + "\n";
    return text;
}

}  // namespace post
