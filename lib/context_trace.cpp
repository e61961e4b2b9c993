// Events as JSON. A record is RS, an object, LF.
#include "lib/context_trace.hpp"

#include <algorithm>

#include <post/error.hpp>

#include "lib/io/json.hpp"

namespace post::core {

namespace {

using io::Json;

// Kept free for the last record.
constexpr std::uint64_t last_words = 512;

const char* name_of(traced::Message::What what) {
    switch (what) {
        case traced::Message::What::queued: return "message_queued";
        case traced::Message::What::sent: return "message_sent";
        case traced::Message::What::acked: return "message_acked";
        case traced::Message::What::expired: return "message_expired";
        case traced::Message::What::failed: return "message_failed";
        case traced::Message::What::received: break;
    }
    return "message_received";
}

const char* name_of(Establishment::Result result) {
    switch (result) {
        case Establishment::Result::under_way: return "candidate_started";
        case Establishment::Result::won: return "candidate_won";
        case Establishment::Result::failed: return "candidate_failed";
        case Establishment::Result::lost: break;
    }
    return "candidate_lost";
}

const char* name_of(Question question) {
    switch (question) {
        case Question::addresses: return "A, AAAA";
        case Question::svcb: return "SVCB";
        case Question::https: return "HTTPS";
        case Question::srv: return "SRV";
        case Question::tlsa: break;
    }
    return "TLSA";
}

// The detail of a race that was lost names what was tried. Others may show what came.
void put(Json& json, const Error& error, bool whole = false) {
    if (!error) return;
    json.object("error").text("message", error.message());
    json.text("category", error.code.category().name());
    json.text("code", std::to_string(error.code.value()));
    if (error.stage != Stage::none) json.text("stage", to_string(error.stage));
    if (error.cause) {
        json.text("cause", error.cause.message());
        json.text("cause_category", error.cause.category().name());
        json.text("cause_code", std::to_string(error.cause.value()));
    }
    if (whole && !error.detail.empty()) json.text("detail", error.detail.string());
    json.end();
}

void put(Json& json, const Path& path) {
    json.object("path");
    if (path.local.family != Address::Family::none) json.text("local", path.local.string());
    if (path.remote.family != Address::Family::none) json.text("remote", path.remote.string());
    json.number("mtu", path.mtu);
    json.milliseconds("smoothed_rtt", path.smoothed_rtt.count());
    json.milliseconds("min_rtt", path.minimum_rtt.count());
    json.number("bytes_sent", path.bytes_sent).number("bytes_received", path.bytes_received);
    json.number("packets_sent", path.packets_sent).number("packets_lost", path.packets_lost);
    json.boolean("ecn", path.ecn);
    json.end();
}

void put(Json& json, const Reuse& reuse) {
    json.object("reuse").text("how", to_string(reuse.how));
    json.array("differs");
    for (const Reuse::Aspect aspect : reuse.differs) json.text({}, to_string(aspect));
    json.end().text("words", reuse.string()).end();
}

// Writes the name of an event, and its data.
struct Writer {
    Json& json;

