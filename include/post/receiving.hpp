// Receiving: the next value of a TypedCarrier (post/codec.hpp), and what stands behind it when the
// peer may be a plain one, whose bytes a Deframer has to cut first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <post/carrier.hpp>
#include <post/decoded.hpp>
#include <post/deframer.hpp>
#include <post/function.hpp>
#include <post/message.hpp>
#include <post/operation.hpp>

namespace post::core {

// A receive of values that waits.
template <class T> struct WaitingValue : Waiting<T> {
    std::exception_ptr thrown;  // by decode; then the answer is of no meaning
};

// The values of one Carrier for all who want some: messages are taken one after the other and only
// while somebody waits, and what one arrival has too much of is kept for the next who asks. Shared
// by the TypedCarrier, its receives that wait and its ready callback.
template <class C> class Reading : public std::enable_shared_from_this<Reading<C>> {
public:
    using Value = typename C::Value;
    using Answer = Result<Value>;
    using Asked = WaitingRef<WaitingValue<Value>>;
    using OnValue = Function<bool(Carrier&, Answer)>;

    Reading(const Carrier& carrier, const C& codec)
        : lent_(carrier.lend()), codec_(codec), deframer_(codec) {}
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

    void largest(std::size_t bytes) { deframer_.largest(bytes); }
    // Messages may go past it: none of its own is under way, and there are no bytes of a stream.
    bool idle() const { return !wanted() && !stream_ && !message_ && !end_; }

    // The next value, which may be there at once.
    Asked ask() {
        std::erase_if(asked_, [](const Asked& asked) { return !asked->wanted; });
        Asked asked(new (home(lent_.anchor())) WaitingValue<Value>);
        asked_.push_back(asked);
        if (!owned_) pump();  // else a turn of the Context does, since it calls on_value
        return asked;
    }
    // Somebody who asked does not want it any more.
    void forget() { stop_if_unwanted(); }

    // As Carrier::ready, from the next turn on.
    void ready(OnValue on_value) {
        on_value_ = std::move(on_value);
        if (!std::exchange(owned_, true)) {
            Carrier lent = lent_.lend();
            own_ = std::move(lent);
        }
        later();
    }
    void end_ready() {
        if (!std::exchange(owned_, false)) return;
        const OnValue done = std::move(on_value_);
        const Carrier own = std::move(own_);  // closes, if it is the last
        stop_if_unwanted();
    }
    const AnchorRef& anchor() const { return lent_.anchor(); }

    // What came; one at a time, when next() has nothing left.
    void add(InMessage message) {
        if (!message.raw()) {
            message_ = std::move(message);
            return;
        }
        stream_ = true;
        if constexpr (DecodesBytes<C>)
            message.segments([&](const Bytes& segment) { deframer_.feed(segment); });
        else
            broken_ = Error(Errc::unsupported, {}, Stage::established,
                            "the peer's protocol is a stream of bytes without boundaries, and the "
                            "codec takes whole messages only: it has no decode(const Bytes&)");
    }

private:
    struct NoDeframer {
        explicit NoDeframer(const C&) {}
        void largest(std::size_t) {}
    };
    template <class Codec, bool> struct DeframerOf { using type = NoDeframer; };
    template <class Codec> struct DeframerOf<Codec, true> { using type = Deframer<Codec>; };

    bool wanted() const {
        if (owned_) return true;
        for (const Asked& asked : asked_)
            if (asked->wanted) return true;
        return false;
    }
    // What decode throws leaves it.
    std::optional<Answer> next() {
        if (message_) {
            InMessage message = *std::exchange(message_, std::nullopt);
            return decode(codec_, std::move(message));
        }
        if constexpr (DecodesBytes<C>)
            if (auto value = deframer_.next()) {
                if (*value) return value;
                broken_ = value->error();
            }
        if (broken_) return Answer(*broken_);
        if (end_) return Answer(*end_);
        return std::nullopt;
    }

    // Gives out what there is, and takes more while somebody wants it.
    void pump() {
        const auto self = this->shared_from_this();  // whom it calls may let go of it
        while (wanted()) {
            if (give()) continue;
            if (!message_under_way_) message_under_way_.emplace(lent_.receive());
            if (!message_under_way_->ready())
                return message_under_way_->notify([self] { self->pump(); });
            take();
        }
        stop_if_unwanted();
    }
    void take() {
        auto message = message_under_way_->get();
        message_under_way_.reset();
        if (message) return add(*std::move(message));
        end_ = message.error();
        if constexpr (DecodesBytes<C>)
            if (*end_ == Errc::carrier_closed) deframer_.finish();
    }
    // One value; false when there is none.
    bool give() {
        while (!asked_.empty() && !asked_.front()->wanted) asked_.pop_front();
        const bool waits = !asked_.empty();
        std::optional<Answer> value;
        std::exception_ptr thrown;
        try {
            value = next();
        } catch (...) {
            if (!waits) {
                later();
                throw;
            }
            thrown = std::current_exception();
        }
        if (!value && !thrown) return false;
        if (!waits) return give_to_ready(*std::move(value)), true;
        const Asked asked = std::move(asked_.front());
        asked_.pop_front();
        asked->thrown = thrown;
        asked->answer.emplace(thrown ? Answer(Errc::exception) : *std::move(value));
        if (asked->notify) listened(lent_.anchor(), asked);
        return true;
    }
    // Ready hears of no good end of a Carrier, nor of what the application did itself.
    void give_to_ready(Answer value) {
        const bool last = !value && (broken_ || end_);
        const auto quiet = {Errc::carrier_closed, Errc::context_closed, Errc::cancelled};
        const Error error = last ? value.error() : Error{};
        if (std::find(quiet.begin(), quiet.end(), error) != quiet.end()) return end_ready();
        OnValue on_value = std::move(on_value_);
        Carrier lent = lent_.lend();
        bool more = true;
        const auto put_back = [&] {
            const bool replaced = static_cast<bool>(on_value_);
            if (owned_ && !replaced) on_value_ = std::move(on_value);
            if (last || !(more || replaced)) end_ready();
        };
        try {
            more = on_value(lent, std::move(value));
        } catch (...) {
            put_back();
            later();
            throw;
        }
        put_back();
    }

    void later() {
        Operation<void>(Result<void>(), lent_.anchor())
            .then([self = this->shared_from_this()](const Result<void>&) { self->pump(); });
    }
    // A message that came before it was unwanted is the next one's.
    void stop_if_unwanted() {
        if (wanted()) return;
        asked_.clear();
        if (message_under_way_ && message_under_way_->ready()) take();
        message_under_way_.reset();
    }

    Carrier lent_;  // holds nothing: Carriers close when their TypedCarriers go
    Carrier own_;   // while on_value owns the Carrier
    C codec_;
    typename DeframerOf<C, DecodesBytes<C>>::type deframer_;
    std::optional<Operation<InMessage>> message_under_way_;
    std::optional<InMessage> message_;
    std::deque<Asked> asked_;
    OnValue on_value_;    // not here while it runs
    bool owned_ = false;  // by on_value: ready was called
    bool stream_ = false;
    std::optional<Error> broken_;  // what is wrong with the stream
    std::optional<Error> end_;     // of the Carrier
};

// One that waits; dropped, it forgets the answer.
template <class C> class Asking {
public:
    using Answer = typename Reading<C>::Answer;

    explicit Asking(std::shared_ptr<Reading<C>> reading)
        : reading_(std::move(reading)), asked_(reading_->ask()), anchor_(reading_->anchor()) {}
    Asking(Asking&&) noexcept = default;
    Asking& operator=(Asking&& other) noexcept {
        std::swap(reading_, other.reading_);
        std::swap(asked_, other.asked_);
        std::swap(anchor_, other.anchor_);
        return *this;
    }
    ~Asking() {
        if (!asked_) return;
        quiet();
        asked_->wanted = false;
        if (!asked_->answered()) reading_->forget();
    }

    bool ready() const { return asked_->answered(); }
    Answer get() { return take(*asked_.get()); }
    void then(Function<void(Answer)> callback) && {
        auto* asked =
            asked_.get();  // lives while its notify does: the core or `reading` holds both
        asked->notify = [asked, reading = std::move(reading_),
                         callback = std::move(callback)]() mutable { callback(take(*asked)); };
        listened(anchor_, std::exchange(asked_, {}));
    }
    void notify(Function<void()> resume) {
        asked_->notify = std::move(resume);
        listened(anchor_, asked_);
    }
    void quiet() { asked_->notify = {}; }
    const AnchorRef& anchor() const { return anchor_; }

private:
    static Answer take(WaitingValue<typename C::Value>& asked) {
        if (asked.thrown) std::rethrow_exception(std::exchange(asked.thrown, nullptr));
        return *std::move(asked.answer);
    }

    std::shared_ptr<Reading<C>> reading_;
    typename Reading<C>::Asked asked_;
    AnchorRef anchor_;
};

}  // namespace post::core

