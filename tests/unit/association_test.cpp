// Association: what it says to a mapping in which order, and what the mapping's events do to it.
#include "lib/association/association.hpp"

#include <ostream>

#include <doctest/doctest.h>

#include "tests/unit/association_support.hpp"

using namespace std::chrono_literals;
using namespace post::test;
using post::Bounds;
using post::CarrierId;
using post::CarrierKind;
using post::Errc;
using post::Error;
using post::Role;
using post::Stage;
using post::core::Association;
using State = Association::State;

TEST_SUITE("unit") {
    TEST_CASE("nothing happens before the first use, and then SETTINGS come first") {
        AssociationRig rig;
        const CarrierId carrier = rig.open();
        CHECK(rig.association.state() == State::fresh);
        CHECK_FALSE(rig.association.poll_want({}));
        rig.send(carrier, "hello");
        CHECK(rig.association.state() == State::connecting);
        const auto want = rig.association.poll_want({});
        REQUIRE(want);
        CHECK(std::get<post::core::Connect>(*want).remote.string() == "192.0.2.1:4433");
        CHECK_FALSE(rig.association.poll_want({}));  // one at a time
        rig.association.attach(std::make_unique<ScriptedMapping>(rig.script));
        CHECK(rig.said().empty());
        rig.tell(post::event::Established{"post", true, {}});
        CHECK(rig.said() == Words{"settings", "open 0", "0 hello"});
        CHECK(rig.happened() == Words{"active", "sent 1#0"});
        rig.peer_has(carrier, 1);
        rig.turn();
        CHECK(rig.happened() == Words{"acked 1#0"});
        CHECK(rig.shared.outstanding == 0);
    }

    TEST_CASE("a plain peer gets no SETTINGS") {
        AssociationRig rig;
        const CarrierId carrier = rig.open();
        rig.send(carrier, "hello");
        rig.association.attach(std::make_unique<ScriptedMapping>(rig.script));
        rig.tell(post::event::Established{"raw", false, {}});
        CHECK(rig.said() == Words{"open 0", "0 hello"});
        rig.tell(post::event::Acked{carrier, 1});
        rig.turn();
        CHECK(rig.happened() == Words{"active", "sent 1#0", "acked 1#0"});
    }

    TEST_CASE("a fork opens its parent first") {
        AssociationRig rig;
        rig.establish();
        const CarrierId parent = rig.open();
        const CarrierId child = rig.open(parent);
        const CarrierId grandchild = rig.open(child);
        CHECK(rig.said().empty());  // a fork is lazy
        rig.send(grandchild, "deep");
        CHECK(rig.said() == Words{"open 0", "open 2 of 0", "open 4 of 2", "4 deep"});
        rig.open(parent, CarrierKind::messages, true);  // unless it is to be announced
        CHECK(rig.said() == Words{"open 6 of 0"});
    }

    TEST_CASE("the peer's Carriers wait for its SETTINGS") {
        AssociationRig rig(Role::server);
        rig.establish(true, false);
        rig.peer_opens(0);
        rig.peer_sends(0, 0, "early");
        rig.turn();
        CHECK(rig.happened().empty());
        rig.peer_settings();
        rig.turn();
        CHECK(rig.happened() == Words{"opened 0 of 0"});
        rig.association.adopt(CarrierId{0}, 77);
        rig.turn();
        CHECK(rig.happened() == Words{"readable 77"});
        CHECK(rig.association.take(CarrierId{0})->content() == "early");
    }

    TEST_CASE("a message longer than the peer takes fails at its send") {
        AssociationRig rig;
        rig.establish(true, false);
        rig.peer_settings(100);
        rig.turn();
        const CarrierId carrier = rig.open();
        CHECK(rig.association.send_error(carrier, 100).code == std::error_code{});
        CHECK(rig.association.send_error(carrier, 101) == Errc::message_too_large);
    }

    TEST_CASE("a fork of the peer's names its parent") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "x");
        rig.said();
        rig.peer_opens(1, carrier);
        rig.peer_opens(3, CarrierId{900});  // of one that is gone
        rig.turn();
        CHECK(rig.happened() == Words{"sent 1#0", "opened 1 of 1", "opened 3 of 0"});
        rig.association.refuse(CarrierId{1});
        CHECK(rig.said() == Words{"refuse 1"});
        CHECK(rig.commands() == Words{"reset 1", "stop 1"});
    }

    TEST_CASE("a fork that nobody takes fails with its messages") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "x");
        rig.said();
        rig.tell(post::Refuse{carrier, Errc::carrier_refused});
        rig.turn();
        CHECK(rig.happened() == Words{"sent 1#0", "failed 1#0", "readable 1"});
        rig.tell(post::event::Ended{carrier});
        rig.turn();
        CHECK(rig.happened() == Words{"over 1"});
        CHECK(rig.errors.back() == Errc::carrier_refused);
        CHECK_FALSE(rig.association.has(carrier));
    }

    TEST_CASE("a blocked Carrier stays silent until it is unblocked") {
        AssociationRig rig;
        rig.establish();
        const CarrierId one = rig.open();
        const CarrierId two = rig.open();
        rig.script.no_room = {one};
        rig.send(one, "later");
        rig.send(two, "now");
        CHECK(rig.said() == Words{"open 0", "open 2", "2 now"});
        SUBCASE("by its name") { rig.tell(post::event::Unblocked{one}); }
        SUBCASE("with all that wait for a stream") { rig.tell(post::event::Unblocked{}); }
        CHECK(rig.said() == Words{"0 later"});
    }

    TEST_CASE("closing drains, discards what still comes, and ends in good order") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "last");
        rig.association.close(rig.now, carrier);
        CHECK(rig.shared.draining == 1);
        CHECK(rig.association.send_error(carrier, 1) == Errc::carrier_closed);
        CHECK(rig.said() == Words{"open 0", "0 last", "finish 0"});
        rig.peer_sends(0, 0, "unwanted");
        rig.peer_has(carrier, 1);
        rig.turn();
        CHECK(rig.happened() == Words{"sent 1#0", "readable 1", "acked 1#0"});
        CHECK_FALSE(rig.association.take(carrier));
        rig.tell(post::event::Ended{carrier});
        rig.turn();
        CHECK(rig.happened() == Words{"over 1"});
        CHECK(rig.errors.back() == Errc::carrier_closed);
        CHECK(rig.shared.draining == 0);
    }

    TEST_CASE("a Carrier that was closed before it was opened tells the peer to stop as well") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "last");
        rig.association.close(rig.now, carrier);
        CHECK(rig.commands().empty());
        rig.turn();
        CHECK(rig.commands() == Words{"stop 0"});
        const CarrierId source = rig.open({}, CarrierKind::one_way);
        rig.send(source, "last");
        rig.association.close(rig.now, source);
        rig.turn();
        CHECK(rig.commands().empty());
    }

    TEST_CASE("closing waits for at most the linger time") {
        AssociationRig rig(Role::client, {.linger = 3s});
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "never acked");
        rig.association.close(rig.now, carrier);
        rig.run_until(rig.now + 3s - 1ns);
        CHECK(rig.happened() == Words{"sent 1#0", "readable 1"});
        rig.run_until(rig.now + 1ns);
        CHECK(rig.happened() == Words{"failed 1#0"});
        CHECK(rig.commands() == Words{"stop 0", "reset 0", "stop 0"});
        rig.tell(post::event::Ended{carrier});
        rig.turn();
        CHECK(rig.happened() == Words{"over 1"});
        CHECK(rig.shared.draining == 0);
    }

    TEST_CASE("a Carrier that nobody heard of closes without a word") {
        AssociationRig rig;
        const CarrierId carrier = rig.open();
        rig.association.close(rig.now, carrier);
        rig.turn();
        CHECK(rig.happened() == Words{"readable 1", "over 1"});
        CHECK(rig.association.state() == State::fresh);
    }

    TEST_CASE("aborting ends both directions at once") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "x");
        rig.said();
        rig.send(carrier, "y");
        rig.association.abort(carrier, Error(Errc::cancelled));
        CHECK(rig.commands() == Words{"reset 0", "stop 0"});
        CHECK(rig.said().empty());
        CHECK(rig.happened() == Words{"sent 1#0", "failed 1#0", "failed 1#1", "readable 1"});
        rig.tell(post::event::Ended{carrier});
        rig.turn();
        CHECK(rig.errors.empty());
        CHECK(rig.happened() == Words{"over 1"});
        CHECK(rig.errors.back() == Errc::cancelled);
    }

    TEST_CASE("the peer's reset ends receiving and leaves our direction open") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "x");
        rig.said();
        rig.peer_sends(0, 0, "whole");
        rig.tell(post::event::Reset{carrier, Error(Errc::carrier_reset)});
        rig.turn();
        CHECK(rig.association.take(carrier)->content() == "whole");
        CHECK(*rig.association.received_all(carrier) == Errc::carrier_reset);
        rig.peer_has(carrier, 1);
        rig.turn();
        CHECK(rig.happened() == Words{"sent 1#0", "readable 1", "readable 1", "acked 1#0"});
    }

    TEST_CASE("the peer's stop fails what is not delivered, and resets our direction") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "a");
        rig.send(carrier, "b");
        rig.said();
        rig.peer_has(carrier, 1);
        rig.tell(post::event::Stopped{carrier, Error(Errc::carrier_closed)});
        rig.turn();
        CHECK(rig.happened() == Words{"sent 1#0", "sent 1#1", "acked 1#0", "failed 1#1"});
        CHECK(rig.commands() == Words{"reset 0"});
        CHECK_FALSE(rig.association.received_all(carrier));
    }

    // The peer's STOP_SENDING came when every byte was acknowledged: the transport keeps it.
    TEST_CASE("an abort that crosses our last word fails what is not delivered") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "a");
        rig.send(carrier, "b");
        rig.association.finish(carrier);
        rig.said();
        rig.peer_has(carrier, 1);
        rig.tell(post::event::Reset{carrier, Error(Errc::carrier_reset)});
        rig.tell(post::event::Ended{carrier});
        rig.turn();
        CHECK(rig.happened() ==
              Words{"sent 1#0", "sent 1#1", "acked 1#0", "readable 1", "failed 1#1", "over 1"});
        CHECK(rig.errors.back() == Errc::carrier_reset);
        CHECK(rig.association.state() == State::established);
    }

    TEST_CASE("a Source sends only, and a Sink receives only") {
        AssociationRig rig;
        rig.establish();
        const CarrierId source = rig.open({}, CarrierKind::one_way);
        CHECK(*rig.association.received_all(source) == Errc::no_return_path);
        rig.peer_opens(1, {}, CarrierKind::one_way);
        rig.turn();
        rig.association.adopt(CarrierId{1}, 50);
        CHECK(rig.association.send_error(CarrierId{1}, 1) == Errc::no_return_path);
        CHECK_FALSE(rig.association.writable(CarrierId{1}));
        rig.association.finish(CarrierId{1});
        rig.send(source, "x");
        rig.association.finish(source);
        CHECK(rig.said() == Words{"open 0", "0 x", "finish 0"});
    }

    TEST_CASE("a Carrier is kept until its last message is taken") {
        AssociationRig rig;
        rig.establish();
        rig.peer_opens(1);
        rig.turn();
        rig.association.adopt(CarrierId{1}, 50);
        rig.association.finish(CarrierId{1});
        rig.peer_sends(1, 0, "late");
        rig.tell(post::event::Finished{CarrierId{1}});
        rig.tell(post::event::Ended{CarrierId{1}});
        rig.turn();
        CHECK(rig.happened() == Words{"opened 1 of 0", "readable 50", "readable 50"});
        CHECK(rig.association.take(CarrierId{1})->content() == "late");
        rig.turn();
        CHECK(rig.happened() == Words{"over 50"});
    }

    TEST_CASE("what breaks a rule closes the association") {
        AssociationRig rig;
        rig.establish();
        const CarrierId carrier = rig.open();
        rig.send(carrier, "x");
        rig.said();
        SUBCASE("SETTINGS twice") { rig.peer_settings(); }
        SUBCASE("a Carrier opened twice") {
            rig.peer_opens(1);
            rig.peer_opens(1);
        }
        SUBCASE("DELIVERED of what was not sent") { rig.peer_has(carrier, 2); }
        rig.turn();
        rig.turn();
        CHECK(rig.commands() ==
              Words{"close " + make_error_code(Errc::protocol_violation).message()});
        CHECK(rig.association.state() == State::gone);
        const Words words = rig.happened();
        CHECK(words.back() == "gone");
        CHECK(rig.errors.back() == Errc::protocol_violation);
        CHECK(rig.shared.outstanding == 0);
    }

    TEST_CASE("a lost connection gives every message its fate and every Carrier its end") {
        AssociationRig rig;
        rig.establish();
        const CarrierId one = rig.open();
        const CarrierId two = rig.open();
        rig.send(one, "a");
        rig.said();
        rig.script.pulls = false;
        rig.send(two, "b");
        rig.script.over = true;
        rig.tell(post::event::Lost{Error(Errc::connection_lost)});
        rig.turn();
        CHECK(rig.happened() == Words{"sent 1#0", "failed 1#0", "readable 1", "over 1",
                                      "failed 2#0", "readable 2", "over 2", "gone"});
        CHECK(rig.association.state() == State::gone);
        CHECK(rig.association.deadline() == post::never);
        CHECK(rig.association.carriers() == 0);
    }
}
