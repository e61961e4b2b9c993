// main() of the test programs: doctest's, and a word about the seed below each failed test.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdlib>
#include <ostream>

#include "tests/seed.hpp"

namespace {

// Only speaks when something failed; doctest's own reporter says the rest.
class SeedListener final : public doctest::IReporter {
public:
    explicit SeedListener(const doctest::ContextOptions& options) : out_(*options.cout) {}

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats&) override {}
    void test_case_start(const doctest::TestCaseData& test) override { test_ = &test; }
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
        if (stats.failure_flags == 0) return;
        out_ << "To repeat it: POST_SEED=" << post::test::seed() << " and -tc='" << test_->m_name
             << "'\n\n";
    }
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}

private:
    std::ostream& out_;
    const doctest::TestCaseData* test_ = nullptr;
};

// What a test sees is not to depend on the preferences of the machine that it runs on.
[[maybe_unused]] const int without_policy = ::setenv("POST_POLICY", "", 1);

DOCTEST_REGISTER_LISTENER("seed", 1, SeedListener);

}  // namespace
