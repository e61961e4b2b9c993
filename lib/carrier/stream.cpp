// Streams: what a Carrier becomes when it is to have no messages.
#include <post/stream.hpp>

#include "lib/carrier/carriers.hpp"

namespace post {

Result<Stream> Carrier::as_stream() {
    if (!anchor_) return Error(Errc::carrier_closed);
    if (!anchor_->carriers) return Error(Errc::context_closed);
    if (Error error = anchor_->carriers->morph(key_)) return error;
    return Stream(std::move(*this));
}

void Stream::ready(OnBytes on_bytes) {
    if (!on_bytes) return carrier_.ready(Carrier::OnMessage{});
    carrier_.ready(ReceiveParts{1, largest_read},
                   [on_bytes = std::move(on_bytes)](Carrier& carrier, InMessage part) mutable {
                       Stream lent(carrier.lend());
                       return on_bytes(lent, std::move(part).content());
                   });
}

}  // namespace post

namespace post::core {

// Draft 2.1.5: a Carrier that was used as one is one.
Error Carriers::morph(CarrierKey key) {
    Row* row = rows_.find(key);
    if (!row || row->over) return row ? row->ended() : Error(Errc::carrier_closed);
    const auto refused = [](Errc errc, Bytes why) {
        return Error(errc, {}, Stage::call, std::move(why));
    };
    if (row->kind == CarrierKind::one_way)
        return refused(Errc::unsupported, "a Source or a Sink is no Stream: it has one direction");
    if (row->use == Row::Use::used)
        return refused(Errc::invalid_argument,
                       "only a fresh Carrier becomes a Stream: this one has sent, finished, or "
                       "asked for messages");
    Association* association = this->association(*row);
    if (!association) return Error(Errc::carrier_closed);
    if (Error error = association->morph(row->carrier)) return error;
    row->kind = CarrierKind::stream;
    row->use = Row::Use::used;
    return {};
}

// What a call that is for messages answers on what the peer opened as a Stream.
Error Carriers::not_messages() {
    return Error(Errc::invalid_argument, {}, Stage::call,
                 "the peer opened this Carrier as a byte stream: take it with as_stream()");
}

}  // namespace post::core
