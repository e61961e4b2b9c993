// What an association tells the trace. Nothing here is reached while nobody writes one.
#include "lib/association/association.hpp"

namespace post::core {

namespace {

traced::Message::What what_of(Fate::Kind kind) {
    switch (kind) {
        case Fate::Kind::sent: return traced::Message::What::sent;
        case Fate::Kind::acked: return traced::Message::What::acked;
        case Fate::Kind::expired: return traced::Message::What::expired;
        case Fate::Kind::failed: break;
    }
    return traced::Message::What::failed;
}

const char* name_of(CarrierKind kind) {
    switch (kind) {
        case CarrierKind::messages: return "messages";
        case CarrierKind::stream: return "stream";
        case CarrierKind::one_way: break;
    }
    return "one_way";
}

}  // namespace

void Association::trace_attempt(AttemptId attempt) const {
    const auto& attempts = race_->establishment().attempts;
    const auto index = static_cast<std::size_t>(attempt.value()) - options_.race.first_attempt;
    if (!traces() || index >= attempts.size()) return;
    trace(traced::Attempted{attempt.value(), attempts[index]});
}

void Association::trace_begin(const Mapping& mapping, AttemptId attempt) const {
    if (!traces()) return;
    trace(traced::TransientOpened{attempt.value(), mapping.stack(), mapping.path(), mapping.log()});
}

void Association::trace_end(const Mapping& mapping, AttemptId attempt, const Error& error) const {
    if (!traces()) return;
    trace(traced::TransientClosed{attempt.value(), mapping.stack(), mapping.path(), error});
}

void Association::trace_established() {
    if (!traces()) return;
    const Path path = mapping_->path();
    trace(traced::TransientEstablished{attempt_.value(), stack_, alpn_, path});
    told_path_ = path;
}

void Association::trace_path() {
    if (!told_path_) return;
    const Path path = mapping_->path();
    const auto same = [&](const Path& one) {
        return path.local == one.local && path.remote == one.remote && path.mtu == one.mtu &&
               path.ecn == one.ecn && path.version == one.version;
    };
    if (same(*told_path_)) return;
    told_path_ = path;
    trace(traced::PathChanged{attempt_.value(), path});
}

void Association::trace_carrier(const Lane& lane) const {
    trace(traced::CarrierOpened{lane.id(), lane.parent, lane.ours, name_of(lane.kind)});
}

void Association::trace_queued(CarrierId carrier, Niceness niceness, Sequence sequence,
                               std::uint64_t size) const {
    trace(traced::Message{
        .carrier = carrier, .niceness = niceness, .sequence = sequence, .size = size});
}

// The fates, and what came.
void Association::trace_messages() {
    if (traces()) {
        for (const Happened& event : outbox_.events()) {
            const auto* progress = std::get_if<happened::Progress>(&event);
            if (!progress) continue;
            const Fate& fate = progress->fate;
            trace(traced::Message{.what = what_of(fate.kind),
                                  .carrier = fate.message.carrier,
                                  .niceness = fate.message.niceness,
                                  .sequence = fate.message.sequence,
                                  .size = progress->size,
                                  .error = fate.error,
                                  .maybe_delivered = fate.maybe_delivered});
        }
        for (const traced::Message& message : inbox_.arrivals()) trace(message);
    }
    inbox_.arrivals().clear();
}

}  // namespace post::core
