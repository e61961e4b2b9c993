// A store in memory: peers by their keys, and in the order in which they were used.
#include <functional>
#include <list>
#include <unordered_map>

#include <post/association_store.hpp>

namespace post {

namespace {

struct KeyHash {
    std::size_t operator()(const AssociationKey& key) const {
        std::size_t all = 0;
        for (const std::string* part :
             {&key.remote, &key.alpn, &key.trust, &key.identity, &key.network})
            all = all * 31 + std::hash<std::string>()(*part);
        return all;
    }
};

class MemoryStore final : public AssociationStore {
public:
    std::optional<KeptAssociation> find(const AssociationKey& key) override {
        const auto found = by_key_.find(key);
        if (found == by_key_.end()) return std::nullopt;
        return found->second->kept;
    }

    bool change(const AssociationKey& key, Function<void(KeptAssociation&)> change) override {
        const auto found = by_key_.find(key);
        if (found == by_key_.end()) return add(key, std::move(change));
        const auto row = found->second;
        const WallTime before = row->kept.used;
        change(row->kept);
        if (row->kept.empty()) {
            by_key_.erase(found);
            rows_.erase(row);
        } else if (row->kept.used != before) {
            rows_.splice(rows_.begin(), rows_, row);
        }
        return true;
    }

    std::vector<Listed> list() override { return {rows_.begin(), rows_.end()}; }

    std::size_t forget(std::string_view remote) override {
        std::size_t count = 0;
        for (auto row = rows_.begin(); row != rows_.end();) {
            if (!remote.empty() && row->key.remote != remote) {
                ++row;
                continue;
            }
            by_key_.erase(row->key);
            row = rows_.erase(row);
            ++count;
        }
        return count;
    }

private:
    bool add(const AssociationKey& key, Function<void(KeptAssociation&)> change) {
        KeptAssociation kept;
        change(kept);
        if (kept.empty()) return true;
        const WallTime used = kept.used;
        while (!rows_.empty() && (rows_.size() == most_peers ||
                                  rows_.back().kept.used + KeptAssociation::life < used)) {
            by_key_.erase(rows_.back().key);
            rows_.pop_back();
        }
        rows_.push_front({key, std::move(kept)});
        by_key_.emplace(key, rows_.begin());
        return true;
    }

    std::list<Listed> rows_;  // the one used last first
    std::unordered_map<AssociationKey, std::list<Listed>::iterator, KeyHash> by_key_;
};

}  // namespace

std::shared_ptr<AssociationStore> memory_store() { return std::make_shared<MemoryStore>(); }

}  // namespace post
