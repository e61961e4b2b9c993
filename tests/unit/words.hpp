// Words: short texts that stand for what happened, in order; a failed check prints them.
#pragma once

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace post::test {
using Words = std::vector<std::string>;
}

template <> struct doctest::StringMaker<post::test::Words> {
    static String convert(const post::test::Words& words) {
        std::string text = "{";
        for (const std::string& word : words) text += "\"" + word + "\" ";
        return (text + "}").c_str();
    }
};
