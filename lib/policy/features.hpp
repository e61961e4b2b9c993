// The one table of what each stack gives: natively, by our work, or not. A stack is one
// declaration, a list of cells in a file of its own and a row in stacks.cpp; explain(), selection
// and the README's tables all read it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <post/feature.hpp>
#include <post/policy.hpp>

namespace post::core {

// What is known, or assumed, of the peer.
struct Peer {
    bool plain = false;      // does not speak Post
    bool datagrams = true;   // takes messages that travel alone
    bool messages = false;   // plain: the transport has messages itself
    bool waits = true;       // Post: holds what comes after others
    bool properties = true;  // Post: takes them
};
// As one may expect it before there is a connection.
Peer expected(Stack stack, bool plain);

// A cell counts when its condition holds. The first that does is taken, the stack's own ones before
// those that all stacks of streams have in common.
enum class When : std::uint8_t {
    always,
    post,
    plain,
    messages,      // Peer::messages
    no_datagrams,  // and so on: without that
    waits,
    no_properties,
};
struct Cell {
    Feature feature;
    When when;
    Support::Level level;
    const char* reason;
};

Support explain(Stack stack, Feature feature, const Peer& peer);

// All of them, for one stack and peer.
FeatureTable explain(Stack stack, const Peer& peer);

// The README's tables, in Markdown: levels for all stacks (that serve plain peers), and one stack
// in words.
std::string table_of_levels(bool plain);
std::string table_in_words(Stack stack);

// Every stack there is.
std::vector<Stack> all_stacks();

}  // namespace post::core
