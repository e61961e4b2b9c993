// Catalogue: the files of a directory with size and SHA-256, and its form as a message: a line a
// file, "DIGEST SIZE PATH".
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "sha256.hpp"

namespace example {

struct File {
    std::string digest;
    std::uint64_t size = 0;
    std::string path;  // relative, with slashes
};
using Catalogue = std::vector<File>;

inline std::string digest_of(const std::filesystem::path& path) {
    Sha256 hash;
    std::ifstream in(path, std::ios::binary);
    std::vector<char> buffer(1 << 20);
    while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), in.gcount() > 0)
        hash.add(std::as_bytes(std::span(buffer.data(), static_cast<std::size_t>(in.gcount()))));
    return hash.finish();
}

// What lies below `root`; hidden folders and build folders are left out.
inline Catalogue catalogue_of(const std::filesystem::path& root) {
    namespace fs = std::filesystem;
    Catalogue files;
    for (auto at = fs::recursive_directory_iterator(root); at != fs::end(at); ++at) {
        const std::string name = at->path().filename().string();
        if (at->is_directory() && (name.starts_with('.') || name == "build"))
            at.disable_recursion_pending();
        else if (at->is_regular_file() && !at->is_symlink())
            files.push_back({digest_of(at->path()), at->file_size(),
                             at->path().lexically_relative(root).generic_string()});
    }
    std::sort(files.begin(), files.end(),
              [](const File& a, const File& b) { return a.path < b.path; });
    return files;
}

inline std::string to_message(const Catalogue& files) {
    std::ostringstream out;
    for (const File& file : files)
        out << file.digest << ' ' << file.size << ' ' << file.path << '\n';
    return out.str();
}

// Nothing when it is no catalogue, or when a path would lead out of the directory.
inline std::optional<Catalogue> from_message(const std::string& message) {
    Catalogue files;
    std::istringstream in(message);
    for (File file;
         in >> file.digest >> file.size && in.get() == ' ' && std::getline(in, file.path);) {
        const std::filesystem::path path(file.path);
        if (path.is_absolute() || file.path.empty() || file.digest.size() != 64)
            return std::nullopt;
        for (const auto& part : path)
            if (part == "..") return std::nullopt;
        files.push_back(file);
    }
    if (!in.eof()) return std::nullopt;
    return files;
}

}  // namespace example
