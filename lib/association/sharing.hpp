// Sharing: the key under which Carriers share an association, part by part, so that two keys can
// tell in what they differ. The text holds all of it: Remote, and the aspects in their order.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <post/reuse.hpp>

namespace post {
class Remote;
struct InitiateOptions;
}  // namespace post

namespace post::core {

class SharingKey {
public:
    explicit SharingKey(std::string_view remote) : remote_(remote) {}
    // One more part of what is to be the same.
    void add(Reuse::Aspect aspect, std::string_view part);
    // "9:something" for the Remote and for each aspect, whose parts are written in the same way.
    std::string text() const;

private:
    std::string remote_;
    std::array<std::string, reuse_aspect_count> aspects_;
};

// All that Carriers must agree on to share an association (sharing_key.cpp).
std::string sharing_key(const Remote& remote, const InitiateOptions& options);

// Of two such texts: who goes to the same Remote at all, and what is different then. Other texts
// differ in nothing that has a name.
std::string_view remote_of(std::string_view key);
std::vector<Reuse::Aspect> differences(std::string_view a, std::string_view b);

}  // namespace post::core
