// Neighbours: Contexts that share one UDP port (SO_REUSEPORT), in one process or in several ones.
// The system gives each flow to one of them, and to another one when the flow's address changes or
// when one of them comes or goes; so they hand each other what is not theirs. Each has a Unix
// datagram socket, named by port, address and index in the abstract namespace of the machine's
// network, and believes only its own user.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <post/result.hpp>

#include "lib/io/descriptor.hpp"
#include "mappings/wire/datagrams.hpp"

namespace post::io {

class Neighbours {
public:
    // Takes the place `index` of those that share `local`; address_in_use when it is taken.
    static Result<Neighbours> open(const Address& local, std::uint16_t index);

    // Hands a run on; it is lost, as any datagram may be, when nobody has that place now or when
    // the other one is behind.
    void pass(std::uint16_t index, const Datagrams& run);
    // The next run that was handed to us, its bytes in the front of `space` (65535 bytes at least);
    // nothing when there is none. `skipped` came, and was none.
    enum class Receipt : std::uint8_t { run, skipped, nothing };
    Receipt receive(std::span<std::byte> space, Datagrams& run);

    int fd() const { return socket_.get(); }

private:
    Neighbours(Descriptor socket, const Address& local)
        : socket_(std::move(socket)), local_(local) {}

    Descriptor socket_;
    Address local_;
};

}  // namespace post::io
