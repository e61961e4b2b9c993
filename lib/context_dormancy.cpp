// Associations that rest are put away: what they were made with is kept once for all of them.
#include "lib/context_root.hpp"

namespace post::core {

// Of a client's.
struct Root::Terms final : RestTerms {
    explicit Terms(const InitiateOptions& made) : options(made) {}
    const Bounds& bounds() const override { return options.bounds; }
    std::string key(const Remote& remote) const override { return sharing_key(remote, options); }

    InitiateOptions options;
};

namespace {

// Of a server's.
struct Taken final : RestTerms {
    explicit Taken(const Bounds& its) : all(its) {}
    const Bounds& bounds() const override { return all; }
    std::string key(const Remote&) const override { return {}; }

    Bounds all;
};

}  // namespace

// What differs from Remote to Remote is left out, all else is the same where this is.
std::shared_ptr<const RestTerms> Root::terms_of(const Association& association,
                                                const Setup& setup) {
    const Bounds& bounds = association.options().bounds;
    if (association.options().role == Role::server) {
        auto last = taken_terms_.lock();
        if (!last || last->bounds() != bounds)
            taken_terms_ = last = std::make_shared<const Taken>(bounds);
        return last;
    }
    static const Remote nowhere("post://nowhere");
    auto& kept = terms_[sharing_key(nowhere, setup.options)];
    auto terms = kept.lock();
    if (!terms) kept = terms = std::make_shared<const Terms>(setup.options);
    if (terms_.size() > most_terms_) {
        std::erase_if(terms_, [](const auto& one) { return one.second.expired(); });
        most_terms_ = std::max<std::size_t>(64, 2 * terms_.size());
    }
    return terms;
}

void Root::park(AssociationId id) {
    Association* const found = associations_.peek(id);
    const Setup& setup = setups_[id];
    const bool free = setup.ways.empty() && setup.lookups.empty() && setup.moves.number == 0;
    if (!free || !found->may_park()) return;
    associations_.park(id, terms_of(*found, setup));
    forget(id);
}

// One that was put away has its options again.
void Root::unpark(const Association& association, Setup& setup) {
    const auto terms = associations_.poll_woken(association.id());
    if (terms && association.options().role == Role::client)
        setup.options = static_cast<const Terms&>(*terms).options;
}

}  // namespace post::core
