// The trace: what happened in a Context, as records that others can read; and nothing of what is in
// messages. (Left out where no parser of JSON was found.)
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "tests/scenario/scene.hpp"
#include "tests/unit/json_support.hpp"

namespace post::test {

namespace {

namespace fs = std::filesystem;

// A folder that goes with the test.
struct TraceFolder {
    TraceFolder() {
        std::string name = (fs::temp_directory_path() / "post-trace-").string() +
                           std::string(6, 'X');
        path = mkdtemp(name.data());
    }
    ~TraceFolder() { fs::remove_all(path); }
    TraceFolder(const TraceFolder&) = delete;
    TraceFolder& operator=(const TraceFolder&) = delete;
    ContextOptions options(std::uint64_t limit = ContextOptions{}.trace_limit) const {
        ContextOptions options;
        options.trace = path.string();
        options.trace_limit = limit;
        return options;
    }
    // The only file's text.
    std::string text() const {
        std::string all;
        int files = 0;
        for (const auto& entry : fs::directory_iterator(path)) {
            const std::string name = entry.path().filename().string();
            if (!name.starts_with("post-")) continue;
            ++files;
            std::ifstream in(entry.path(), std::ios::binary);
            all.assign(std::istreambuf_iterator<char>(in), {});
        }
        CHECK(files == 1);
        return all;
    }
    std::vector<json> records() const { return records_of(text()); }
    fs::path path;
};

std::vector<json> named(const std::vector<json>& records, const std::string& name) {
    std::vector<json> found;
    for (const json& each : records)
        if (each.value("name", "") == "post:" + name) found.push_back(each);
    return found;
}

std::string data(const json& record, const char* key) { return record["data"].value(key, ""); }

}  // namespace

TEST_SUITE("scenario") {
    TEST_CASE("a trace tells of the race, the connection, the Carriers and the messages") {
        const TraceFolder folder;
        {
            Scene scene(seed(), {.delay = 10ms}, {}, folder.options());
            scene.echo();
            auto carrier = scene.initiate();
            Texts got;
            gather(carrier, got);
            carrier.send("do not tell anybody", {.niceness = 3});
            REQUIRE(scene.until([&] { return got.size() == 1; }));
            auto fork = carrier.fork();
            fork.send("nor this");
            carrier.close();
            fork.close();
            scene.until([] { return false; }, 8s);
        }
        const auto records = folder.records();
        REQUIRE(records.size() > 10);
        // The head, as draft-ietf-quic-qlog-main-schema has it.
        CHECK(records[0]["file_schema"] == "urn:ietf:params:qlog:file:sequential");
        CHECK(records[0]["serialization_format"] == "application/qlog+json-seq");
        CHECK(records[0]["trace"]["event_schemas"].size() == 1);
        const json& time = records[0]["trace"]["common_fields"]["reference_time"];
        CHECK(time["clock_type"] == "monotonic");
        CHECK(time["epoch"] == "unknown");
        double last = 0;
        for (std::size_t i = 1; i < records.size(); ++i) {
            CAPTURE(records[i].dump());
            REQUIRE(records[i]["time"].is_number());
            CHECK(records[i]["time"].get<double>() >= last);
            last = records[i]["time"].get<double>();
            CHECK(records[i]["name"].get<std::string>().starts_with("post:"));
            CHECK(records[i]["data"].is_object());
            CHECK(records[i]["group_id"].get<std::string>().starts_with("association "));
        }
        for (const char* once :
             {"association_opened", "race_started", "name_asked", "candidate_started",
              "candidate_won", "transient_opened", "transient_established", "transient_closed",
              "association_closed", "message_received"}) {
            CAPTURE(once);
            if (std::string_view(once) == "name_asked")
                CHECK(named(records, once).size() == 2);  // addresses, and what it offers
            else
                CHECK(named(records, once).size() == 1);
        }
        CHECK(named(records, "name_answered").size() == 3);
        CHECK(named(records, "carrier_opened").size() == 2);
        CHECK(named(records, "carrier_closed").size() == 2);
        const auto won = named(records, "candidate_won");
        CHECK(data(won[0], "stack") == to_string(stack_of_stories()));
        CHECK(won[0]["data"]["duration"].get<double>() >= 20);
        for (const char* step : {"message_queued", "message_sent", "message_acked"}) {
            CAPTURE(step);
            const auto steps = named(records, step);
            REQUIRE(steps.size() == 2);
            CHECK(steps[0]["data"]["niceness"] == 3);
            CHECK(steps[0]["data"]["sequence"] == 0);
            CHECK(steps[0]["data"]["size"] == 19);
            CHECK(steps[1]["data"]["carrier"] == 2);
        }
        CHECK(named(records, "message_received")[0]["data"]["size"] == 19);
        CHECK(folder.text().find("tell anybody") == std::string::npos);
        CHECK(folder.text().find("nor this") == std::string::npos);
    }

    TEST_CASE("what becomes of messages when the handle is gone is in the trace") {
        const TraceFolder folder;
        {
            Scene scene(seed(), {.delay = 10ms}, {}, folder.options());
            scene.collect();
            scene.initiate().send("one");  // nobody waits for its fate
            scene.until([] { return false; }, 2s);
        }
        const auto records = folder.records();
        CHECK(named(records, "message_acked").size() == 1);
        CHECK(named(records, "error_unhandled").empty());
    }

    TEST_CASE("every message of a trace has one last word, however it ends") {
        const TraceFolder folder;
        {
            Scene scene(seed(), {.delay = 10ms, .loss = 0.05}, {}, folder.options());
            scene.echo();
            auto carrier = scene.initiate();
            for (int i = 0; i < 200; ++i)
                carrier.send(std::string(500, 'x'),
                             {.lifetime = i % 3 ? Duration{} : Duration(30ms)});
            scene.until([] { return false; }, 300ms);
            carrier.abort(AbortCode{7});
            scene.until([] { return false; }, 100ms);
        }
        const auto records = folder.records();
        const auto queued = named(records, "message_queued");
        CHECK(queued.size() == 200);
        std::multiset<std::uint64_t> ended;
        for (const char* end : {"message_acked", "message_expired", "message_failed"})
            for (const json& each : named(records, end))
                ended.insert(each["data"]["sequence"].get<std::uint64_t>());
        CHECK(ended.size() == 200);
        for (std::uint64_t i = 0; i < 200; ++i) CHECK(ended.count(i) == 1);
    }

    TEST_CASE("a race that was lost says so in the trace, with each candidate's error") {
        const TraceFolder folder;
        {
            Scene scene(seed(), {.delay = 10ms}, {}, folder.options());
            scene.collect({.policy = {.stacks = {Stack::quic, Stack::tls}}});
            auto carrier = scene.near_context().initiate(
                "post://10.0.0.2:4433",
                {.policy = {.stacks = {Stack::quic, Stack::tls}}, .trust = Trust::system()});
            auto active = carrier.activate();
            REQUIRE(scene.until([&] { return active.ready(); }));
        }
        const auto records = folder.records();
        const auto failed = named(records, "candidate_failed");
        REQUIRE(failed.size() == 2);
        for (const json& each : failed) {
            CHECK(data(each, "stage") == "verify");
            CHECK(each["data"]["error"]["message"].get<std::string>().find("10.0.0.2:4433") !=
                  std::string::npos);
        }
        const auto lost = named(records, "race_lost");
        REQUIRE(lost.size() == 1);
        CHECK(lost[0]["data"]["error"]["detail"].get<std::string>().find("tls: verify") !=
              std::string::npos);
    }

    TEST_CASE("an error that nobody took is in the trace") {
        const TraceFolder folder;
        {
            Scene scene(seed(), {.delay = 10ms}, {}, folder.options());
            auto carrier = scene.near_context().initiate("post://nobody.test", scene.pinned());
            carrier.send("hello");
            REQUIRE(scene.until([&] { return !scene.unhandled.empty(); }, 30s));
        }
        CHECK(named(folder.records(), "error_unhandled").size() == 1);
    }

    TEST_CASE("a trace ends with a word about it when it is as long as it may be") {
        const TraceFolder folder;
        constexpr std::uint64_t limit = 8192;
        Fates fates;
        {
            Scene scene(seed(), {.delay = 10ms}, {}, folder.options(limit));
            scene.echo();
            auto carrier = scene.initiate();
            for (int i = 0; i < 100; ++i) carrier.send("hello", {}, fates.watch());
            REQUIRE(scene.until([&] { return fates.all(); }));
            for (int i = 0; i < 100; ++i) carrier.send("again");
            scene.until([] { return false; }, 1s);
        }
        CHECK(fates.acked() == 100);
        CHECK(folder.text().size() <= limit);
        CHECK(folder.text().size() > limit - 1024);
        const auto records = folder.records();
        CHECK(records.back()["name"] == "post:trace_cut");
        CHECK(records.back()["data"]["limit"] == limit);
    }

    TEST_CASE("a trace that cannot be made is an error at once") {
        sim::World world(1);
        ContextOptions options;
        options.trace = "/nowhere/at/all";
        try {
            sim::Node node(world, world.host("10.0.0.1"), options);
            FAIL_CHECK("made");
        } catch (const Failure& failure) {
            CHECK(failure.error() == Errc::file);
        }
        const TraceFolder folder;
        CHECK_THROWS_AS(sim::Node(world, world.host("10.0.0.3"), folder.options(4095)), Failure);
    }

    TEST_CASE("who is traced sends the same bytes as who is not") {
        const TraceFolder folder;
        std::vector<Instant> ends;
        for (const bool traced : {false, true}) {
            Scene scene(seed(), {.delay = 10ms, .loss = 0.1}, {},
                        traced ? folder.options() : ContextOptions{});
            scene.echo();
            auto carrier = scene.initiate();
            Texts got;
            gather(carrier, got);
            for (int i = 0; i < 50; ++i) carrier.send(std::string(1000, 'x'));
            REQUIRE(scene.until([&] { return got.size() == 50; }));
            ends.push_back(scene.near_context().now());
        }
        CHECK(ends[0] == ends[1]);
    }

    TEST_CASE("quic: a trace names the connection's own log") {
        const TraceFolder folder;
        try {
            ContextOptions options = folder.options();
            options.qlog = folder.path.string();
            Scene scene(seed(), {.delay = 10ms}, {}, std::move(options));
            scene.echo();
            auto carrier = scene.near_context().initiate(
                "post://server.test:4433", scene.pinned({.policy = {.stacks = {Stack::quic}}}));
            auto active = carrier.activate();
            REQUIRE(scene.until([&] { return active.ready(); }));
        } catch (const Failure& failure) {
            CHECK(failure.error() == Errc::unsupported);  // ngtcp2 before 1.22.1
            return;
        }
        const auto opened = named(folder.records(), "transient_opened");
        REQUIRE(opened.size() == 1);
        const std::string log = data(opened[0], "qlog");
        CAPTURE(log);
        CHECK(fs::exists(folder.path / log));
        CHECK(log == data(opened[0], "odcid") + "_client.sqlog");
    }
}

}  // namespace post::test
