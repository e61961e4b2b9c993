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
    // HTTP Datagrams: below they have the names that they have above.
    void packed_alone(CarrierId carrier, NicenessClass niceness, Sequence sequence) override {
        above_.packed_alone(carrier, niceness, sequence);
    }
    void refused(CarrierId carrier, NicenessClass niceness, Sequence sequence,
                 const Error& reason) override {
        above_.refused(carrier, niceness, sequence, reason);
    }
    void blocked(CarrierId carrier) override;

private:
    Connection& connection_;
    Supply& above_;
};

}  // namespace post::http3
