// Fuzz target for the bytes of a TLS session before anybody is authenticated, and behind the
// handshake. The data are a list of steps for a server's session, or a client's: bytes as they are,
// or true ones of an honest peer, changed, cut, doubled or left out, in parts of any size. Whatever
// comes, nothing crashes, output is bounded, and content is what the peer has said.
#include <cstdlib>
#include <optional>

#include "mappings/crypto/credentials.hpp"
#include "mappings/crypto/tls_stream.hpp"
#include "tests/fuzz/choices.hpp"

namespace {

using namespace post;
using crypto::TlsStream;
using test::Choices;

void require(bool condition) {
    if (!condition) std::abort();
}

const Identity& identity() {
    static const Identity made = Identity::self_signed("localhost");
    return made;
}

struct End {
    explicit End(bool server) {
        const std::vector<std::string> alpn{"fuzz/1"};
        const auto& protection = crypto::gnutls_protection();
        if (server) {
            crypto::ServerSecurity security;
            security.identity = identity();
            stream.emplace(store, security, alpn, protection);
        } else {
            crypto::ClientSecurity security;
            security.trust = Trust::pinned(identity().pin());
            security.server_name = "localhost";
            stream.emplace(store, security, alpn, protection);
            stream->start();
        }
    }

    void feed(std::span<const std::byte> bytes, std::size_t part) {
        crypto::TlsStream::Sink sink = [&](std::span<const std::byte> content) {
            for (const std::byte byte : content) require(byte == std::byte{'x'});
            return true;
        };
        while (!bytes.empty()) {
            const auto now = bytes.first(std::min(std::max<std::size_t>(part, 1), bytes.size()));
            stream->handle_input(now, room, sink);
            bytes = bytes.subspan(now.size());
        }
        require(!stream->error() == (stream->progress() != TlsStream::Progress::failed));
    }
    std::vector<std::byte> take() {
        std::vector<std::byte> out(256 * 1024);
        out.resize(stream->take_output(out));
        require(!stream->has_output());
        return out;
    }

    crypto::CredentialStore store;
    std::vector<std::byte> room = std::vector<std::byte>(crypto::largest_tls_fragment);
    std::optional<TlsStream> stream;
};

// What the honest peer says next.
std::vector<std::byte> honest(End& peer, Choices& choices) {
    const auto choice = choices.byte();
    if (peer.stream->can_seal() && (choice & 1)) {
        if (choice & 2) peer.stream->update_keys((choice & 4) != 0);
        if (choice & 8) peer.stream->close();
        auto out = peer.take();
        std::vector<std::byte> space(choice + crypto::tls_overhead, std::byte{'x'});
        space.resize(peer.stream->seal(space, choice));
        if ((choice & 8) == 0) out.insert(out.end(), space.begin(), space.end());
        return out;
    }
    return peer.take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Choices choices(std::as_bytes(std::span(data, size)));
    const bool server = (choices.byte() & 1) == 0;
    End victim(server);
    End peer(!server);
    for (int steps = 0; steps < 32 && !choices.empty(); ++steps) {
        const auto how = choices.byte();
        if (how % 4 == 0) {
            victim.feed(choices.bytes(choices.word() % 20000), choices.byte());
        } else {
            auto bytes = honest(peer, choices);
            for (auto left = how / 4 % 4; left > 0 && !bytes.empty(); --left)
                bytes[choices.word() % bytes.size()] ^= static_cast<std::byte>(choices.byte());
            if (how / 16 % 4 == 1) bytes.resize(choices.word() % (bytes.size() + 1));
            const std::size_t part = how / 64 == 1 ? choices.byte() : bytes.size();
            victim.feed(bytes, part);
            if (how / 16 % 4 == 2) victim.feed(bytes, part);
        }
        if (victim.stream->can_seal() && how % 8 == 5) victim.stream->update_keys(true);
        peer.feed(victim.take(), ~std::size_t{0});
    }
    return 0;
}
