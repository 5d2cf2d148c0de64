#!/usr/bin/env python3
"""Writes assay/text/unicode_additions.h: letters, numbers and punctuation that Unicode 16 has and Unicode 14 has not.

usage: make_unicode_additions.py > assay/text/unicode_additions.h     (needs Python 3.11 and the package unicodedata2==16.0.0)
"""
import unicodedata

import unicodedata2

CLASSES = [("L", "kNewLetters"), ("N", "kNewNumbers"), ("P", "kNewPunctuation")]


def ranges(members):
    result = []
    for point in members:
        if result and result[-1][1] == point - 1:
            result[-1][1] = point
        else:
            result.append([point, point])
    return result


def main():
    assert unicodedata.unidata_version == "14.0.0" and unicodedata2.unidata_version == "16.0.0"
    print("// Characters that became letters, numbers or punctuation in Unicode 15, 15.1 and 16, as members of a PCRE2 class: with them token")
    print("// ids do not depend on the Unicode version of the PCRE2 installed. Made by scripts/make_unicode_additions.py; do not edit.")
    print("#pragma once\n\n#include <string_view>\n\nnamespace assay {\n")
    for letter, name in CLASSES:
        points = (p for p in range(0x110000) if unicodedata2.category(chr(p))[0] == letter and unicodedata.category(chr(p))[0] != letter)
        print(f"inline constexpr std::string_view {name} =")
        line = ""
        lines = []
        for first, last in ranges(points):
            text = f"\\x{{{first:x}}}" + (f"-\\x{{{last:x}}}" if last > first else "")
            if len(line) + len(text) > 120:
                lines.append(line)
                line = ""
            line += text
        lines.append(line)
        print("\n".join(f'    R"({text})"' for text in lines) + ";")
    print("\n}  // namespace assay")


main()
