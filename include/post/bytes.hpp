// Bytes: an immutable run of bytes held by reference count. Copying one copies a pointer; slice()
// shares the same memory; the memory is freed with its last holder. A message's bytes are held this
// way from send() until they are settled, so that nobody copies them on the way.
//
// Threads: a Bytes may be handed to another thread, where copying and dropping it is safe. Small
// received messages share a block of at most 4 KiB with their neighbours.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace post {

class Bytes {
public:
    Bytes() = default;

    // Copies. A string, a literal or anything that views as one becomes content this way.
    Bytes(std::string_view text) : Bytes(copy(text.data(), text.size())) {}
    Bytes(const char* text) : Bytes(std::string_view(text)) {}
    Bytes(const std::string& text) : Bytes(std::string_view(text)) {}
    explicit Bytes(std::span<const std::byte> bytes) : Bytes(copy(bytes.data(), bytes.size())) {}

    // Adopts: the container is moved in and freed with the last holder. Contents below `small`
    // are copied, which costs less than keeping the container.
    Bytes(std::string&& text) : Bytes(adopt(std::move(text))) {}
    Bytes(std::vector<std::byte>&& bytes) : Bytes(adopt(std::move(bytes))) {}

    Bytes(const Bytes& other) noexcept
        : data_(other.data_), size_(other.size_), owner_(other.owner_) {
        if (owner_) owner_->add(1);
    }
    Bytes(Bytes&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          owner_(std::exchange(other.owner_, nullptr)) {}
    Bytes& operator=(Bytes other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(owner_, other.owner_);
        return *this;
    }
    ~Bytes() { release(); }

    const std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    std::span<const std::byte> span() const { return {data_, size_}; }
    std::string_view view() const { return {reinterpret_cast<const char*>(data_), size_}; }
    std::string string() const { return std::string(view()); }
    const std::byte* begin() const { return data_; }
    const std::byte* end() const { return data_ + size_; }
    std::byte operator[](std::size_t i) const { return data_[i]; }

    // The part [offset, offset + size), clipped to what is there; shares the memory.
    Bytes slice(std::size_t offset, std::size_t size = static_cast<std::size_t>(-1)) const {
        Bytes part(*this);
        offset = offset < size_ ? offset : size_;
        part.data_ += offset;
        part.size_ = size < size_ - offset ? size : size_ - offset;
        return part;
    }

    friend bool operator==(const Bytes& a, const Bytes& b) {
        return a.size_ == b.size_ && (a.size_ == 0 || std::memcmp(a.data_, b.data_, a.size_) == 0);
    }
    // With a literal or a string: a template, because they would convert to Bytes just as well.
    template <class Text>
    requires(std::is_convertible_v<const Text&, std::string_view>) friend bool operator==(
        const Bytes& a, const Text& b) {
        return a.view() == std::string_view(b);
    }

    static constexpr std::size_t small = 256;

    // What keeps the memory alive. `destroy` frees the owner itself; it may run on any thread.
    struct Owner {
        std::atomic<std::uint32_t> count{1};
        void (*destroy)(Owner*) noexcept = nullptr;

        void add(std::uint32_t holders) noexcept {
            count.fetch_add(holders, std::memory_order_relaxed);
        }
        // Fewer holders; it is destroyed with the last.
        void remove(std::uint32_t holders) noexcept {
            if (count.fetch_sub(holders, std::memory_order_acq_rel) == holders) destroy(this);
        }
    };

    // For those who fill memory themselves: takes over one count of `owner`.
    static Bytes from_owner(Owner* owner, const std::byte* data, std::size_t size) {
        Bytes bytes;
        bytes.data_ = data;
        bytes.size_ = size;
        bytes.owner_ = owner;
        return bytes;
    }

    // Lent: holds nothing, and is valid for as long as somebody else holds the memory.
    static Bytes lent(const std::byte* data, std::size_t size) {
        return from_owner(nullptr, data, size);
    }
    // The same bytes, held: a copy when they are lent.
    Bytes held() const { return owner_ || empty() ? *this : Bytes(span()); }

    // True when both lie in the same memory and `next` begins where this ends.
    bool continues_in(const Bytes& next) const {
        return owner_ == next.owner_ && data_ + size_ == next.data_;
    }
    // Grows over bytes that directly follow in the same memory; the caller knows they are written.
    void extend(std::size_t more) { size_ += more; }
    // Shrinks from the front, by at most size(); the memory stays held.
    void remove_prefix(std::size_t less) {
        data_ += less;
        size_ -= less;
    }

    // Drops many: those of the same memory, one behind the other, are counted down together.
    class Dropped {
    public:
        Dropped() = default;
        Dropped(const Dropped&) = delete;
        Dropped& operator=(const Dropped&) = delete;
        ~Dropped() { flush(); }
        void add(Bytes&& bytes) noexcept {
            if (bytes.owner_ != owner_) flush();
            owner_ = std::exchange(bytes.owner_, nullptr);
            ++count_;
            bytes.data_ = nullptr;
            bytes.size_ = 0;
        }
        void flush() noexcept {
            if (owner_) owner_->remove(count_);
            owner_ = nullptr;
            count_ = 0;
        }

    private:
        Owner* owner_ = nullptr;
        std::uint32_t count_ = 0;
    };

private:
    static Bytes copy(const void* data, std::size_t size);
    template <class Container> static Bytes adopt(Container&& container);
    void release() noexcept {
        if (owner_) owner_->remove(1);
    }

    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    Owner* owner_ = nullptr;
};

// A block of memory with a count, written once from the front: slices of what is written are Bytes.
class Block {
public:
    Block() = default;
    explicit Block(std::size_t capacity)
        : head_(static_cast<Head*>(::operator new(sizeof(Head) + capacity))), capacity_(capacity) {
        new (head_) Head{};
        head_->destroy = [](Bytes::Owner* owner) noexcept { ::operator delete(owner); };
    }
    Block(Block&& other) noexcept
        : head_(std::exchange(other.head_, nullptr)),
          capacity_(std::exchange(other.capacity_, 0)),
          used_(std::exchange(other.used_, 0)),
          prepaid_(std::exchange(other.prepaid_, 0)) {}
    Block& operator=(Block&& other) noexcept {
        std::swap(head_, other.head_);
        std::swap(capacity_, other.capacity_);
        std::swap(used_, other.used_);
        std::swap(prepaid_, other.prepaid_);
        return *this;
    }
    ~Block() {
        if (head_) head_->remove(1 + prepaid_);
    }

