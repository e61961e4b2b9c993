// Early data of an association that there is already, message by message.
#include "lib/association/early_attach.hpp"

#include <algorithm>
#include <utility>

namespace post::core {

bool EarlyAttach::is_of(const AssociationName& association) {
    if (!association_) association_ = association;
    return *association_ == association;
}

bool EarlyAttach::attach(const AssociationName& association) {
    return is_of(association) && !std::exchange(attached_, true);
}

// No more is copied than a client sends so.
bool EarlyAttach::take(const Piece& piece) {
    if (piece.last() && ++messages_ > EarlyFlight::most_messages) return false;
    const auto at = std::find_if(begun_.begin(), begun_.end(), [&](const Piece& one) {
        return one.carrier == piece.carrier && one.niceness == piece.niceness &&
               one.sequence == piece.sequence;
    });
    const bool known = at != begun_.end();
    const std::uint64_t before = known ? at->bytes.size() : 0;
    const bool simple = !(piece.extras && !piece.extras->antecedents.empty());
    const bool fits = simple && piece.offset == before && piece.bytes.size() <= room_ &&
                      (known ? joins_ > 0 : begun_.size() < EarlyFlight::most_messages);
    if (!fits) {
        if (known) begun_.erase(at);
        return true;
    }
    room_ -= piece.bytes.size();
    Piece copy = known ? std::move(*at) : piece;
    if (known) {
        begun_.erase(at);
        --joins_;
        copy.bytes = Bytes(copy.bytes.string() + piece.bytes.string());
    }
    (copy.last() ? whole_ : begun_).push_back(std::move(copy));
    return true;
}

std::optional<AssociationId> EarlyAttach::poll(std::vector<Piece>& copies) {
    if (!owner_ || whole_.empty()) return std::nullopt;
    copies = std::exchange(whole_, {});
    return owner_;
}

}  // namespace post::core
