// QmuxSiege: a connection of QMux in TLS, and a peer that was honest until TLS's handshake was done
// and says anything afterwards: records of any frames, or bytes that are no records, under the true
// keys. No network lies between them: what the victim sends is counted, and its frames can be read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mappings/tls/connection.hpp"
#include "tests/fake/queue_supply.hpp"
#include "tests/hostile/frames.hpp"
#include "tests/unit/tls_support.hpp"

namespace post::test {

namespace frame {

// Much of everything.
std::string generous();

}  // namespace frame

struct QmuxSiegeOptions {
    Role victim = Role::server;
    Limits limits;         // the victim's
    bool take = false;     // the victim's application takes what arrives
    bool declares = true;  // the attacker begins with its parameters
    std::string parameters = frame::generous();
    std::string alpn{tls::post_alpn};  // the attacker's
};

class QmuxSiege {
public:
    explicit QmuxSiege(const QmuxSiegeOptions& options = {});
    QmuxSiege(const QmuxSiege&) = delete;
    QmuxSiege& operator=(const QmuxSiege&) = delete;

    // One record of these frames; what they cause is sent and counted. False when the victim has
    // ended the connection.
    bool say(std::string_view frames) { return write(frame::record(frames)); }
    // Bytes of the stream inside TLS, in records of TLS of `part` bytes at most.
    bool write(std::string_view bytes, std::size_t part = crypto::largest_tls_content);
    // Bytes of the stream below TLS.
    bool deliver(std::span<const std::byte> bytes);
    // The victim fills what it can.
    void flush();
    // Time passes, and the victim's timers run.
    void pass(Duration duration);

    Mapping& victim() { return *victim_; }
    TlsEnd& attacker() { return *attacker_; }
    QueueSupply& supply() { return supply_; }
    Instant now() const { return now_; }

    // What the victim said since it was asked last, frame by frame, and the size of its largest
    // record ever.
    std::vector<std::string> heard() { return std::exchange(heard_, {}); }
    std::uint64_t largest_record() const { return largest_record_; }
    bool reads = true;  // the attacker takes what the victim sends
    std::uint64_t bytes() const { return bytes_; }

    const std::optional<Error>& lost() const { return lost_; }
    // Of the CONNECTION_CLOSE that the victim sent: its code, if the transport's.
    std::optional<std::uint64_t> close_code() const { return close_code_; }
    // The victim's events, while `keeps`.
    bool keeps = true;
    const std::vector<Event>& events() const { return events_; }
    std::uint64_t opened() const { return opened_; }
    std::uint64_t arrived() const { return arrived_; }  // bytes
    template <class Kind> std::size_t count() const {
        std::size_t found = 0;
        for (const auto& event : events_) found += std::holds_alternative<Kind>(event);
        return found;
    }

private:
    void shake_hands();
    void drain();
    void hear();

    QmuxSiegeOptions options_;
    tls::Endpoint endpoint_;
    std::unique_ptr<Mapping> victim_;
    std::optional<TlsEnd> attacker_;
    QueueSupply supply_;
    Instant now_{std::chrono::seconds(1)};
    Octets space_ = Octets(largest_run);
    std::vector<Event> events_;
    std::vector<Event> fresh_;
    std::vector<std::string> heard_;
    std::optional<Error> lost_;
    std::optional<std::uint64_t> close_code_;
    std::uint64_t largest_record_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t opened_ = 0;
    std::uint64_t arrived_ = 0;
};

}  // namespace post::test
