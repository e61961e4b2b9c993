// Tells the simulator whether the running test has failed, so that a World can leave its packets.
#include <doctest/doctest.h>

#include "tests/sim/recorder.hpp"

namespace {

class Failures final : public doctest::IReporter {
public:
    explicit Failures(const doctest::ContextOptions&) {}

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats&) override {}
    void test_case_start(const doctest::TestCaseData&) override {
        post::sim::set_test_failed(false);
    }
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {
        post::sim::set_test_failed(true);
    }
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData& assertion) override {
        const bool warning = (assertion.m_at & doctest::assertType::is_warn) != 0;
        if (assertion.m_failed && !warning) post::sim::set_test_failed(true);
    }
    void log_message(const doctest::MessageData& message) override {
        if ((message.m_severity & doctest::assertType::is_warn) == 0)
            post::sim::set_test_failed(true);
    }
    void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("failures", 1, Failures);

}  // namespace
