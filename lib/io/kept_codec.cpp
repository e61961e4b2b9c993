// The file's values, written and read.
#include "lib/io/kept_codec.hpp"

#include <algorithm>

#include "mappings/wire/reader.hpp"
#include "mappings/wire/writer.hpp"

namespace post::io {

namespace {

constexpr std::uint8_t version = 1;
// The year 10889: nothing that is added to it overflows.
constexpr std::uint64_t last_second = std::uint64_t{1} << 48;
constexpr std::size_t fixed_size = 8 + 1 + 8 + 8 + 4 + 8 + 4;
constexpr std::size_t address_size = 1 + 2 + 4 + 16;
constexpr std::size_t leaf_size = 1 + address_size + 8;
constexpr std::size_t ticket_size = 1 + 8 + 8 + 4 + 4 + 4;
constexpr std::size_t token_size = address_size + 8 + 4;

// FNV-1a.
class Checksum {
public:
    void add(std::span<const std::byte> bytes) {
        for (const std::byte byte : bytes)
            value_ = (value_ ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
    }
    void add(const std::string& text) {
        add(std::as_bytes(std::span(text)));
        constexpr std::byte end{0xff};
        add({&end, 1});
    }
    std::uint64_t value() const { return value_; }

private:
    std::uint64_t value_ = 0xcbf29ce484222325;
};

std::uint64_t checksum(const AssociationKey& key, std::span<const std::byte> rest) {
    Checksum sum;
    for (const std::string* part :
         {&key.remote, &key.alpn, &key.trust, &key.identity, &key.network})
        sum.add(*part);
    sum.add(rest);
    return sum.value();
}

std::uint64_t seconds(WallTime time) {
    const auto count = time.time_since_epoch().count();
    return count < 0 ? 0 : std::min(static_cast<std::uint64_t>(count), last_second);
}

void put(wire::Writer& writer, const Address& address) {
    writer.u8(static_cast<std::uint8_t>(address.family)).u16(address.port).u32(address.scope);
    writer.bytes(std::as_bytes(std::span(address.ip)));
}

void put(wire::Writer& writer, const Bytes& bytes) {
    writer.u32(static_cast<std::uint32_t>(bytes.size())).bytes(bytes.span());
}

void put(wire::Writer& writer, const KeptAssociation::Leaf& leaf) {
    writer.u8(static_cast<std::uint8_t>(leaf.stack));
    put(writer, leaf.remote);
    writer.u64(seconds(leaf.at));
}

// Takes values; one that is not there, or cannot be, makes all that follow worthless.
class Taker {
public:
    explicit Taker(std::span<const std::byte> bytes) : reader_(bytes) {}

