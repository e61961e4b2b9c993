// AssociationStore: what an Association leaves behind for the next one to the same peer, beyond its
// connections and, where it is kept in a file, beyond the process: tickets with which a handshake
// is resumed, address tokens, how the last race ended, and what was measured of the path (draft
// 2.3; paper II.D). A Context keeps it in memory of its own; ContextOptions::store puts a file or
// the application's own store in its place.
//
// Nothing depends on it: what is missing, too old or damaged costs a full handshake, and a store
// that fails costs no connection.
//
// Who has the tickets of a peer can resume its sessions and knows who talked to whom, so a file is
// its owner's alone; it is not encrypted.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <post/address.hpp>
#include <post/bytes.hpp>
#include <post/function.hpp>
#include <post/policy.hpp>
#include <post/result.hpp>
#include <post/time.hpp>

namespace post {

// The time of the calendar, which outlives processes, and may jump: what seems to come from the
// future is not believed. The store is told the time, and asks no clock.
using WallTime = std::chrono::sys_seconds;

// Whom something is kept of. Nothing of one key is used for another: not for another name, nor with
// another idea of whom to believe, nor by somebody else, nor in another network (RFC 8446, C.4).
struct AssociationKey {
    std::string remote;  // as the application named it: "post://example.net:4433"
    std::string alpn;    // of the application; empty: Post
    std::string trust;   // who has to be at the other end, as a text that cannot be mistaken
    // Who we are: the pin of our certificate, and InitiateOptions::isolation; empty: nobody.
    std::string identity;
    std::string network;  // the way out; empty: there is only one
    auto operator<=>(const AssociationKey&) const = default;
};

// One session that can be resumed, once.
struct ResumptionTicket {
    Stack stack = Stack::quic;
    Bytes session;                 // the TLS library's, in our envelope: not to be looked into
    Bytes parameters{};            // the server's transport parameters that go with it
    std::uint32_t early_data = 0;  // bytes that may go before the handshake; 0: none
    WallTime issued{};
    WallTime expires{};
    bool operator==(const ResumptionTicket&) const = default;
};

// Proves to a server that we have been at our address before (RFC 9000, 8.1.3), once.
struct AddressToken {
    Address remote;
    Bytes token;
    WallTime issued{};
    bool operator==(const AddressToken&) const = default;
};

// All that is kept of one peer: a value. The functions hold its limits, whoever stores it.
struct KeptAssociation {
    // Servers decide what comes, so each peer has so much and no more. Of what is too much
    // the oldest goes.
    static constexpr std::size_t most_tickets = 4;  // of each stack
    static constexpr std::size_t most_ticket_bytes = 8 * 1024;
    static constexpr std::size_t most_tokens = 2;  // of each address
    static constexpr std::size_t most_token_bytes = 1024;
    static constexpr std::size_t most_addresses = 4;  // with tokens
    static constexpr std::size_t most_failed = 8;
    // However long the server allows (RFC 8446, 4.6.1, has 7 days).
    static constexpr std::chrono::hours longest_ticket{24};
    static constexpr std::chrono::hours token_life{24};
    // A peer that was not heard of for so long is forgotten.
    static constexpr std::chrono::hours life{30 * 24};
    // Clocks of processes that share a file may differ by so much.
    static constexpr std::chrono::seconds slack{60};

    // What won the last race, or failed in it.
    struct Leaf {
        Stack stack = Stack::quic;
        Address remote;
        WallTime at{};
        bool operator==(const Leaf&) const = default;
    };

    std::vector<ResumptionTicket> tickets{};  // the newest last
    std::vector<AddressToken> tokens{};       // the same
    std::optional<Leaf> winner{};
    std::vector<Leaf> failed{};
    // Of the path, when it was last measured; zero: it was not.
    Duration rtt{};
    std::size_t mtu = 0;     // bytes of UDP or TCP payload in one packet
    std::uint64_t rate = 0;  // bytes a second
    WallTime used{};         // when something of it was last kept or taken

