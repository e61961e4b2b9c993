// Filling: the supply as the connection below sees it: first what nghttp3 had to say, then what is
// pulled from above, turned into that. For one call of poll_transmit, and never kept.
#pragma once

#include "mappings/http3/connection.hpp"

namespace post::http3 {

class Connection::Filling final : public Supply {
public:
    Filling(Connection& connection, Supply& above) : connection_(connection), above_(above) {}

    Outgoing* next() override;
    void packed(CarrierId carrier, std::uint64_t pieces) override;
    void packed_alone(CarrierId, NicenessClass, Sequence) override {}
    void blocked(CarrierId carrier) override;

private:
    Connection& connection_;
    Supply& above_;
};

}  // namespace post::http3
