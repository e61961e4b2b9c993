// The client of parallel_fetch: gets the catalogue on its first Carrier, forks N Carriers from it,
// and lets each of them fetch the next file as soon as it is free.
#pragma once

#include <chrono>
#include <cstdio>

#include "fetch_server.hpp"
#include "progress.hpp"

namespace example {

class FetchClient {
public:
    struct Options {
        std::size_t carriers = 8;
        std::string out;  // empty: verify only
        post::Policy policy{};
    };

    FetchClient(post::Context& context, Options options)
        : context_(context), options_(std::move(options)) {}

    // Returns when all is fetched and verified, or has failed; true: every file is as it must be.
    bool get(const post::Remote& remote, const post::Trust& trust) {
        const auto task = fetch_all(
            context_.initiate(remote, {.policy = options_.policy, .trust = trust}));
        context_.run();
        return task.done() && complete_ && failures_ == 0;
    }

private:
    struct Worker {
        post::CarrierId carrier;
        std::size_t files = 0;
        std::uint64_t bytes = 0;
    };

    static double seconds(post::Duration time) {
        return std::chrono::duration<double>(time).count();
    }

    void fail(const std::string& what) {
        ++failures_;
        if (progress_) progress_->interrupt();
        std::fprintf(stderr, "parallel_fetch: %s\n", what.c_str());
    }

    post::Task<> fetch_all(post::Carrier first) {
        co_await first.send("catalogue");
        auto reply = co_await first.receive();
        if (!reply) co_return fail(reply.error().message());
        auto files = from_message(reply->content().string());
        if (!files) co_return fail("the server's catalogue makes no sense");
        files_ = std::move(*files);
        std::uint64_t total = 0;
        for (const File& file : files_) total += file.size;
        progress_.emplace("fetching " + human(static_cast<double>(total)), total);

        const post::Instant begin = context_.now();
        workers_.resize(std::min(options_.carriers, std::max<std::size_t>(files_.size(), 1)));
        std::vector<post::Task<>> tasks;
        for (Worker& worker : workers_) tasks.push_back(work(worker, first.fork()));
        for (post::Task<>& task : tasks) co_await std::move(task);
        const double time = seconds(context_.now() - begin);
        complete_ = next_ == files_.size();
        report(first.association(), total, time);
    }

    post::Task<> work(Worker& worker, post::Carrier carrier) {
        while (next_ < files_.size() && failures_ == 0) {
            const File& file = files_[next_++];
            worker.carrier = carrier.id();
            if (!co_await carrier.send(file.path)) co_return fail(file.path + ": not sent");
            if (!co_await fetch(carrier, file)) co_return;
            ++worker.files;
            worker.bytes += file.size;
        }
    }

    post::Task<bool> fetch(post::Carrier& carrier, const File& file) {
        const bool generated = file.path.starts_with(generated_prefix);
        std::ofstream out;
        if (!options_.out.empty()) {
            const auto path = std::filesystem::path(options_.out) / file.path;
            std::error_code unwritable;  // shows when the file is opened
            std::filesystem::create_directories(path.parent_path(), unwritable);
            out.open(path, std::ios::binary);
            if (!out) co_return fail(path.string() + ": cannot be written"), false;
        }
        Sha256 hash;
        bool same = true;
        for (std::uint64_t at = 0; at < file.size;) {
            auto part = co_await carrier.receive();
            if (!part) co_return fail(file.path + ": " + part.error().message()), false;
            part->segments([&](const post::Bytes& segment) {
                if (generated) {
                    const auto from = at % part_size;
                    same = same && segment.size() <= part_size - from &&
                           segment == pattern().slice(from, segment.size());
                } else {
                    hash.add(segment.span());
                }
                out.write(segment.view().data(), static_cast<std::streamsize>(segment.size()));
                at += segment.size();
                progress_->add(segment.size());
            });
            if (at > file.size) same = false;
        }
        if (!generated) same = hash.finish() == file.digest;
        if (!same) fail(file.path + ": what came is not what the catalogue says");
        if (!options_.out.empty() && !out.flush()) fail(file.path + ": not written");
        co_return same;
    }

    void report(const post::Association& association, std::uint64_t total, double time) {
        std::printf("\n  %-8s %8s %12s\n", "Carrier", "files", "content");
        for (const Worker& worker : workers_)
            std::printf("  %-8llu %8zu %12s\n",
                        static_cast<unsigned long long>(worker.carrier.value()), worker.files,
                        human(static_cast<double>(worker.bytes)).c_str());
        for (const post::Path& path : association.paths())
            std::printf("\n  one %s association, %s to %s, MTU %zu, RTT %.2f ms, loss %.2f %%\n",
                        post::to_string(association.stack()), path.local.string().c_str(),
                        path.remote.string().c_str(), path.mtu, seconds(path.smoothed_rtt) * 1e3,
                        path.loss * 100);
        std::size_t verified = 0;
        std::uint64_t bytes = 0;
        for (const Worker& worker : workers_) {
            verified += worker.files;
            bytes += worker.bytes;
        }
        if (verified == files_.size())
            std::printf("  %zu files, %s, each verified: %.3f s, %.2f Gbit/s\n", verified,
                        human(static_cast<double>(total)).c_str(), time,
                        static_cast<double>(bytes) * 8 / time / 1e9);
        else
            std::printf("  only %zu of %zu files, %s of %s, could be verified\n", verified,
                        files_.size(), human(static_cast<double>(bytes)).c_str(),
                        human(static_cast<double>(total)).c_str());
    }

    post::Context& context_;
    Options options_;
    Catalogue files_;
    std::size_t next_ = 0;
    std::size_t failures_ = 0;
    bool complete_ = false;
    std::vector<Worker> workers_;
    std::optional<Progress> progress_;
};

}  // namespace example
