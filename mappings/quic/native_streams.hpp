// NativeStreams: ngtcp2's streams as Streams want them.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include "mappings/streams/transport.hpp"

namespace post::quic {

class NativeStreams final : public streams::Transport {
public:
    // It outlives the calls. Another one when the connection begins anew.
    void attach(ngtcp2_conn* native) { native_ = native; }

    std::int64_t open_stream(bool one_way, streams::Stream& stream) override;
    void adopt(std::int64_t id, streams::Stream& stream) override;
    void reset_stream(std::int64_t id, std::uint64_t code) override;
    void stop_sending(std::int64_t id, std::uint64_t code) override;
    void extend_streams(bool one_way, std::uint64_t count) override;
    void extend_window(std::int64_t id, std::uint64_t bytes) override;
    void extend_budget(std::uint64_t bytes) override;

    std::uint64_t data_left() const override;
    std::uint64_t stream_data_left(std::int64_t id) const override;
    std::uint64_t fresh_data_left() const override;
    std::size_t largest_alone(std::size_t packet) const override;
    Duration alone_patience() const override;

private:
    ngtcp2_conn* native_ = nullptr;
};

}  // namespace post::quic