namespace post {

// The next value of a TypedCarrier; what an Operation of values would be.
template <class C> class Receiving {
public:
    using Answer = Result<typename C::Value>;

    // Of a message, which is decoded when the answer is taken.
    Receiving(Operation<InMessage>&& message, const C& codec)
        : from_(std::move(message)), codec_(codec) {}
    Receiving(std::shared_ptr<core::Reading<C>> reading, const C& codec)
        : from_(core::Asking<C>(std::move(reading))), codec_(codec) {}

    bool ready() const {
        return std::visit([](const auto& from) { return from.ready(); }, from_);
    }
    Answer get() {
        if (auto* asking = std::get_if<core::Asking<C>>(&from_)) return asking->get();
        auto message = std::get<Operation<InMessage>>(from_).get();
        if (!message) return message.error();
        return decode(codec_, *std::move(message));
    }
    void then(Function<void(Answer)> callback) && {
        if (auto* asking = std::get_if<core::Asking<C>>(&from_))
            return std::move(*asking).then(std::move(callback));
        std::get<Operation<InMessage>>(std::move(from_))
            .then([callback = std::move(callback),
                   codec = codec_](Result<InMessage> message) mutable {
                callback(message ? decode(codec, *std::move(message)) : Answer(message.error()));
            });
    }
    void notify(Function<void()> resume) {
        std::visit([&](auto& from) { from.notify(std::move(resume)); }, from_);
    }
    void quiet() {
        std::visit([](auto& from) { from.quiet(); }, from_);
    }
    const core::AnchorRef& anchor() const {
        return std::visit([](const auto& from) -> const core::AnchorRef& { return from.anchor(); },
                          from_);
    }

private:
    std::variant<Operation<InMessage>, core::Asking<C>> from_;
    [[no_unique_address]] C codec_;
};

}  // namespace post
