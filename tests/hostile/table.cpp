// Lines are kept until the test program ends.
#include "tests/hostile/table.hpp"

#include <doctest/doctest.h>

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool replaced_heap = true;
#elif defined(__has_feature)
constexpr bool replaced_heap = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool replaced_heap = false;
#endif

namespace post::test {

namespace {

struct Row {
    int order;
    std::string text;
};

std::vector<Row>& rows() {
    static std::vector<Row> all;
    return all;
}

std::string printed(const char* format, double value, const char* unit) {
    char text[64];
    std::snprintf(text, sizeof text, format, value, unit);
    return text;
}

class TableListener final : public doctest::IReporter {
public:
    explicit TableListener(const doctest::ContextOptions& options) : out_(*options.cout) {}

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats&) override {
        auto& all = rows();
        std::stable_sort(all.begin(), all.end(),
                         [](const Row& a, const Row& b) { return a.order < b.order; });
        for (const Row& row : all) out_ << row.text << '\n';
    }
    void test_case_start(const doctest::TestCaseData&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}

private:
    std::ostream& out_;
};

DOCTEST_REGISTER_LISTENER("attacks", 2, TableListener);

}  // namespace

void measured(std::string_view number, std::string_view attack, std::string_view figures) {
    std::string text = "attack " + std::string(number);
    text.resize(std::max<std::size_t>(text.size() + 1, 12), ' ');
    text += attack;
    text.resize(std::max<std::size_t>(text.size() + 2, 56), ' ');
    rows().push_back({std::atoi(number.data() + 1), text + std::string(figures)});
}

std::string amount(double bytes) {
    if (bytes < 10'000) return printed("%.0f %s", bytes, "B");
    if (bytes < 10'000 * 1024.0) return printed("%.1f %s", bytes / 1024, "KiB");
    return printed("%.1f %s", bytes / 1024 / 1024, "MiB");
}

std::string decimal(double value) { return printed("%.2f%s", value, ""); }

std::size_t heap() { return replaced_heap ? 0 : mallinfo2().uordblks + mallinfo2().hblkhd; }
bool sanitized() { return replaced_heap; }
std::size_t grown(std::size_t before) { return heap() - std::min(before, heap()); }

std::string heap_figure(std::size_t bytes, std::size_t bound) {
    if (replaced_heap) return "heap not counted (skipped: the sanitizer has its own)";
    return "heap " + amount(static_cast<double>(bytes)) +
           " (<= " + amount(static_cast<double>(bound)) + ")";
}

std::string time_figure(double seconds, double bound) {
    if (replaced_heap) return "not timed here (skipped: the sanitizer is slow)";
    return decimal(seconds * 1000) + " ms (<= " + decimal(bound * 1000) + ")";
}

}  // namespace post::test