    std::size_t capacity() const { return capacity_; }
    std::size_t used() const { return used_; }
    std::size_t room() const { return capacity_ - used_; }
    // The unwritten rest; stays valid while the Block or a slice of it lives.
    std::byte* writable() { return base() + used_; }
    // Declares `size` bytes at writable() written and returns them.
    Bytes commit(std::size_t size) {
        Bytes bytes = share(base() + used_, size);
        used_ += size;
        return bytes;
    }
    // What lies in this block, held by one more.
    Bytes share(const std::byte* data, std::size_t size) {
        if (prepaid_ > 0)
            --prepaid_;
        else
            head_->add(1);
        return Bytes::from_owner(head_, data, size);
    }
    // Counts many slices beforehand and at once, since counting each is what small ones cost most.
    // What is left of them goes back with the block, or with settle().
    void prepay(std::uint32_t slices) {
        head_->add(slices);
        prepaid_ += slices;
    }
    void settle() {
        if (prepaid_ > 0) head_->remove(prepaid_);
        prepaid_ = 0;
    }
    // Like commit, for bytes that grow an earlier slice (Bytes::extend) instead of a new one.
    void advance(std::size_t size) { used_ += size; }
    Bytes append(std::span<const std::byte> bytes) {
        if (!bytes.empty()) std::memcpy(writable(), bytes.data(), bytes.size());
        return commit(bytes.size());
    }
    // True when no slice is held by anybody: the block may be written from the front again.
    bool sole() const {
        return head_ && head_->count.load(std::memory_order_acquire) == 1 + prepaid_;
    }
    void rewind() { used_ = 0; }

private:
    struct alignas(std::max_align_t) Head : Bytes::Owner {};
    std::byte* base() { return reinterpret_cast<std::byte*>(head_ + 1); }

    Head* head_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t used_ = 0;
    std::uint32_t prepaid_ = 0;
};

inline Bytes Bytes::copy(const void* data, std::size_t size) {
    if (size == 0) return {};
    Block block(size);
    std::memcpy(block.writable(), data, size);
    return block.commit(size);
}

template <class Container> Bytes Bytes::adopt(Container&& container) {
    if (container.size() < small) return copy(container.data(), container.size());
    struct Holder : Owner {
        explicit Holder(Container&& kept) : container(std::move(kept)) {}
        Container container;
    };
    auto* holder = new Holder(std::move(container));
    holder->destroy = [](Owner* owner) noexcept { delete static_cast<Holder*>(owner); };
    return from_owner(holder, reinterpret_cast<const std::byte*>(holder->container.data()),
                      holder->container.size());
}

}  // namespace post
