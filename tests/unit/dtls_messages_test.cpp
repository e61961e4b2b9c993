// Messages of a DTLS handshake out of fragments, genuine and others.
#include "mappings/crypto/dtls_messages.hpp"

#include <algorithm>
#include <random>

#include <doctest/doctest.h>

#include "mappings/crypto/verification.hpp"
#include "mappings/wire/reader.hpp"

namespace post::test {

namespace {

using crypto::DtlsFragment;
using crypto::DtlsMessages;

std::vector<std::byte> content_of(std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 & 0xff);
    return bytes;
}

DtlsFragment fragment_of(std::uint16_t sequence, const std::vector<std::byte>& content,
                         std::size_t offset, std::size_t size) {
    return {11, sequence, static_cast<std::uint32_t>(content.size()),
            static_cast<std::uint32_t>(offset), std::span(content).subspan(offset, size)};
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("dtls: a fragment is read as it was written") {
        const auto content = content_of(70);
        const auto written = fragment_of(3, content, 20, 40).written();
        CHECK(written.size() == 52);
        wire::Reader reader(written);
        const auto read = DtlsFragment::read(reader);
        REQUIRE(read);
        CHECK(read->type == 11);
        CHECK(read->sequence == 3);
        CHECK(read->length == 70);
        CHECK(read->offset == 20);
        CHECK(std::ranges::equal(read->bytes, std::span(content).subspan(20, 40)));
        for (std::size_t size = 0; size < written.size(); ++size) {
            wire::Reader part{std::span(written).first(size)};
            CHECK_FALSE(DtlsFragment::read(part));
        }
    }

    TEST_CASE("dtls: a fragment beyond its message, or of one that is too long, is none") {
        const auto content = content_of(50);
        auto fragment = fragment_of(0, content, 0, 50);
        const auto reads = [&] {
            const auto written = fragment.written();
            wire::Reader reader(written);
            return DtlsFragment::read(reader).has_value();
        };
        CHECK(reads());
        fragment.offset = 1;
        CHECK_FALSE(reads());
        fragment.offset = 0xffffff;
        CHECK_FALSE(reads());
        fragment.offset = 0;
        fragment.length = 49;
        CHECK_FALSE(reads());
        fragment.length = crypto::largest_handshake_message;
        CHECK(reads());
        ++fragment.length;
        CHECK_FALSE(reads());
    }

    TEST_CASE("dtls: messages come out whole and in order, however they went in") {
        for (unsigned seed = 1; seed <= 50; ++seed) {
            CAPTURE(seed);
            std::mt19937 random(seed);
            std::vector<std::vector<std::byte>> contents;
            std::vector<DtlsFragment> fragments;
            for (int i = 0; i < 6; ++i) contents.push_back(content_of(random() % 3000));
            contents.push_back({});  // ServerHelloDone
            for (std::uint16_t i = 0; i < contents.size(); ++i) {
                const auto& content = contents[i];
                std::size_t offset = 0;
                do {
                    const auto size = std::min(content.size() - offset, 1 + random() % 700);
                    // Overlapping the one before by some bytes.
                    const auto back = std::min<std::size_t>(offset, random() % 20);
                    fragments.push_back(fragment_of(i, content, offset - back, size + back));
                    offset += size;
                } while (offset < content.size());
            }
            fragments.insert(fragments.end(), fragments.begin(), fragments.end());
            std::shuffle(fragments.begin(), fragments.end(), random);
            DtlsMessages messages;
            std::size_t next = 0;
            for (const auto& fragment : fragments) {
                messages.add(fragment);
                while (const auto message = messages.next()) {
                    REQUIRE(next < contents.size());
                    CHECK(message->sequence == next);
                    CHECK(message->bytes == contents[next++]);
                }
            }
            CHECK(next == contents.size());
        }
    }

    TEST_CASE("dtls: what contradicts, is old or too far ahead is of no use") {
        const auto content = content_of(100);
        DtlsMessages messages;
        messages.begin_at(1);
        CHECK_FALSE(messages.add(fragment_of(0, content, 0, 100)));
        CHECK_FALSE(messages.add(fragment_of(1 + DtlsMessages::most_ahead, content, 0, 100)));
        CHECK(messages.add(fragment_of(DtlsMessages::most_ahead, content, 0, 100)));
        CHECK(messages.add(fragment_of(1, content, 50, 50)));
        auto wrong = fragment_of(1, content, 0, 50);
        wrong.length = 101;
        CHECK_FALSE(messages.add(wrong));
        wrong.length = 100;
        wrong.type = 12;
        CHECK_FALSE(messages.add(wrong));
        CHECK_FALSE(messages.next());
        CHECK(messages.add(fragment_of(1, content, 0, 50)));
        CHECK(messages.next());
        CHECK_FALSE(messages.add(fragment_of(1, content, 0, 50)));
    }

    TEST_CASE("dtls: what waits has a limit") {
        const auto byte = content_of(1);
        DtlsMessages messages;
        std::size_t taken = 0;
        for (std::uint16_t sequence = 0; sequence < DtlsMessages::most_ahead; ++sequence) {
            DtlsFragment fragment{11, sequence, crypto::largest_handshake_message, 0, byte};
            if (messages.add(fragment)) ++taken;
        }
        CHECK(taken == DtlsMessages::most_bytes / crypto::largest_handshake_message);
        // Forged messages far ahead do not keep the next one out.
        DtlsMessages ahead;
        for (std::uint16_t sequence = 1; sequence < 4; ++sequence)
            ahead.add({11, sequence, crypto::largest_handshake_message, 0, byte});
        CHECK(ahead.add(fragment_of(0, byte, 0, 1)));
        CHECK(ahead.next());
    }
}

}  // namespace post::test
