// What Carriers and Associations say of themselves: features, and whose connection it is; and to
// the trace what becomes of messages that nobody below ever saw.
#include "lib/carrier/carriers.hpp"

namespace post {

namespace core {

Reuse Carriers::reuse(CarrierKey key) {
    Reuse reuse;
    const Row* row = rows_.find(key);
    if (!row) return reuse;
    const Reuse* known = associations_.reuse(row->association);
    if (known && row->how == Reuse::How::first) return *known;
    const Association* found = associations_.find(row->association);
    if (found && found->options().remote) reuse.remote = found->options().remote->string();
    reuse.how = row->how;
    reuse.association = row->association;
    reuse.age = associations_.age(row->association, now_);
    return reuse;
}

void Carriers::trace_refused(const MessageId& id, AssociationId association, std::uint64_t size,
                             const Error& error) {
    TraceLog& trace = associations_.shared().trace;
    if (!trace.on()) return;
    trace.add(association, traced::Message{.what = traced::Message::What::failed,
                                           .carrier = id.carrier,
                                           .niceness = id.niceness,
                                           .size = size,
                                           .error = error});
}

namespace {

constexpr Support gone{Support::Level::unsupported, "the association is gone"};

const Association* view(const AnchorRef& anchor, AssociationId id) {
    auto* table = anchor ? anchor->carriers : nullptr;
    return table ? table->associations().find(id) : nullptr;
}

// "post://a.example:4433 over quic (post-quic/1)".
std::string what_is_used(const Association& association) {
    const auto path = association.path();
    std::string text = association.options().remote ? association.options().remote->string()
                       : path                       ? "the peer at " + path->remote.string()
                                                    : "the peer";
    if (association.state() == Association::State::dormant)
        return text + ": dormant; what may be expected when it wakes\n";
    if (association.state() != Association::State::established)
        return text + ": not connected; what may be expected\n";
    text += std::string(" over ") + to_string(association.stack());
    if (!association.alpn().empty()) text += " (" + association.alpn() + ")";
    if (const std::string standby = association.explain_standby(); !standby.empty())
        text += "; " + standby;
    return text + "\n";
}

template <class Explain> FeatureTable table_of(const Association* association, Explain explain) {
    FeatureTable table;
    if (!association) return table;
    for (std::uint8_t i = 0; i < feature_count; ++i) {
        const auto feature = static_cast<Feature>(i);
        table.emplace_back(feature, explain(*association, feature));
    }
    return table;
}

}  // namespace

}  // namespace core

Support Association::explain(Feature feature) const {
    const auto* found = core::view(anchor_, id_);
    return found ? found->explain(feature) : core::gone;
}

FeatureTable Association::features() const {
    return core::table_of(core::view(anchor_, id_), [](const auto& association, Feature feature) {
        return association.explain(feature);
    });
}

std::string Association::explain() const {
    const auto* found = core::view(anchor_, id_);
    if (!found) return std::string(core::gone.reason) + "\n";
    return core::what_is_used(*found) + to_string(features());
}

Support Carrier::explain(Feature feature) const {
    const auto* found = core::view(anchor_, association().id());
    return found ? found->explain(id(), feature) : core::gone;
}

FeatureTable Carrier::features() const {
    return core::table_of(core::view(anchor_, association().id()),
                          [carrier = id()](const auto& association, Feature feature) {
                              return association.explain(carrier, feature);
                          });
}

std::string Carrier::explain() const {
    const auto* found = core::view(anchor_, association().id());
    if (!found) return std::string(core::gone.reason) + "\n";
    return core::what_is_used(*found) + reuse().string() + "\n" + to_string(features());
}

Reuse Carrier::reuse() const {
    auto* table = anchor_ ? anchor_->carriers : nullptr;
    return table ? table->reuse(key_) : Reuse{};
}

}  // namespace post
