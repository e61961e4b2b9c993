// How large properties are beside a message.
#include "mappings/values.hpp"
#include "mappings/wire/varint.hpp"

namespace post {

std::size_t properties_size(const Properties& properties) {
    std::size_t size = 0;
    for (const auto& [name, value] : properties)
        size += wire::varint_size(name.size()) + name.size() + wire::varint_size(value.size()) +
                value.size();
    return size;
}

std::size_t fields_size(const Properties& properties) {
    std::size_t size = 0;
    for (const auto& [name, value] : properties) size += name.size() + value.size() + 32;
    return size;
}

}  // namespace post
