// Pool: things that are needed again and again, kept with the memory that they have grown, so that
// what comes and goes quickly (a Carrier for one request) allocates nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace post::core {

template <class T> class Pool {
public:
    explicit Pool(std::size_t most_kept = 256) : most_kept_(most_kept) {}

    std::unique_ptr<T> take() {
        if (kept_.empty()) return std::make_unique<T>();
        std::unique_ptr<T> one = std::move(kept_.back());
        kept_.pop_back();
        return one;
    }
    // `one` is as good as new, but for its memory.
    void give(std::unique_ptr<T> one) {
        if (kept_.size() < most_kept_) kept_.push_back(std::move(one));
    }

private:
    std::vector<std::unique_ptr<T>> kept_;
    std::size_t most_kept_;
};

}  // namespace post::core