    Json& begin(const char* name) const {
        json.text("name", std::string("post:") + name);
        return json.object("data");
    }
    void operator()(const traced::AssociationOpened& event) const {
        begin("association_opened");
        if (!event.remote.empty()) json.text("remote", event.remote);
        put(json, event.reuse);
    }
    void operator()(const traced::AssociationClosed& event) const {
        begin("association_closed");
        put(json, event.error);
    }
    void operator()(const traced::Joined& event) const {
        begin("association_joined");
        put(json, event.reuse);
    }
    void operator()(const traced::Asked& event) const {
        begin("name_asked").text("question", name_of(event.question)).text("host", event.name);
    }
    void operator()(const traced::Answered& event) const {
        begin(event.cached ? "name_cached" : "name_answered").text("kind", to_string(event.kind));
        json.text("host", event.name).number("endpoints", event.endpoints);
        put(json, event.error);
    }
    void operator()(const traced::RaceBegan& event) const {
        begin("race_started").text("remote", event.remote);
    }
    void operator()(const traced::Attempted& event) const {
        const Establishment::Attempt& about = event.about;
        begin(name_of(about.result)).number("attempt", event.attempt);
        json.text("stack", to_string(about.stack)).text("remote", about.remote.string());
        json.text("stage", to_string(about.stage));
        if (about.result == Establishment::Result::under_way) {
            json.text("from", about.from).text("trigger", about.reason);
            return;
        }
        json.milliseconds("duration", (about.ended - about.started).count());
        if (about.heard != never)
            json.milliseconds("first_heard_after", (about.heard - about.started).count());
        put(json, about.error);
    }
    void operator()(const traced::RaceLost& event) const {
        begin("race_lost");
        put(json, event.error, true);
    }
    void operator()(const traced::TransientOpened& event) const {
        begin("transient_opened").number("attempt", event.attempt);
        json.text("stack", to_string(event.stack));
        // The connection id that qlog knows it by is the beginning of the file's name.
        if (!event.log.empty())
            json.text("qlog", event.log).text("odcid", event.log.substr(0, event.log.find('_')));
        put(json, event.path);
    }
    void operator()(const traced::TransientEstablished& event) const {
        begin("transient_established").number("attempt", event.attempt);
        json.text("stack", to_string(event.stack)).text("alpn", event.alpn);
        put(json, event.path);
    }
    void operator()(const traced::PathChanged& event) const {
        begin("transient_path").number("attempt", event.attempt);
        put(json, event.path);
    }
    void operator()(const traced::TransientClosed& event) const {
        begin("transient_closed").number("attempt", event.attempt);
        json.text("stack", to_string(event.stack));
        put(json, event.error);
        put(json, event.path);
    }
    void operator()(const traced::CarrierOpened& event) const {
        begin("carrier_opened").number("carrier", event.carrier.value());
        if (event.parent) json.number("parent", event.parent->value());
        json.text("by", event.ours ? "us" : "peer").text("kind", event.kind);
    }
    void operator()(const traced::CarrierClosed& event) const {
        begin("carrier_closed").number("carrier", event.carrier.value());
        put(json, event.error);
    }
    void operator()(const traced::Message& event) const {
        begin(name_of(event.what)).number("carrier", event.carrier.value());
        json.number("niceness", event.niceness.value());
        if (event.sequence) json.number("sequence", event.sequence->value());
        json.number("size", event.size);
        if (event.maybe_delivered) json.boolean("maybe_delivered", true);
        put(json, event.error);
    }
    void operator()(const traced::Unhandled& event) const {
        begin("error_unhandled");
        put(json, event.error);
    }
};

std::string framed(const Json& json) { return '\x1e' + json.string() + '\n'; }

std::string head() {
    Json json;
    json.object();
    json.text("file_schema", "urn:ietf:params:qlog:file:sequential");
    json.text("serialization_format", "application/qlog+json-seq");
    json.text("title", "post");
    json.object("trace");
    json.object("vantage_point").text("name", "post").text("type", "unknown").end();
    json.object("common_fields");
    json.text("time_format", "relative_to_epoch");
    json.object("reference_time").text("clock_type", "monotonic").text("epoch", "unknown");
    json.text("wall_clock_time", io::time_of_day()).end();
    json.end();
    json.array("event_schemas").text({}, "urn:post-sockets:qlog:events:post").end();
    json.end().end();
    return framed(json);
}

// An event that is about the trace itself.
std::string about_itself(Duration at, const char* name, const char* what, std::uint64_t number) {
    Json json;
    json.object().milliseconds("time", at.count()).text("name", std::string("post:") + name);
    json.object("data").number(what, number).end().end();
    return framed(json);
}

io::TraceFile make_file(const std::string& folder, std::uint64_t limit) {
    if (limit < Trace::least_limit)
        throw Failure(Error(Errc::invalid_argument, {}, Stage::call,
                            "ContextOptions::trace_limit is at least 4096 bytes"));
    return io::TraceFile::create(folder).value();
}

}  // namespace

Trace::Trace(const std::string& folder, std::uint64_t limit, Instant began)
    : file_(make_file(folder, limit)), limit_(limit), began_(began) {
    file_.append(head());
}

void Trace::write(TraceLog& log) {
    const auto [events, left_out] = log.poll();
    std::string text;
    Instant last = began_;
    bool full = false;
    for (const Traced& event : events) {
        const std::string record = record_of(event, began_);
        last = event.at;
        full = file_.size() + text.size() + record.size() + last_words > limit_;
        if (full) break;
        text += record;
    }
    if (left_out > 0 && !full)
        text += about_itself(last - began_, "events_left_out", "count", left_out);
    if (full) text += about_itself(last - began_, "trace_cut", "limit", limit_);
    if (!file_.append(text) || full) log.turn_on(false);
}

std::string record_of(const Traced& traced, Instant began) {
    Json json;
    json.object().milliseconds("time", (traced.at - began).count());
    std::visit(Writer{json}, traced.what);
    json.end();  // of its data
    if (traced.association != AssociationId{})
        json.text("group_id", "association " + std::to_string(traced.association.value()));
    json.end();
    return framed(json);
}

}  // namespace post::core
