// Typed requests and replies: structs that travel as JSON, each request on a fork of its own, so
// that none waits for another. Both ends live in one Context here.
#include <chrono>
#include <cstdio>

#include <nlohmann/json.hpp>
#include <post/codec.hpp>
#include <post/coro.hpp>
#include <post/post.hpp>

struct Request {
    std::string word;
    int times = 1;
};
struct Reply {
    std::string text;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Request, word, times)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Reply, text)

template <class Out, class In> struct Json {  // the codec: sends Out, receives In
    using Sent = Out;
    using Value = In;
    void encode(const Out& value, post::Buffer& buffer) const {
        buffer.append(nlohmann::json(value).dump());
    }
    post::Decoded<In> decode(const post::Bytes& bytes) const try {
        return nlohmann::json::parse(bytes.view()).template get<In>();
    } catch (const nlohmann::json::exception& error) {  // what a peer says is no exception of ours
        return post::Malformed{error.what(), {}};
    }
};
using Client = post::TypedCarrier<Json<Request, Reply>>;
using Server = post::TypedCarrier<Json<Reply, Request>>;

Reply answer(const Request& request) {
    Reply reply;
    for (int i = 0; i < request.times; ++i) reply.text += request.word;
    return reply;
}

post::Task<> ask(Client client, post::Context& context) {
    Client one = client.fork();
    Client other = client.fork();
    one.send({.word = "ha", .times = 3}, {.final = true});
    other.send({.word = "ho", .times = 2}, {.final = true});
    auto replies = post::all(one.receive(), other.receive());
    auto both = co_await post::timeout(replies, std::chrono::seconds(5));
    context.stop();
    if (!both) throw post::Failure(both.error());
    auto& [first, second] = *both;
    std::printf("%s, %s\n", std::move(first).value().text.c_str(),
                std::move(second).value().text.c_str());
}

int main() {
    const auto identity = post::Identity::self_signed("localhost");
    post::Context context;
    auto listener = context.listen({.identity = identity});
    listener.accept([](post::Carrier carrier) {  // forks that no Carrier takes come here too
        Server(std::move(carrier)).ready([](Server& from, const post::Result<Request>& request) {
            if (request) from.send(answer(*request), {.final = true});
            return false;  // after a malformed one too: its client sees the Carrier close
        });
        return true;
    });
    const post::Remote remote("localhost", listener.port());
    ask(Client(context.initiate(remote, {.trust = post::Trust::pinned(identity.pin())})), context);
    context.run();
}
