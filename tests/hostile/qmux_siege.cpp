// The victim's side is real; the attacker's is TLS and whatever is said in it.
#include "tests/hostile/qmux_siege.hpp"

#include "tests/unit/qmux_support.hpp"

namespace post::test {

namespace {

tls::EndpointOptions endpoint_options() {
    tls::EndpointOptions options;
    options.protection = crypto::PacketProtectionBackend::gnutls;
    options.random = [](std::span<std::byte> bytes) {
        std::fill(bytes.begin(), bytes.end(), std::byte{5});
    };
    return options;
}

}  // namespace

std::string frame::generous() {
    constexpr std::uint64_t much = std::uint64_t{1} << 40;
    std::string all = parameter(0x01, 30'000) + parameter(0x04, much);
    for (std::uint64_t id : {5u, 6u, 7u}) all += parameter(id, much);
    return all + parameter(0x08, 1 << 20) + parameter(0x09, 1 << 20);
}

QmuxSiege::QmuxSiege(const QmuxSiegeOptions& options)
    : options_(options), endpoint_(endpoint_options()) {
    const auto client = *Address::parse("192.0.2.1", 50000);
    const auto server = *Address::parse("192.0.2.2", 4433);
    if (options.victim == Role::server) {
        tls::AcceptOptions accept;
        accept.security.identity = Identity::from_pem(tls_pem().certificates, tls_pem().key);
        accept.transport.limits = options.limits;
        victim_ = endpoint_.accept(now_, accept, server, client).value();
    } else {
        tls::ConnectOptions connect;
        connect.local = client;
        connect.remote = server;
        connect.security.trust = Trust::danger_anyone();
        connect.transport.limits = options.limits;
        victim_ = endpoint_.connect(now_, connect).value();
    }
    TlsEndOptions attacker;
    attacker.alpn = {options.alpn};
    attacker_.emplace(options.victim == Role::server ? Role::client : Role::server, attacker);
    shake_hands();
    if (options.declares && !lost_) say(frame::qx_parameters(options.parameters));
}

void QmuxSiege::shake_hands() {
    for (int turn = 0; turn < 6; ++turn) {
        flush();
        if (attacker_->stream->has_output()) deliver(attacker_->take());
    }
}

bool QmuxSiege::write(std::string_view bytes, std::size_t part) {
    while (!lost_ && !bytes.empty()) {
        const auto now = bytes.substr(0, part);
        bytes.remove_prefix(now.size());
        deliver(attacker_->say(now));
    }
    return !lost_;
}

bool QmuxSiege::deliver(std::span<const std::byte> bytes) {
    Datagrams run;
    run.segment = bytes.size();
    run.bytes = bytes;
    victim_->handle_input(now_, run);
    drain();
    flush();
    return !lost_;
}

void QmuxSiege::flush() {
    while (reads) {
        const auto run = victim_->poll_transmit(now_, supply_, space_);
        if (run.bytes.empty()) break;
        bytes_ += run.bytes.size();
        if (attacker_) attacker_->feed(run.bytes);
        hear();
    }
    drain();
}

void QmuxSiege::pass(Duration duration) {
    const Instant end = now_ + duration;
    for (int turns = 0; victim_->deadline() <= end && turns < 100'000; ++turns) {
        now_ = std::max(now_, victim_->deadline());
        victim_->handle_timeout(now_);
        drain();
        flush();
    }
    now_ = end;
}

void QmuxSiege::hear() {
    auto& content = attacker_->arrived;
    for (;;) {
        wire::Reader reader(std::as_bytes(std::span(content)));
        const auto size = reader.varint();
        const auto record = size ? reader.bytes(*size) : std::nullopt;
        if (!record) return;
        largest_record_ = std::max(largest_record_, *size);
        for (wire::Reader frames(*record); !frames.empty();) {
            const auto frame = tls::next_frame(frames);
            REQUIRE(frame);  // the victim says nothing that it would not take
            const auto* close = std::get_if<tls::frame::ConnectionClose>(&*frame);
            if (close && !close->application) close_code_ = close->code;
            if (keeps) heard_.push_back(describe(*frame));
        }
        content.erase(0, reader.taken());
    }
}

void QmuxSiege::drain() {
    fresh_.clear();
    victim_->poll_events(fresh_);
    spread_runs(fresh_);
    for (auto& event : fresh_) {
        if (auto* gone = std::get_if<event::Lost>(&event); gone && !lost_) lost_ = gone->error;
        if (std::holds_alternative<event::Opened>(event)) ++opened_;
        if (auto* one = std::get_if<event::Unblocked>(&event); one && one->carrier)
            supply_.unblock(*one->carrier);
        if (auto* piece = std::get_if<event::Arrived>(&event)) {
            const auto size = piece->piece.bytes.size();
            arrived_ += size;
            if (options_.take) victim_->extend_window(piece->piece.carrier, size);
            if (options_.take) victim_->extend_budget(size);
        }
        if (keeps) events_.push_back(std::move(event));
    }
}

}  // namespace post::test
