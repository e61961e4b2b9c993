// Carriers are initiated, and join the association that is there where all that matters is equal.
#include <utility>

#include "lib/association/sharing.hpp"
#include "lib/context_root.hpp"

namespace post::core {

Reuse Root::reuse(const Remote& remote, const InitiateOptions& options) const {
    Reuse reuse;
    if (of_datagrams(options.policy))
        reuse.how = Reuse::How::datagrams;
    else
        reuse = associations_.look(sharing_key(remote, options), now());
    reuse.remote = remote.string();
    return reuse;
}

Carrier Root::initiate(const Remote& remote, const InitiateOptions& options) {
    if (const auto fine = check_initiate(options); !fine) throw Failure(fine.error());
    auto race = race_options(remote, options).value();
    auto channel = Carriers::channel_of({options.label, options.protocol, options.channel});
    // A flow is nobody else's.
    const bool datagrams = of_datagrams(options.policy);
    const std::string key = datagrams ? std::string() : sharing_key(remote, options);
    Association* association = associations_.share(key);
    TraceLog& trace = associations_.shared().trace;
    const bool joins = association;
    if (!association) {
        Reuse reuse = this->reuse(remote, options);
        Association::Options made;
        made.role = Role::client;
        made.remote = remote;
        made.bounds = options.bounds;
        made.name = random_name();
        steer(remote, options, race);
        made.eager = opens_eagerly(race, options);
        made.race = std::move(race);
        io_->random(std::as_writable_bytes(std::span(&made.race_id, 1)));
        made.dane = io_->trusts_names() && (options.trust.kind() == Trust::Kind::system ||
                                            options.trust.kind() == Trust::Kind::authorities);
        made.datagrams = datagrams;
        made.fields = speaks_http(remote, options);
        association = &associations_.create(made, key, 0);
        if (options.policy.standby) association->keep_standby(options.policy.redundant_below);
        if (trace.on())
            trace.add(association->id(), traced::AssociationOpened{reuse.remote, reuse});
        associations_.explain(association->id(), std::move(reuse));
        Setup& setup = setups_[association->id()];
        setup.options = options;
        setup.interfaces = interfaces_version_;
    } else if (trace.on()) {
        trace.add(association->id(), traced::Joined{reuse(remote, options)});
    }
    Association::NewCarrier carrier;
    carrier.priority = options.priority;
    carrier.kind = options.one_way ? CarrierKind::one_way : CarrierKind::messages;
    carrier.channel = std::move(channel);
    if (speaks_http(remote, options)) carrier.target = remote.target();
    return carriers_.open(*association, carrier, {}, joins);
}

}  // namespace post::core
