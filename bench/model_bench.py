#!/usr/bin/env python3
"""Speed of the model's forward, the sweep and probes against llama.cpp, in one run: products, perplexity, sweep, probe, start-up.

usage: model_bench.py BUILD_DIR PEER_LIB_DIR MODEL.gguf TEXT [--threads N] [--repeats N] [--only PART]... [--compute MODE]... [--json FILE]

Ours and the peer's runs alternate; each figure is the least of its repeats, and beside wall seconds stand processor seconds of all
threads, which suffer less from other load. Loading is not counted in perplexity (difference of two lengths; the peer is warm). In the
sweep whole processes are counted on both sides: ours, and for each of the peer's variants one that writes the file and one that runs the
KL evaluation (its arithmetic is our peer program's, on as many threads). Probes change one weight each, or leave one block out; their limit
is what the blocks after the change and the head take at the engine's best rate, the forward of a large batch. The arithmetic
limit is the time of the matrix products alone at the rate measured for that compute mode.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import subprocess
import tempfile
import time

COMPUTES = ("float32", "bf16", "deviations")
RATE_OF = {"float32": "float32", "bf16": "bf16", "deviations": "bf16"}  # the products a mode consists of
SITES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
CTX, SCORED = 512, 255
SHORT, LONG = 4, 8  # chunks of the two perplexity runs
PROBE_TOKENS = 500
BF16_FILE, Q4_0_TYPE = 32, 2  # llama.cpp's numbers


def timed(command):
    """Output, wall seconds, processor seconds of a child."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Bench:
    def __init__(self, options):
        self.o = options
        build = pathlib.Path(options.build)
        self.assay, self.products = build / "bin" / "assay", build / "bin" / "product_bench"
        self.peer = [build / "tests" / "llama_peer", options.peer]
        self.result = {"threads": options.threads}
        text = json.loads(timed([self.assay, "inspect", options.model, "--json", "-", "--quiet"])[0])
        self.shape = self.read_shape(text["result"])

    @staticmethod
    def read_shape(inspected):
        shapes = {t["name"]: t["shape"] for t in inspected["tensors"]}
        layers = 1 + max(int(m.group(1)) for m in (re.match(r"blk\.(\d+)\.", name) for name in shapes) if m)
        sites = {s: shapes[f"blk.0.{s}.weight"] for s in SITES}
        head = shapes.get("output.weight", shapes["token_embd.weight"])
        return {"layers": layers, "sites": sites, "head": head}

    # ---- FLOPs of matrix products ------------------------------------------------------------------------------------------
    def site_flops(self, site, rows):
        a, b = self.shape["sites"][site]
        return 2.0 * rows * a * b

    def head_flops(self):
        a, b = self.shape["head"]
        return 2.0 * SCORED * a * b

    def block_flops(self, last, sites=SITES):
        """One block on one window; the last one has queries, output projection and feed-forward on scored positions only."""
        return sum(self.site_flops(s, SCORED if last and s not in ("attn_k", "attn_v") else CTX) for s in sites)

    def forward_flops(self):
        layers = self.shape["layers"]
        return (layers - 1) * self.block_flops(False) + self.block_flops(True) + self.head_flops()

    def sweep_flops(self):
        """All single-matrix variants: the change's own product, the rest of its block, the blocks after it, the head."""
        later = {"attn_q": 3, "attn_k": 3, "attn_v": 3, "attn_output": 4, "ffn_gate": 6, "ffn_up": 6, "ffn_down": 7}
        layers, total = self.shape["layers"], self.forward_flops()
        for layer in range(layers):
            last = layer + 1 == layers
            after = sum(self.block_flops(l + 1 == layers) for l in range(layer + 1, layers)) + self.head_flops()
            for site in SITES:
                total += self.block_flops(last, (site,)) + self.block_flops(last, SITES[later[site]:]) + after
        return total

    def peer_answer(self, *arguments):
        return json.loads(timed([*self.peer, *map(str, arguments)])[0].splitlines()[-1])

    # ---- parts -------------------------------------------------------------------------------------------------------------
    def product_rates(self):
        lines = [json.loads(line) for line in timed([self.products, str(self.o.threads)])[0].splitlines()]
        self.result["products"] = lines
        best = {c: 1e9 * max(x["gflops"] for x in lines if x.get("compute") == c) for c in set(RATE_OF.values())}
        return {mode: best[product] for mode, product in RATE_OF.items()}

    def perplexity(self, rates):
        seconds = {}
        computes = [compute for compute in self.o.compute if compute != "deviations"]  # only the sweep has it

        def ours(compute, chunks):
            _, wall, cpu = timed([self.assay, "eval", self.o.model, "--text", self.o.text, "--chunks", str(chunks), "--compute", compute,
                                  "--threads", str(self.o.threads), "--store", "none", "--quiet"])
            return wall, cpu

        def peer():
            answer = self.peer_answer("speed", self.o.model, self.o.text, "--chunks", LONG - SHORT, "--warm", "--threads", self.o.threads)
            return answer["decode_seconds"], answer["decode_cpu_seconds"]

        for _ in range(self.o.repeats):
            for compute in computes:
                for chunks in (SHORT, LONG):
                    seconds.setdefault((compute, chunks), []).append(ours(compute, chunks))
            seconds.setdefault("peer", []).append(peer())
        tokens = (LONG - SHORT) * CTX
        best = lambda key: [min(x) for x in zip(*seconds[key])]
        rows = {"llama.cpp": [tokens / s for s in best("peer")]}
        for compute in computes:
            rows[compute] = [tokens / (b - a) for a, b in zip(best((compute, SHORT)), best((compute, LONG)))]
        print(f"\nperplexity, ctx {CTX}, tokens per second (and per processor second)")
        for name, (wall, cpu) in rows.items():
            line = f"  {name:<10} {wall:8.1f} {cpu:8.1f}"
            if name in rates:
                limit = CTX * rates[name] / self.forward_flops()
                line += f"   x {wall / rows['llama.cpp'][0]:.2f} ({cpu / rows['llama.cpp'][1]:.2f}) llama.cpp"
                line += f"; {100 * wall / limit:.0f} % of the products' limit {limit:.0f}"
            print(line, flush=True)
        self.result["perplexity"] = rows

    def peer_variant(self, work, tensor):
        """Wall and processor seconds of what a user of llama.cpp runs: write a file with one tensor at Q4_0, then its KL evaluation."""
        out = work / "variant.gguf"
        rule = f"^{re.escape(tensor)}$={Q4_0_TYPE}"
        write = timed([*self.peer, "quantize", self.o.model, out, str(BF16_FILE), "--tensor-type", rule])
        run = timed([*self.peer, "kld", out, work / "base.kld", "--chunks", "1"])
        out.unlink()
        return [write[1] + run[1], write[2] + run[2]]

    def sweep(self, rates):
        layers = self.shape["layers"]
        with tempfile.TemporaryDirectory() as name:
            self.peer_answer("perplexity", self.o.model, self.o.text, "--chunks", 1, "--write-base", pathlib.Path(name) / "base.kld")
            chosen = [f"blk.{layer}.{site}.weight" for layer, site in ((0, "attn_k"), (layers // 2, "ffn_up"), (layers - 1, "ffn_down"))]
            peer = [self.peer_variant(pathlib.Path(name), tensor) for tensor in chosen]
        mean = [sum(x) / len(peer) for x in zip(*peer)]
        self.result["sweep"] = {"llama.cpp seconds per variant": mean}
        print(f"\nsweep, one type (Q4_0), one window of {CTX}")
        print(f"  llama.cpp {mean[0]:.2f} s ({mean[1]:.2f} processor s) per variant, from {len(peer)}")
        for compute in self.o.compute:
            out, wall, cpu = timed([self.assay, "sweep", self.o.model, "--text", self.o.text, "--chunks", "1", "--types", "Q4_0", "--compute",
                                    compute, "--threads", str(self.o.threads), "--store", "none", "--quiet", "--json", "-"])
            answer = json.loads(out)
            cells = [cell for row in answer["result"]["table"]["rows"] for cell in row["cells"]]
            above = sum(not cell["below_floor"] for cell in cells)
            limit = self.sweep_flops() / rates[compute]
            measured = answer["run"]["measured_seconds"]
            print(f"  {compute:<8} {wall:7.1f} s ({cpu:.1f} processor s), {measured:.1f} s without loading and floor, {len(cells)} variants: "
                  f"x {mean[0] * len(cells) / wall:.1f} ({mean[1] * len(cells) / cpu:.1f}); products alone {limit:.1f} s; "
                  f"{above} of {len(cells)} above the floor {answer['noise_floor']:.2g}", flush=True)
            self.result["sweep"][compute] = {"seconds": wall, "cpu_seconds": cpu, "variants": len(cells), "above_floor": above,
                                             "limit_seconds": limit}

    def single_weights(self, count):
        """One weight each set to 0, spread evenly over layers and matrices, at places that a fixed congruence draws."""
        layers, draw, variants = self.shape["layers"], 12345, []
        for i in range(count):
            layer, site = i * layers // count, SITES[i % len(SITES)]
            columns, rows = self.shape["sites"][site]
            draw = (draw * 6364136223846793005 + 1442695040888963407) % 2**64
            place = draw >> 16
            at = [place % rows, place // rows % columns]
            variants.append({"name": str(i), "weights": [{"tensor": f"blk.{layer}.{site}.weight", "at": [at], "set": 0}]})
        return variants

    def probe_run(self, variants, compute, text):
        """Wall seconds of the process, seconds of the variants alone, forwards that they cost."""
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / "variants.json"
            path.write_text(json.dumps({"variants": variants}))
            out, wall, _ = timed([self.assay, "probe", self.o.model, "--variants", path, *text, "--compute", compute, "--threads",
                                  str(self.o.threads), "--store", "none", "--quiet", "--json", "-"])
        answer = json.loads(out)
        return wall, answer["run"]["measured_seconds"], answer["result"]["forward_equivalents"]

    def best_forward(self, compute):
        """Seconds of one forward of PROBE_TOKENS tokens with all predictions, at the rate of a large batch."""
        def run(chunks):
            return timed([self.assay, "eval", self.o.model, "--text", self.o.text, "--window", "full", "--ctx", str(PROBE_TOKENS), "--chunks",
                          str(chunks), "--compute", compute, "--threads", str(self.o.threads), "--store", "none", "--quiet"])[1]
        return (min(run(LONG) for _ in range(self.o.repeats)) - min(run(SHORT) for _ in range(self.o.repeats))) / (LONG - SHORT)

    def probe(self):
        layers, text = self.shape["layers"], ["--text", self.o.text, "--max-tokens", str(PROBE_TOKENS)]
        peer = [timed([*self.peer, "speed", self.o.model, self.o.text, "--ctx", str(PROBE_TOKENS), "--chunks", "1", "--all-logits"])[1]
                for _ in range(5)]
        peer_run = sum(peer) / len(peer)
        print(f"\nprobes, {PROBE_TOKENS} tokens; llama.cpp {peer_run:.2f} s a run, from {len(peer)}")
        self.result["probe"] = {"llama.cpp seconds per run": peer_run}
        skips = [{"name": str(layer), "schedule": [{"skip": layer}]} for layer in range(layers)]
        cases = [("single weights", "float32", self.single_weights(self.o.probes)), ("each block left out", "float32", skips),
                 ("each block left out", "bf16", skips)]
        best = {compute: self.best_forward(compute) for compute in {compute for _, compute, _ in cases}}
        for name, compute, variants in cases:
            wall, measured, forwards = self.probe_run(variants, compute, text)
            limit = (forwards + 1) * best[compute]  # and the base's own
            print(f"  {name}, {compute}: {len(variants)} in {wall:.1f} s, {measured:.1f} s without loading and floor, {forwards:.0f} forwards: "
                  f"x {measured / limit:.2f} of the limit {limit:.1f} s; {100 * wall / (peer_run * len(variants)):.0f} % of llama.cpp's", flush=True)
            self.result["probe"][f"{name}, {compute}"] = {"variants": len(variants), "seconds": wall, "measured_seconds": measured,
                                                          "limit_seconds": limit}

    def start_up(self):
        best = lambda command: min(timed(command)[1] for _ in range(7))
        help_seconds, inspect = best([self.assay, "--help"]), best([self.assay, "inspect", self.o.model])
        size = os.path.getsize(self.o.model) / 1e9
        print(f"\nstart-up: --help {1e3 * help_seconds:.0f} ms; inspect of {size:.2f} GB: {1e3 * inspect:.0f} ms")
        self.result["start_up"] = {"help": help_seconds, "inspect": inspect}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("build", "peer", "model", "text"):
        parser.add_argument(name)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", action="append", choices=("perplexity", "sweep", "probe", "start_up"))
    parser.add_argument("--compute", action="append", choices=COMPUTES)
    parser.add_argument("--probes", type=int, default=200, help="single-weight variants")
    parser.add_argument("--json")
    options = parser.parse_args()
    options.compute = options.compute or list(COMPUTES)
    bench = Bench(options)
    rates = bench.product_rates()
    best = ", ".join(f"{c} {r / 1e9:.0f} GFLOP/s" for c, r in rates.items())
    print(f"{options.threads} threads; best matrix-product rates: {best}", flush=True)
    parts = {"start_up": bench.start_up, "perplexity": lambda: bench.perplexity(rates), "sweep": lambda: bench.sweep(rates),
             "probe": bench.probe}
    for name in options.only or parts:
        parts[name]()
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(bench.result, indent=1))


if __name__ == "__main__":
    main()
