// Properties: names and values that an application gives a message for the receiving application
// (RFC 9622, 9.1.3 lists the fixed ones; these are its own). They reach a Post peer beside the
// content; a plain peer has no place for them, except on http3, where they are the fields of HTTP
// (post/http.hpp). And Antecedents: what a message has to come after.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <post/boxed.hpp>
#include <post/ids.hpp>

namespace post {

class Properties {
public:
    using Entry = std::pair<std::string, std::string>;

    // All of a message together: names, values, and 2 to 4 bytes for each of them. More is
    // invalid_argument at the send, as is an empty name. On http3 it is the next line, with 32
    // bytes for each (RFC 9114, 4.2.2).
    static constexpr std::size_t largest = 512;
    static constexpr std::size_t largest_fields = 16 * 1024;

    Properties() = default;
    Properties(std::initializer_list<Entry> entries) {
        for (const Entry& entry : entries) add(entry.first, entry.second);
    }

    // In the order in which they were added; a name may stand twice.
    void add(std::string name, std::string value) {
        if (!entries_) entries_ = std::vector<Entry>{};
        entries_->emplace_back(std::move(name), std::move(value));
    }
    // The first value of that name; nullptr when there is none.
    const std::string* find(std::string_view name) const {
        for (const Entry& entry : *this)
            if (entry.first == name) return &entry.second;
        return nullptr;
    }
    bool empty() const { return size() == 0; }
    std::size_t size() const { return entries_ ? entries_->size() : 0; }
    const Entry* begin() const { return entries_ ? entries_->data() : nullptr; }
    const Entry* end() const { return begin() + size(); }

private:
    core::Boxed<std::vector<Entry>> entries_;
};

// What a message has to come after (draft 2.2.3): at most 16 messages that were sent before, on any
// Carrier of the same Association.
class Antecedents {
public:
    static constexpr std::size_t most = 16;

    Antecedents() = default;
    Antecedents(std::initializer_list<MessageId> messages) {
        for (const MessageId& message : messages) add(message);
    }
    void add(const MessageId& message) {
        if (!messages_) messages_ = std::vector<MessageId>{};
        messages_->push_back(message);
    }
    bool empty() const { return !messages_ || messages_->empty(); }
    std::size_t size() const { return messages_ ? messages_->size() : 0; }
    const MessageId* begin() const { return messages_ ? messages_->data() : nullptr; }
    const MessageId* end() const { return begin() + size(); }

private:
    core::Boxed<std::vector<MessageId>> messages_;
};

}  // namespace post
