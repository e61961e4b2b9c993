// Result<T>: a value, or the Error that stood in its way. In the shape of std::expected, to be
// swapped for it when the compilers have it. value() throws post::Failure when there is none.
#pragma once

#include <cassert>
#include <optional>
#include <utility>

#include <post/boxed.hpp>
#include <post/error.hpp>

namespace post {

template <class T> class Result {
public:
    Result(T value) : value_(std::move(value)) {}
    Result(Errc error) : Result(Error(error)) {}
    Result(Error error) : error_(std::move(error)) { assert(*error_); }

    explicit operator bool() const noexcept { return value_.has_value(); }
    bool has_value() const noexcept { return value_.has_value(); }
    T& operator*() & { return *value_; }
    const T& operator*() const& { return *value_; }
    T&& operator*() && { return *std::move(value_); }
    T* operator->() { return &*value_; }
    const T* operator->() const { return &*value_; }
    // The Error; one that says nothing when there is a value.
    Error error() const { return error_ ? *error_ : Error{}; }
    T value() && {
        if (!*this) throw Failure(error());
        return *std::move(value_);
    }

private:
    std::optional<T> value_;
    core::Boxed<Error> error_;
};

template <> class Result<void> {
public:
    Result() = default;
    Result(Errc error) : Result(Error(error)) {}
    Result(Error error) : error_(std::move(error)) { assert(*error_); }

    explicit operator bool() const noexcept { return !error_; }
    bool has_value() const noexcept { return !error_; }
    Error error() const { return error_ ? *error_ : Error{}; }
    void value() const {
        if (error_) throw Failure(error());
    }

private:
    core::Boxed<Error> error_;
};

}  // namespace post