    // What has no size, or too much of it, or has expired, is not kept.
    void keep(WallTime now, ResumptionTicket ticket);
    void keep(WallTime now, AddressToken token);
    // The newest, which is not kept any longer; none: there is none that is good now.
    std::optional<ResumptionTicket> take_ticket(WallTime now, Stack stack);
    std::optional<AddressToken> take_token(WallTime now, const Address& remote);
    // Whether take_ticket would give one.
    bool has_ticket(WallTime now, Stack stack) const;
    bool has_token(WallTime now, const Address& remote) const;
    // Drops what has expired, and what comes from the future: the clock was set back since.
    void drop_stale(WallTime now);
    // Nothing is kept.
    bool empty() const;
    bool operator==(const KeptAssociation&) const = default;
};

// A store. An application may bring its own, on its keychain for instance; it is called on its
// Context's thread, from inside of turns, and must not block for longer than a file takes. It must
// not throw, nor call the Context. What it cannot do it leaves undone. Contexts in several threads
// need a store each: those of file_store() may be on one file.
class AssociationStore {
public:
    // Peers, in all; those go first that were not used for longest.
    static constexpr std::size_t most_peers = 1024;

    struct Listed {
        AssociationKey key;
        KeptAssociation kept;
    };

    virtual ~AssociationStore() = default;
    // What is kept of the peer; none: nothing is.
    virtual std::optional<KeptAssociation> find(const AssociationKey& key) = 0;
    // Has `change` make another value of what is kept (of an empty one where there is nothing), as
    // one step: nobody else's change comes in between, and nobody sees a half of it; so a ticket is
    // taken by one process only. True: it is done. False: it could not be, and nothing is changed,
    // whether or not `change` was called.
    virtual bool change(const AssociationKey& key, Function<void(KeptAssociation&)> change) = 0;
    // All of it, those first that were used last.
    virtual std::vector<Listed> list() = 0;
    // Forgets all peers whose key has this remote; empty: everybody. How many there were.
    virtual std::size_t forget(std::string_view remote) = 0;
};

// In memory, for as long as it lives.
std::shared_ptr<AssociationStore> memory_store();

struct FileStoreOptions {
    // How long it waits for another process that writes, before it leaves undone what it wanted.
    std::chrono::milliseconds patience{20};
    // Told, once each time something begins to go wrong, and what was done about it: a disk is
    // full, the file was damaged and set aside. Empty: one line on standard error.
    Function<void(const Error&)> on_trouble{};
};

// In a file (SQLite). The folder is made where it is missing (but not the one that it is in) and
// has to be ours alone: mode 0700 and our own; the file gets mode 0600, and is no symbolic link.
// Throws Failure, errno with Errc::file, or invalid_argument with what to do about it, where that
// is not so; try_file_store returns it.
//
// Several processes may have it open at once, on one machine; it is not for network file systems,
// nor for both sides of a fork(). A process that is killed leaves it as it was before or after a
// change; a loss of power may take the last changes. A file that is damaged, or is none of ours, is
// renamed to PATH.damaged (in place of the last such file), and a new one is begun. It does not
// grow beyond 8 MiB, with its journal (PATH-wal, PATH-shm) beyond 16. A full disk ends nothing but
// the remembering.
std::shared_ptr<AssociationStore> file_store(const std::string& path,
                                             FileStoreOptions options = {});
Result<std::shared_ptr<AssociationStore>> try_file_store(const std::string& path,
                                                         FileStoreOptions options = {});

// Where the keys come from with which a server seals tickets. Without one each Context makes its
// own, anew each hour, so that a ticket is good for an hour, at the Context that gave it.
//
// A fleet of servers that takes one another's tickets gives the same secrets to all of them, from
// wherever it keeps such things, and replaces them regularly: `current` seals and opens, `previous`
// still opens. Who has a secret can read what was said under its tickets before the handshake, and
// can pretend to resume; it takes nothing else. Only servers with the same certificates, and the
// same demands on clients' certificates, take one another's tickets.
class TicketKeySource {
public:
    struct Secrets {
        Bytes current;     // 32 bytes or more, random; less: no tickets are given or taken
        Bytes previous{};  // the same; empty: there was none
    };
    virtual ~TicketKeySource() = default;
    // Called on the Context's thread, once a minute at most, when clients come; it must not block.
    virtual Secrets secrets() = 0;
    // Whether nobody of the fleet was asked for this name within `window`: the answer is true once,
    // and then false for so long. Asked for each first flight with early data, and for each of its
    // messages, by Listeners with ListenOptions::early_data (RFC 8446, 8.2): "SET name NX EX
    // window" of a memory that all servers share and that answers at once, since the handshake
    // waits for it. False is safe for a flight, whose messages then come behind the handshake; a
    // message that was taken by another server is dropped. A name is of at most 64 bytes, any
    // bytes. The default takes no early data at all.
    virtual bool first_use(const Bytes& name, std::chrono::seconds window) {
        static_cast<void>(name), static_cast<void>(window);
        return false;
    }
};

}  // namespace post
