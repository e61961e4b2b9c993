// Errors: the line that people read, and the conditions that programs compare with.
#include <post/error.hpp>

#include <cerrno>
#include <ostream>
#include <string>

#include <doctest/doctest.h>

using post::Address;
using post::Errc;
using post::Error;
using post::Stage;

TEST_SUITE("unit") {
    TEST_CASE("every code has a text of its own") {
        std::string before;
        for (int code = 1; code <= static_cast<int>(Errc::certificate_dane); ++code) {
            const std::string text = post::post_category().message(code);
            CAPTURE(code);
            CHECK(text.find("unknown") == std::string::npos);
            CHECK(text != before);
            before = text;
        }
        CHECK(post::post_category().message(0) == "no error");
        CHECK(post::post_category().message(9999) == "unknown code 9999");
        CHECK(post::post_category().message(-1) == "unknown code -1");
    }

    TEST_CASE("an error is one line with stage, candidate, text and cause") {
        Error error(Errc::certificate_expired, {45, post::tls_alert_category()}, Stage::handshake);
        error.candidate = *Address::parse("::1", 4433);
        error.detail = "many\nlines";
        CHECK(error.message() ==
              "handshake with [::1]:4433: certificate not valid at this time; renew it, or check "
              "the clock (tls alert 45: certificate expired)");

        error = Error(Errc::refused_port, {ECONNREFUSED, std::system_category()}, Stage::connect);
        error.candidate = *Address::parse("192.0.2.1", 443);
        CHECK(error.message().find("connect to 192.0.2.1:443: nobody listens there") == 0);
        CHECK(error.message().find("(errno 111: Connection refused)") != std::string::npos);

        CHECK(Error(Errc::expired).message() == "the message's lifetime ended first");
        CHECK(Error().message() == "no error");
        CHECK(Error(Errc::carrier_reset, {-1, post::application_category()}).message() ==
              "the peer aborted the Carrier (the peer application's code 4294967295)");
    }

    TEST_CASE("an empty error is false and a set one is true") {
        CHECK_FALSE(Error());
        CHECK(Error(Errc::expired));
        CHECK(Error(Errc::expired) == Errc::expired);
        const std::error_code code = Error(Errc::expired);
        CHECK(code == Errc::expired);
    }

    TEST_CASE("codes compare with the standard's conditions") {
        const auto code = [](Errc errc) { return make_error_code(errc); };
        CHECK(code(Errc::handshake_timeout) == std::errc::timed_out);
        CHECK(code(Errc::connection_lost) == std::errc::timed_out);
        CHECK(code(Errc::refused_port) == std::errc::connection_refused);
        CHECK(code(Errc::address_in_use) == std::errc::address_in_use);
        CHECK(code(Errc::stateless_reset) == std::errc::connection_reset);
        CHECK(code(Errc::message_too_large) == std::errc::message_size);
        CHECK(code(Errc::would_block) == std::errc::operation_would_block);
        CHECK(code(Errc::cancelled) == std::errc::operation_canceled);
        CHECK(code(Errc::protocol_violation) == std::errc::protocol_error);
        CHECK(code(Errc::too_slow) != std::errc::timed_out);
    }

    TEST_CASE("foreign codes keep their names") {
        CHECK(post::tls_alert_category().message(42) == "bad certificate");
        CHECK(post::tls_alert_category().message(120) == "no application protocol");
        CHECK(post::tls_alert_category().message(-7) == "unknown alert");
        CHECK(post::quic_category().message(0x0a) == "PROTOCOL_VIOLATION");
        CHECK(post::quic_category().message(0x10) == "NO_VIABLE_PATH");
        CHECK(post::quic_category().message(0x12) == "unknown transport error");
        CHECK(post::quic_category().message(0x100 + 48) ==
              "CRYPTO_ERROR, tls alert 48: unknown CA");
        CHECK(post::quic_category().message(0x1ff) == "CRYPTO_ERROR, tls alert 255: unknown alert");
        CHECK(post::quic_category().message(0x200) == "unknown transport error");
        CHECK(std::string(post::resolver_category().name()) == "resolver");
        CHECK(post::resolver_category().message(4) == "Domain name not found");
        CHECK_FALSE(post::gnutls_category().message(-43).empty());
        CHECK_FALSE(post::gnutls_category().message(-99999).empty());
        CHECK_FALSE(post::ngtcp2_category().message(-201).empty());
        CHECK_FALSE(post::ngtcp2_category().message(-99999).empty());
    }

    TEST_CASE("a failure carries the whole error and its line") {
        const post::Failure failure(
            Error(Errc::invalid_pem, {}, Stage::call, "line 3: not base64"));
        CHECK(failure.code() == Errc::invalid_pem);
        CHECK(failure.error().detail == "line 3: not base64");
        CHECK(std::string(failure.what()) ==
              "call: not a certificate, key or authority in PEM\nline 3: not base64");
    }
}
