// Result<T>: a value, or the Error that stood in its way. In the shape of std::expected, to be
// swapped for it when the compilers have it. value() throws post::Failure when there is none.
#pragma once

#include <cassert>
#include <utility>
#include <variant>

#include <post/error.hpp>

namespace post {

template <class T> class Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Errc error) : Result(Error(error)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {
        assert(std::get<1>(state_));
    }

    explicit operator bool() const noexcept { return state_.index() == 0; }
    bool has_value() const noexcept { return state_.index() == 0; }
    T& operator*() & { return std::get<0>(state_); }
    const T& operator*() const& { return std::get<0>(state_); }
    T&& operator*() && { return std::get<0>(std::move(state_)); }
    T* operator->() { return &std::get<0>(state_); }
    const T* operator->() const { return &std::get<0>(state_); }
    // The Error; one that says nothing when there is a value.
    Error error() const { return *this ? Error{} : std::get<1>(state_); }
    T value() && {
        if (!*this) throw Failure(error());
        return std::get<0>(std::move(state_));
    }

private:
    std::variant<T, Error> state_;
};

template <> class Result<void> {
public:
    Result() = default;
    Result(Errc error) : error_(error) {}
    Result(Error error) : error_(std::move(error)) { assert(error_); }

    explicit operator bool() const noexcept { return !error_; }
    bool has_value() const noexcept { return !error_; }
    Error error() const { return error_; }
    void value() const {
        if (error_) throw Failure(error_);
    }

private:
    Error error_;
};

}  // namespace post
