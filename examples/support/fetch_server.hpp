// The server of parallel_fetch: on the first Carrier of a client it sends its catalogue; on each
// fork it answers requests, one after the other. A request is a path; the answer is the file in
// parts of at most 1 MiB. What is not in the catalogue is answered with an abort.
#pragma once

#include <fstream>
#include <unordered_map>

#include <post/coro.hpp>
#include <post/post.hpp>

#include "catalogue.hpp"

namespace example {

inline constexpr std::size_t part_size = 1 << 20;
inline constexpr std::string_view generated_prefix = "generated/";

// Generated content is this megabyte again and again, so that it can be checked at memory speed.
inline const post::Bytes& pattern() {
    static const post::Bytes megabyte = [] {
        std::string text(part_size, '\0');
        std::uint64_t state = 0x9E3779B97F4A7C15;
        for (char& c : text) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            c = static_cast<char>(state);
        }
        return post::Bytes(std::move(text));
    }();
    return megabyte;
}

class FetchServer {
public:
    FetchServer(std::filesystem::path root, Catalogue files)
        : root_(std::move(root)), files_(std::move(files)) {
        for (const File& file : files_) by_path_[file.path] = &file;
    }

    void serve(post::Listener& listener) {
        listener.accept([this](post::Carrier carrier) {
            carrier.accept([this](post::Carrier fork) {
                answer(std::move(fork));
                return true;
            });
            greet(std::move(carrier));
            return true;
        });
    }

private:
    post::Task<> greet(post::Carrier carrier) {
        co_await carrier.send(to_message(files_));
        for (bool open = true; open;) open = static_cast<bool>(co_await carrier.receive());
    }

    post::Task<> answer(post::Carrier carrier) {
        while (auto request = co_await carrier.receive()) {
            const auto found = by_path_.find(request->content().string());
            if (found == by_path_.end()) co_return carrier.abort(post::AbortCode{404});
            const File& file = *found->second;
            const bool generated = file.path.starts_with(generated_prefix);
            std::ifstream in;
            if (!generated) in.open(root_ / file.path, std::ios::binary);
            for (std::uint64_t at = 0; at < file.size;) {
                const auto size = std::min<std::uint64_t>(part_size, file.size - at);
                post::Bytes part = pattern().slice(0, size);
                if (!generated) {
                    std::string text(size, '\0');
                    in.read(text.data(), static_cast<std::streamsize>(size));
                    if (!in) co_return carrier.abort(post::AbortCode{500});  // it changed meanwhile
                    part = post::Bytes(std::move(text));
                }
                if (!co_await carrier.send(std::move(part))) co_return;
                at += size;
            }
        }
    }

    std::filesystem::path root_;
    Catalogue files_;
    std::unordered_map<std::string, const File*> by_path_;
};

}  // namespace example
