"""usage: awq_layer.py DIR: AWQ's scales and clips of one vector's readers, computed from DIR/case.json, DIR/x.f32 (inputs) and weights
DIR/<name>.f32 with numpy in float64, against what DIR/case.json says was found. Prints what was compared; fails at a difference."""
import json
import pathlib
import sys

import numpy as np

LOSS = 1e-3  # relative: second moments in float32 against products token by token in float64
TIE = 1e-4   # relative: two clips whose errors are this close may be taken for one another


def rtn(w, group, bits):
    out = np.empty_like(w)
    top = np.float32(2**bits - 1)
    for b in range(0, w.shape[1], group):
        g = w[:, b:b + group]
        lo, hi = g.min(1, keepdims=True), g.max(1, keepdims=True)
        s = np.where(hi > lo, (hi - lo) / top, np.float32(1)).astype(np.float32)
        z = np.clip(np.rint(-lo / s), 0, top)
        out[:, b:b + group] = (np.clip(np.rint(g / s) + z, 0, top) - z) * s
    return out


def main():
    d = pathlib.Path(sys.argv[1])
    case = json.loads((d / "case.json").read_text())
    n, group, bits = case["width"], case["group"], case["bits"]
    x = np.fromfile(d / "x.f32", np.float32).reshape(-1, n).astype(np.float64)
    mean = np.abs(x).mean(0)
    np.testing.assert_allclose(case["mean"], mean, rtol=1e-5)
    weights = {name: np.fromfile(d / f"{name}.f32", np.float32).reshape(-1, n) for name in case["readers"]}
    losses, scales = [], []
    for i in range(21):
        s = np.maximum(mean ** (i / 20), 1e-4)
        s = (s / np.sqrt(s.max() * s.min())).astype(np.float32)
        error = output = 0.0
        for w in weights.values():
            delta = (rtn(w * s, group, bits) / s).astype(np.float64) - w
            error += np.square(x @ delta.T).sum()
            output += np.square(x @ w.T.astype(np.float64)).sum()
        losses.append(error / output)
        scales.append(s)
    np.testing.assert_allclose(case["losses"], losses, rtol=LOSS)
    best = int(np.argmin(losses))
    chosen = round(20 * case["alpha"])
    assert losses[chosen] <= losses[best] * (1 + LOSS), (chosen, best)
    np.testing.assert_allclose(case["scales"], scales[chosen], rtol=1e-5)
    # From here on with the scales as they were found, to the last bit: where both ends of a group are cut, -lo / s lies halfway between two
    # zero points, and the last bit decides.
    found = np.array(case["scales"], np.float32)
    rows = different = 0
    for name, limits in case["clips"].items():
        w = weights[name] * found
        for r, first in enumerate(case["divided"].get(name, [])):
            w[r] /= np.float32(first)
        xs = x / found
        limits = np.array(limits, np.float32).reshape(w.shape[0], -1)
        for g, b in enumerate(range(0, n, group)):
            part, xg = w[:, b:b + group], xs[:, b:b + group]
            top = np.abs(part).max(1, keepdims=True)
            errors, kept = [], []
            for i in range(10):
                limit = (top * np.float32(1 - i / 20)).astype(np.float32)
                e = rtn(np.clip(part, -limit, limit), group, bits).astype(np.float64) - part
                errors.append(np.square(e @ xg.T).mean(1))
                kept.append(limit[:, 0])
            errors, kept = np.array(errors), np.array(kept)
            at = np.abs(kept - limits[:, g]).argmin(0)
            i = np.arange(w.shape[0])
            np.testing.assert_allclose(kept[at, i], limits[:, g], rtol=1e-5)
            assert (errors[at, i] <= errors.min(0) * (1 + TIE) + 1e-12).all(), name
            different += int((at != errors.argmin(0)).sum())
            rows += w.shape[0]
    assert rows > 0 and different < 0.02 * rows, (different, rows)
    print(f"21 losses, {len(scales[chosen])} scales, {rows} clips, {different} ties")


if __name__ == "__main__":
    main()
