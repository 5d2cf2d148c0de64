"""Checks a figure: the SVG is well-formed XML whose every drawn thing lies inside it, the PNG has twice its size and is not blank.

usage: check_figure.py FILE.svg FILE.png     (standard library only; exit 0 if all is well)
"""
import math
import re
import struct
import sys
import xml.etree.ElementTree as ET
import zlib

SVG = "{http://www.w3.org/2000/svg}"


def check_svg(path):
    root = ET.parse(path).getroot()
    assert root.tag == SVG + "svg", root.tag
    width, height = float(root.get("width")), float(root.get("height"))
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert root.find(SVG + "title").text
    assert any(e.get("class") == "datum" for e in root.iter()), "no data"
    for element in root.iter():
        xs = [element.get(k) for k in ("x", "x1", "x2", "cx") if element.get(k)]
        ys = [element.get(k) for k in ("y", "y1", "y2", "cy") if element.get(k)]
        pairs = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", element.get("d", ""))
        xs += [x for x, _ in pairs]
        ys += [y for _, y in pairs]
        for value, limit in [(float(x), width) for x in xs] + [(float(y), height) for y in ys]:
            assert math.isfinite(value) and 0 <= value <= limit, (element.tag, element.attrib)
    return width, height


def check_png(path, width, height):
    data = open(path, "rb").read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    size = struct.unpack(">II", data[16:24])
    assert size == (math.ceil(2 * width), math.ceil(2 * height)), (size, width, height)
    packed, at = b"", 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        at += 12 + length
    pixels = zlib.decompress(packed)
    assert len(pixels) > size[0] * size[1] and len(set(pixels)) > 50, "blank image"


width, height = check_svg(sys.argv[1])
check_png(sys.argv[2], width, height)
