// Streams as file descriptors: the connection itself where it can be given away, else a pump
// between the Stream and a local stream. A pump holds at most one read and one write of the Stream,
// so that either side holds back the other.
#include "lib/context_root.hpp"

namespace post {

Result<int> Stream::as_descriptor() {
    auto anchor = carrier_.anchor();
    if (!anchor) return Error(Errc::carrier_closed);
    if (!anchor->root) return Error(Errc::context_closed);
    return anchor->root->descriptor(*this);
}

}  // namespace post

namespace post::core {

Result<int> Root::descriptor(Stream& stream) {
    const AssociationId id = stream.association().id();
    Association* association = associations_.use(id);
    if (!association) return Error(Errc::carrier_closed);
    if (const auto link = association->release(stream.id())) {
        Way& way = *this->way({id, association->attempt()});
        const SocketId socket = way.links.at(*link);
        way.links.erase(*link);
        connections_.erase(socket);
        auto released = io_->release(socket);
        if (!released) io_->close(socket);
        stream = Stream();
        return released;
    }
    auto pair = io_->open_pair();
    if (!pair) return pair.error();
    Pump& pump = pumps_[pair->ours];
    pump.stream = std::move(stream);
    read_on(pair->ours);
    return pair->descriptor;
}

// From the Stream to the descriptor.
void Root::read_on(SocketId socket) {
    const auto at = pumps_.find(socket);
    if (at == pumps_.end()) return;
    Pump& pump = at->second;
    if (pump.reading || pump.read_all || !io_->writable(socket)) return;
    pump.reading = true;
    pump.stream.read(Pump::most_read).then([this, socket](Result<Bytes> bytes) {
        const auto again = pumps_.find(socket);
        if (again == pumps_.end()) return;
        again->second.reading = false;
        if (!bytes) {
            again->second.read_all = true;
            return io_->end_sending(socket);
        }
        Datagrams run;
        run.segment = bytes->size();
        run.bytes = bytes->span();
        io_->send(socket, run);
        read_on(socket);
    });
}

// From the descriptor to the Stream.
void Root::handle_input(Pump& pump, const Io::Received& received) {
    if (received.end) pump.ended = true;
    if (received.datagrams.empty()) return settle(pump, received.socket);
    const SocketId socket = received.socket;
    auto writing = pump.stream.write(Bytes(received.datagrams.bytes));
    if (writing.ready()) {
        if (!writing.get()) return give_up(socket);
        return settle(pump, socket);
    }
    // What is read meanwhile would have to be kept.
    io_->hold(socket, true);
    ++pump.writing;
    std::move(writing).then([this, socket](Result<void> done) {
        const auto at = pumps_.find(socket);
        if (at == pumps_.end()) return;
        if (!done) return give_up(socket);
        if (--at->second.writing == 0) io_->hold(socket, false);
        settle(at->second, socket);
    });
}

// The Stream takes nothing any more: whoever writes on is told (EPIPE), and can read what came.
void Root::give_up(SocketId socket) {
    const auto last = pumps_.extract(socket);
    io_->close(socket);
}

// The other end has closed its descriptor, or it is broken: nobody reads any more, and what was
// written is still delivered.
void Root::handle_hangup(SocketId socket) {
    Pump& pump = pumps_.at(socket);
    pump.ended = pump.gone = true;
    settle(pump, socket);
}

void Root::settle(Pump& pump, SocketId socket) {
    if (!pump.ended || pump.writing > 0) return;
    if (!pump.gone) return pump.stream.finish();
    Stream last = std::move(pump.stream);
    pumps_.erase(socket);
    io_->close(socket);
    last.close();
}

}  // namespace post::core
