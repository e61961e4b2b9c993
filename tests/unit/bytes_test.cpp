// Bytes and Block: who holds the memory, and when it goes.
#include <post/bytes.hpp>

#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using post::Block;
using post::Bytes;

namespace {

// Memory that says when it is freed.
struct Watched : Bytes::Owner {
    explicit Watched(int& counter) : freed(&counter) {
        destroy = [](Bytes::Owner* owner) noexcept {
            auto* self = static_cast<Watched*>(owner);
            ++*self->freed;
            delete self;
        };
    }
    int* freed;
    std::byte memory[16]{};
};

std::vector<std::byte> filled(std::size_t size, unsigned char with) {
    return std::vector<std::byte>(size, std::byte{with});
}

}  // namespace

TEST_SUITE("unit") {
    TEST_CASE("bytes are made of whatever views as text") {
        CHECK(Bytes("hello") == "hello");
        CHECK(Bytes(std::string("hello")) == "hello");
        CHECK(Bytes(std::string_view("a\0b", 3)).size() == 3);
        CHECK(Bytes(std::span<const std::byte>(filled(3, 'a'))) == "aaa");
        CHECK(Bytes("").empty());
        CHECK(Bytes().empty());
        CHECK(Bytes().string().empty());
        CHECK(Bytes() == Bytes(""));
        CHECK(Bytes("a") != Bytes("b"));
        CHECK(Bytes("abc")[1] == std::byte{'b'});
    }

    TEST_CASE("a large container is adopted where it lies, a small one is copied") {
        std::string large(Bytes::small, 'x');
        const void* where = large.data();
        const Bytes adopted(std::move(large));
        CHECK(static_cast<const void*>(adopted.data()) == where);
        CHECK(adopted.size() == Bytes::small);

        auto small = filled(Bytes::small - 1, 'y');
        where = small.data();
        const Bytes copied(std::move(small));
        CHECK(static_cast<const void*>(copied.data()) != where);
        CHECK(copied.size() == Bytes::small - 1);
    }

    TEST_CASE("copies and slices share the memory, and the last one frees it") {
        int freed = 0;
        {
            auto* owner = new Watched(freed);
            Bytes whole = Bytes::from_owner(owner, owner->memory, sizeof(owner->memory));
            Bytes copy = whole;
            const Bytes part = whole.slice(4, 8);
            CHECK(part.data() == whole.data() + 4);
            Bytes moved = std::move(copy);
            CHECK(copy.empty());
            whole = Bytes();
            moved = part;
            CHECK(freed == 0);
        }
        CHECK(freed == 1);
    }

    TEST_CASE("a slice is clipped to what is there") {
        const Bytes text("hello");
        CHECK(text.slice(1) == "ello");
        CHECK(text.slice(1, 2) == "el");
        CHECK(text.slice(3, 100) == "lo");
        CHECK(text.slice(5).empty());
        CHECK(text.slice(100).empty());
        CHECK(text.slice(2, static_cast<std::size_t>(-1)) == "llo");
        CHECK(Bytes().slice(3, 4).empty());
    }

    TEST_CASE("bytes assigned to themselves stay") {
        Bytes text("hello");
        Bytes& same = text;
        text = same;
        CHECK(text == "hello");
        text = text.slice(1);
        CHECK(text == "ello");
    }

    TEST_CASE("a block gives out what was written, and lives as long as a slice") {
        Bytes kept;
        {
            Block block(64);
            kept = block.append(std::as_bytes(std::span("abc", 3)));
            const Bytes next = block.append(std::as_bytes(std::span("def", 3)));
            CHECK(kept.continues_in(next));
            CHECK_FALSE(next.continues_in(kept));
            CHECK(block.used() == 6);
            CHECK(block.room() == 58);
            std::memcpy(block.writable(), "gh", 2);
            const Bytes last = block.commit(2);
            CHECK(last == "gh");
            CHECK_FALSE(Bytes("abc").continues_in(next));
        }
        CHECK(kept == "abc");
    }

    TEST_CASE("a slice grows over bytes that follow it") {
        Block block(16);
        Bytes text = block.append(std::as_bytes(std::span("ab", 2)));
        std::memcpy(block.writable(), "cd", 2);
        block.advance(2);
        text.extend(2);
        CHECK(text == "abcd");
        CHECK(block.used() == 4);
    }

    TEST_CASE("a block that nobody holds is written from the front again") {
        Block block(16);
        CHECK(block.sole());
        {
            const Bytes text = block.append(std::as_bytes(std::span("ab", 2)));
            CHECK_FALSE(block.sole());
        }
        CHECK(block.sole());
        block.rewind();
        CHECK(block.used() == 0);
        Block moved = std::move(block);
        CHECK_FALSE(block.sole());
        CHECK(moved.sole());
        CHECK(moved.capacity() == 16);
    }

    TEST_CASE("threads may copy and drop the same bytes") {
        int freed = 0;
        {
            auto* owner = new Watched(freed);
            const Bytes shared = Bytes::from_owner(owner, owner->memory, sizeof(owner->memory));
            std::vector<std::thread> threads;
            for (int i = 0; i < 4; ++i)
                threads.emplace_back([shared] {
                    for (int n = 0; n < 10'000; ++n) {
                        Bytes copy = shared;
                        copy = copy.slice(1);
                    }
                });
            for (std::thread& thread : threads) thread.join();
            CHECK(freed == 0);
        }
        CHECK(freed == 1);
    }
}
