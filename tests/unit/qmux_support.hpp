// Frames of QMux as words: each field, in order, as a failed check shows it.
#pragma once

#include <string>

#include "mappings/tls/frames.hpp"
#include "tests/unit/framing_support.hpp"

namespace post::test {

struct DescribeFrame {
    static std::string text(std::span<const std::byte> bytes) { return "[" + hex_of(bytes) + "]"; }
    template <class... Numbers> static std::string line(const char* name, Numbers... numbers) {
        std::string all = name;
        ((all += " " + std::to_string(numbers)), ...);
        return all;
    }
    std::string operator()(const tls::frame::Padding&) const { return "padding"; }
    std::string operator()(const tls::frame::ResetStream& f) const {
        return line("reset", f.stream, f.code, f.final_size);
    }
    std::string operator()(const tls::frame::StopSending& f) const {
        return line("stop", f.stream, f.code);
    }
    std::string operator()(const tls::frame::Stream& f) const {
        return line("stream", f.stream, f.offset) + " " + text(f.data) + (f.finish ? " fin" : "");
    }
    std::string operator()(const tls::frame::MaxData& f) const { return line("max data", f.most); }
    std::string operator()(const tls::frame::MaxStreamData& f) const {
        return line("max stream data", f.stream, f.most);
    }
    std::string operator()(const tls::frame::MaxStreams& f) const {
        return line("max streams", int{f.one_way}, f.most);
    }
    std::string operator()(const tls::frame::DataBlocked& f) const { return line("blocked", f.at); }
    std::string operator()(const tls::frame::StreamDataBlocked& f) const {
        return line("stream blocked", f.stream, f.at);
    }
    std::string operator()(const tls::frame::StreamsBlocked& f) const {
        return line("streams blocked", int{f.one_way}, f.at);
    }
    std::string operator()(const tls::frame::ConnectionClose& f) const {
        return line("close", int{f.application}, f.code, f.frame_type) + " " + text(f.reason);
    }
    std::string operator()(const tls::frame::TransportParameters& f) const {
        return "parameters " + text(f.content);
    }
    std::string operator()(const tls::frame::Ping& f) const {
        return line("ping", int{f.answer}, f.sequence);
    }
    std::string operator()(const tls::frame::Datagram& f) const {
        return "datagram " + text(f.content);
    }
};

inline std::string describe(const tls::Frame& frame) { return std::visit(DescribeFrame(), frame); }

}  // namespace post::test
