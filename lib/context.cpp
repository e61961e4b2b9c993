// Context: the public face of the Root.
#include <post/context.hpp>

#include <climits>

#include "lib/context_root.hpp"

namespace post {

namespace {

core::Root& root(const core::AnchorRef& anchor) { return *anchor->root; }

}  // namespace

Context::Context(ContextOptions options) : anchor_(new core::Anchor) {
    anchor_->root = new core::Root(std::move(options), *anchor_.get());
    anchor_->carriers = &anchor_->root->carriers();
}

Context::~Context() { root(anchor_).end(); }

Carrier Context::initiate(Remote remote, InitiateOptions options) {
    return root(anchor_).initiate(remote, options);
}

Source Context::initiate_source(Remote remote, InitiateOptions options) {
    options.one_way = true;
    return Source(root(anchor_).initiate(remote, options));
}

Listener Context::listen(Local local, ListenOptions options) {
    return root(anchor_).listen(local, options).value();
}

Result<Listener> Context::try_listen(Local local, ListenOptions options) {
    return root(anchor_).listen(local, options);
}

Sink Context::listen_sink(Local local, ListenOptions options) {
    return root(anchor_).listen_sink(local, options).value();
}

Result<Sink> Context::try_listen_sink(Local local, ListenOptions options) {
    return root(anchor_).listen_sink(local, options);
}

void Context::run() { root(anchor_).run(); }
void Context::stop() noexcept { root(anchor_).stop(); }
void Context::submit(Function<void()> work) { root(anchor_).submit(std::move(work)); }
bool Context::turn() { return root(anchor_).turn(); }
int Context::fd() const { return root(anchor_).fd(); }
Instant Context::deadline() const { return root(anchor_).deadline(); }
const Preferences& Context::preferences() const { return root(anchor_).preferences(); }
Instant Context::now() const { return root(anchor_).now(); }

int Context::timeout() const {
    const Instant at = deadline();
    if (at == never) return -1;
    const Instant present = now();
    if (at <= present) return 0;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(at - present).count();
    return left > INT_MAX ? INT_MAX : static_cast<int>(left);
}

void Context::on_use(Function<void()> on_use) {
    root(anchor_).carriers().on_use(std::move(on_use));
}

bool Context::shutdown(Duration linger) { return root(anchor_).shutdown(linger); }

void Context::on_unhandled(Function<void(const Error&)> on_unhandled) {
    root(anchor_).carriers().on_unhandled(std::move(on_unhandled));
}

}  // namespace post
