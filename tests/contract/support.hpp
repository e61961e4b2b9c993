// What the contract's files share: the pairs that every promise is tried on, and small helpers.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <system_error>

#include "tests/contract/fake_pair.hpp"
#include "tests/contract/quic_pair.hpp"
#include "tests/contract/sctp_pair.hpp"
#include "tests/contract/tcp_pair.hpp"
#include "tests/contract/tls_pair.hpp"
#include "tests/seed.hpp"

namespace post::test {

inline PairOptions seeded() {
    PairOptions options;
    options.seed = seed();
    return options;
}

inline std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
    return text;
}

inline Error abort_error(std::uint32_t code) {
    return Error(Errc::cancelled, std::error_code(static_cast<int>(code), application_category()));
}

template <class Kind> std::size_t first_of(const End& end) {
    for (std::size_t i = 0; i < end.events.size(); ++i)
        if (std::holds_alternative<Kind>(end.events[i])) return i;
    return end.events.size();
}

}  // namespace post::test

TYPE_TO_STRING(post::test::FakePair);
TYPE_TO_STRING(post::test::QuicPair);
TYPE_TO_STRING(post::test::SctpPair);
TYPE_TO_STRING(post::test::TlsPair);
TYPE_TO_STRING(post::test::SctpUdpPair);
TYPE_TO_STRING(post::test::TcpPair);
TYPE_TO_STRING(post::test::TlsBytesPair);
