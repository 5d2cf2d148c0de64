#!/usr/bin/env python3
"""Writes assay/quant/grid_tables.cpp: the codebook grids of the IQ formats, as PyPI's gguf package holds them.

usage: make_grid_tables.py > assay/quant/grid_tables.cpp     (needs the packages gguf and numpy)
"""
import gguf.quants as quants
import numpy as np

GRIDS = [
    ("kIq2XxsGrid", quants.IQ2_XXS, 8),
    ("kIq2XsGrid", quants.IQ2_XS, 8),
    ("kIq2SGrid", quants.IQ2_S, 8),
    ("kIq3XxsGrid", quants.IQ3_XXS, 4),
    ("kIq3SGrid", quants.IQ3_S, 4),
    ("kIq1SGrid", quants.IQ1_S, 8),
]


def main():
    print("// Codebook grids of the IQ formats (methods.md 4.2.4). Made by scripts/make_grid_tables.py; do not edit.")
    print('#include "assay/quant/grid_tables.h"\n\nnamespace assay {\n')
    for name, kind, width in GRIDS:
        kind.init_grid()
        grid = np.asarray(kind.grid).reshape(-1, width).astype(int)
        print(f"const int8_t {name}[{len(grid)}][{width}] = {{")
        line = "   "
        for point in grid:
            text = " {" + ",".join(str(v) for v in point) + "},"
            if len(line) + len(text) > 138:
                print(line)
                line = "   "
            line += text
        print(line)
        print("};\n")
    print("}  // namespace assay")


if __name__ == "__main__":
    main()