    bool ok() const { return ok_; }
    bool at_end() const { return ok_ && reader_.empty(); }
    std::uint8_t u8() { return or_bad(reader_.u8()); }
    std::uint32_t u32() { return or_bad(reader_.u32()); }
    std::uint64_t u64() { return or_bad(reader_.u64()); }
    WallTime time() { return WallTime(std::chrono::seconds(std::min(u64(), last_second))); }
    Stack stack() {
        const std::uint8_t number = u8();
        if (number > static_cast<std::uint8_t>(Stack::http3)) ok_ = false;
        return ok_ ? static_cast<Stack>(number) : Stack::quic;
    }
    Address address() {
        Address address;
        const std::uint8_t family = u8();
        if (family > static_cast<std::uint8_t>(Address::Family::v6)) ok_ = false;
        if (ok_) address.family = static_cast<Address::Family>(family);
        address.port = or_bad(reader_.u16());
        address.scope = u32();
        const auto ip = or_bad(reader_.bytes(address.ip.size()));
        std::transform(ip.begin(), ip.end(), address.ip.begin(),
                       [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
        return address;
    }
    Bytes bytes() {
        const std::uint32_t size = u32();
        return ok_ ? Bytes(or_bad(reader_.bytes(size))) : Bytes();
    }
    KeptAssociation::Leaf leaf() {
        KeptAssociation::Leaf leaf;
        leaf.stack = stack();
        leaf.remote = address();
        leaf.at = time();
        return leaf;
    }
    ResumptionTicket ticket() {
        ResumptionTicket ticket;
        ticket.stack = stack();
        ticket.issued = time();
        ticket.expires = time();
        ticket.early_data = u32();
        ticket.session = bytes();
        ticket.parameters = bytes();
        return ticket;
    }
    AddressToken token() {
        AddressToken token;
        token.remote = address();
        token.issued = time();
        token.token = bytes();
        return token;
    }

private:
    template <class Value> Value or_bad(const std::optional<Value>& value) {
        if (!value) ok_ = false;
        return value.value_or(Value{});
    }

    wire::Reader reader_;
    bool ok_ = true;
};

std::size_t size_of(const KeptAssociation& kept) {
    std::size_t size = fixed_size + (kept.failed.size() + 1) * leaf_size;
    for (const auto& ticket : kept.tickets)
        size += ticket_size + ticket.session.size() + ticket.parameters.size();
    for (const auto& token : kept.tokens) size += token_size + token.token.size();
    return size;
}

}  // namespace

std::vector<std::byte> encode(const AssociationKey& key, const KeptAssociation& kept) {
    std::vector<std::byte> value(size_of(kept));
    wire::Writer writer{std::span(value).subspan(8)};
    writer.u8(version).u64(seconds(kept.used));
    writer.u64(static_cast<std::uint64_t>(std::max<Duration::rep>(kept.rtt.count(), 0)));
    writer.u32(static_cast<std::uint32_t>(kept.mtu)).u64(kept.rate);
    writer.u8(kept.winner ? 1 : 0);
    if (kept.winner) put(writer, *kept.winner);
    writer.u8(static_cast<std::uint8_t>(kept.failed.size()));
    for (const auto& leaf : kept.failed) put(writer, leaf);
    writer.u8(static_cast<std::uint8_t>(kept.tickets.size()));
    for (const auto& ticket : kept.tickets) {
        writer.u8(static_cast<std::uint8_t>(ticket.stack));
        writer.u64(seconds(ticket.issued)).u64(seconds(ticket.expires)).u32(ticket.early_data);
        put(writer, ticket.session);
        put(writer, ticket.parameters);
    }
    writer.u8(static_cast<std::uint8_t>(kept.tokens.size()));
    for (const auto& token : kept.tokens) {
        put(writer, token.remote);
        writer.u64(seconds(token.issued));
        put(writer, token.token);
    }
    value.resize(8 + writer.size());
    wire::Writer(value).u64(checksum(key, std::span(value).subspan(8)));
    return value;
}

std::optional<KeptAssociation> decode(const AssociationKey& key, std::span<const std::byte> value) {
    Taker taker(value);
    if (taker.u64() != (taker.ok() ? checksum(key, value.subspan(8)) : 0)) return std::nullopt;
    if (taker.u8() != version) return std::nullopt;
    KeptAssociation kept;
    kept.used = taker.time();
    constexpr std::uint64_t longest_rtt = 3600ull * 1'000'000'000;
    kept.rtt = Duration(static_cast<Duration::rep>(std::min(taker.u64(), longest_rtt)));
    kept.mtu = taker.u32();
    kept.rate = taker.u64();
    if (taker.u8() != 0) kept.winner = taker.leaf();
    for (std::uint8_t left = taker.u8(); left > 0 && taker.ok(); --left)
        kept.failed.push_back(taker.leaf());
    for (std::uint8_t left = taker.u8(); left > 0 && taker.ok(); --left)
        kept.tickets.push_back(taker.ticket());
    for (std::uint8_t left = taker.u8(); left > 0 && taker.ok(); --left)
        kept.tokens.push_back(taker.token());
    if (!taker.at_end()) return std::nullopt;
    return kept;
}

}  // namespace post::io
