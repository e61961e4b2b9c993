// Puts into words what arrange() puts in order.
#include "lib/association/plan.hpp"

#include "lib/policy/stacks.hpp"

namespace post::core {

namespace {

void add_refused(Plan& plan, const Selection& selection, const RaceOptions& options) {
    for (const auto& each : selection.refused)
        plan.refused.push_back({to_string(each.stack), each.reason});
    if (!options.out) return;
    for (const auto& each : options.out->refused)
        plan.refused.push_back({"interface " + each.interface, each.reason});
}

std::string what(const Order::Refused& refused) {
    std::string text = refused.stack ? to_string(*refused.stack) : "";
    if (refused.remote.family == Address::Family::none) return text;
    text += (text.empty() ? "" : " to ") + refused.remote.string();
    return refused.path.empty() ? text : text + " over " + refused.path;
}

}  // namespace

RaceOptions race_options(const Selection& selection, std::string alpn) {
    RaceOptions options;
    options.stacks = selection.secure();
    options.insecure = selection.insecure();
    options.alpn = std::move(alpn);
    return options;
}

Plan plan(const Remote& remote, const Selection& selection, const std::vector<Endpoint>& endpoints,
          const RaceOptions& options, const Error& resolved) {
    Plan plan{.remote = remote.string(), .notes = selection.relaxed};
    Order order = arrange(endpoints, options);
    Duration delay{};
    for (Candidate& each : order.candidates) {
        Plan::Candidate candidate{.path = std::move(each.path.interface),
                                  .stack = each.stack,
                                  .remote = each.endpoint.address,
                                  .from = std::move(each.endpoint.from),
                                  .secure = each.secure,
                                  .reason = std::move(each.reason),
                                  .source = each.path.source};
        const bool waits_for_failure = (!each.secure && !options.stacks.empty()) ||
                                       (!row(each.stack).races && !plan.candidates.empty());
        if (!waits_for_failure) candidate.delay = delay;
        delay += attempt_delay(options);
        plan.candidates.push_back(std::move(candidate));
    }
    for (const Order::Refused& each : order.refused)
        plan.refused.push_back({what(each), each.reason});
    add_refused(plan, selection, options);
    const Error no_path = options.out ? options.out->error : Error();
    if (no_path) plan.error = no_path;
    if (selection.error) plan.error = selection.error;
    if (no_path || selection.error) plan.candidates.clear();
    if (plan.candidates.empty() && !plan.error)
        plan.error = resolved ? resolved : Error(Errc::no_route, {}, Stage::resolve);
    return plan;
}

}  // namespace post::core
