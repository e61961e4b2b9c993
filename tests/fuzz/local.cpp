// Fuzz target for the near end. The first byte chooses: the text of a Local, which is refused with
// a reason or names a port, an interface or an address; or what stands in for the kernel and
// answers questions of rtnetlink, of which nothing but a bounded number of whole interfaces is
// kept.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include <post/local.hpp>

#include "lib/io/rtnetlink.hpp"

namespace {

using namespace post;

void require(bool condition) {
    if (!condition) std::abort();
}

void read_local(std::string_view text) {
    const auto local = Local::parse(text);
    if (!local) return require(local.error() == Errc::invalid_argument);
    const bool addressed = local->address.family != Address::Family::none;
    require(!(addressed && !local->interfaces.empty()));
    require(addressed || !local->interfaces.empty() || local->port != 0);
    require(local->last_port == 0 || local->last_port >= local->port);
}

void read_answers(std::span<const std::byte> bytes) {
    io::InterfaceTable table;
    while (!bytes.empty()) {
        const std::size_t size = std::min<std::size_t>(bytes.size(),
                                                       std::to_integer<std::size_t>(bytes[0]) * 8);
        if (table.take(bytes.first(size), 0) != io::InterfaceTable::Answer::more) break;
        bytes = bytes.subspan(std::max<std::size_t>(1, size));
    }
    const auto all = table.interfaces();
    require(all.size() <= io::InterfaceTable::most_interfaces);
    for (const Interface& each : all) {
        require(!each.name.empty() && each.name.find('/') == std::string::npos);
        require(each.index != 0);
        require(each.sources.size() <= io::InterfaceTable::most_sources);
        require(each.routes.size() <= io::InterfaceTable::most_routes);
        for (const auto& source : each.sources)
            require(source.prefix <= (source.address.family == Address::Family::v4 ? 32 : 128));
        require(!each.network().empty() && !each.string().empty());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0 || size > 65536) return 0;
    const auto rest = std::span(data, size).subspan(1);
    if (data[0] % 2 == 0)
        read_local({reinterpret_cast<const char*>(rest.data()), rest.size()});
    else
        read_answers(std::as_bytes(rest));
    return 0;
}
