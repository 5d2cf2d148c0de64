#!/usr/bin/env python3
"""Ways to choose a type for every tensor, at the bytes of stock presets, measured on held-out text.

usage: allocation_bench.py ASSAY MODEL CALIBRATION EVALUATION [--sizes Q2_K,Q3_K_M,...] [--work DIR] [--chunks N]
                           [--sweep-chunks N] [--refine BUDGET] [--evopress-sizes Q2_K,...]
                           [--evopress-generations N] [--evopress-offspring N] [--skip METHOD,...] [--json FILE]

Every method gets the same calibration text, the same importance matrix, llama.cpp's nearest codes and the same bytes (RAMP's the types of
its own); the recipes are then measured as changes of one model on the evaluation text, all windows paired with the preset's, intervals
clustered by document. Methods:
  preset              llama.cpp's rules, codes without an importance matrix (measured apart: its interval is its own)
  preset, imatrix     the same with one: what every change below is against
  target-bpw          error scores of llama.cpp's PR 15550 (score target_bpw), Lagrangian
  rank-1              the GGUF tool suite's model: measured damage at one low type x the whole model's curve over types, greedy
  ramp greedy, ramp evolution    RAMP's proxy loss with NSDS and measured relative errors, its eight types
  evopress            evolutionary search on measured KL
  curvature           predicted damage, exact solver
  measured            every tensor at every type measured alone, exact solver
  interactions        curvature with its interactions, local search
  refined             curvature, measured where decisions are open
  assay               `assay optimize` as it is: curvature and chosen codes (its own files; not the same codes as the others)
Results go to a table in Markdown on standard output and, with --json, to a file.
"""
import argparse
import json
import pathlib
import resource
import subprocess
import sys
import time

TYPES = "Q2_K,Q3_K,IQ4_XS,Q4_K,Q5_K,Q6_K,Q8_0"
RAMP_TYPES = "IQ2_XXS,IQ2_XS,IQ3_XXS,IQ3_S,Q4_K,Q5_K,Q6_K,Q8_0"
LOW_TYPE = "Q2_K"  # the suite measures tensors one at a time at one very low type
PRESET, REFERENCE = "preset", "preset, imatrix"


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Bench:
    def __init__(self, options):
        self.o = options
        self.work = pathlib.Path(options.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.seconds = {}
        self.processor_seconds = {}
        self.sizes = options.sizes.split(",")
        self.skip = set(filter(None, options.skip.split(",")))

    def run(self, *arguments, stage=None):
        """Result of one command; its seconds, by the clock and of the processor, are added to the stage's."""
        out = self.work / "result.json"
        command = [self.o.assay, *map(str, arguments), "--quiet", "--force", "--json", out]
        begin, processor_begin = time.monotonic(), processor_seconds()
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-3000:]}")
        if stage:
            self.seconds[stage] = self.seconds.get(stage, 0) + time.monotonic() - begin
            self.processor_seconds[stage] = self.processor_seconds.get(stage, 0) + processor_seconds() - processor_begin
        print(f"{time.monotonic() - begin:7.1f} s  {' '.join(map(str, arguments))[:150]}", file=sys.stderr, flush=True)
        return json.loads(out.read_text())

    def keep(self, name, envelope):
        path = self.work / name
        path.write_text(json.dumps(envelope))
        return path

    # ---- what plans are made from --------------------------------------------------------------------------------------------
    def prepare(self):
        o = self.o
        text = ["--text", o.calibration, "--chunks", o.chunks]
        self.imatrix = self.work / "imatrix.gguf"
        self.run("imatrix", o.model, "-o", self.imatrix, *text, stage="imatrix")
        with_imatrix = ["--imatrix", self.imatrix]
        self.terms = self.work / "terms.safetensors"
        curvature = ["score", o.model, "--scores", "curvature", "--types", TYPES, *with_imatrix, *text]
        if "interactions" not in self.skip:
            curvature += ["--terms", self.terms]
        self.curvature = self.keep("curvature.json", self.run(*curvature, stage="curvature"))
        sweep = self.run("sweep", o.model, "--types", TYPES, "--compute", "deviations", *with_imatrix, "--text", o.calibration, "--chunks",
                         o.sweep_chunks, stage="measured")
        self.measured = self.keep("measured.json", sweep)
        self.ramp = self.keep("ramp.json", self.run("score", o.model, "--scores", "nsds_ramp,weight_error,weight_norm", "--types", RAMP_TYPES,
                                                    *with_imatrix, *text, stage="ramp"))
        if "target-bpw" not in self.skip:
            self.target = self.keep("target.json", self.target_table(with_imatrix, text))
        self.rank_one = self.keep("rank1.json", self.rank_one_table(sweep["result"]["table"], with_imatrix, text))

    def target_table(self, with_imatrix, text):
        path = self.work / "target_table.json"
        self.run("score", self.o.model, "--scores", "target_bpw", "--types", TYPES, "--as-table", "target_bpw", "--table-output", path,
                 *with_imatrix, *text, stage="target-bpw")
        return json.loads(path.read_text())

    def rank_one_table(self, table, with_imatrix, text):
        """Sensitivity of a tensor = its damage at the low type; of a type, the whole model's damage at it over that at the low type."""
        names = [row["name"] for row in table["rows"]]
        variants = [{"name": t, "weights": [{"tensor": n, "type": t} for n in names]} for t in TYPES.split(",")]
        file = self.keep("uniform.json", variants)
        whole = self.run("probe", self.o.model, "--variants", file, *with_imatrix, *text, stage="rank-1")["result"]["variants"]
        curve = {v["name"]: v["mean_kl"] for v in whole}
        rows = []
        for row in table["rows"]:
            low = next(c["damage"] for c in row["cells"] if c["type"] == LOW_TYPE)
            cells = [{"type": t, "damage": max(0, low) * curve[t] / curve[LOW_TYPE], "standard_error": 0, "below_floor": False} for t in curve]
            rows.append({"name": row["name"], "tensors": row["tensors"], "cells": cells})
        return {**table, "estimator": "rank-1", "rows": rows}

    # ---- recipes -------------------------------------------------------------------------------------------------------------
    def plan(self, size, stage, *arguments):
        result = self.run("plan", self.o.model, "--like", size, *arguments, stage=stage)["result"]
        return {"recipe": result["recipe"], "bytes": result["bytes"], "predicted": result["predicted_kl"], "gap": result["gap"]}

    def optimize(self, size, stage, *arguments):
        o = self.o
        envelope = self.run("optimize", o.model, "--like", size, "--calibration", o.calibration, "--evaluation", o.evaluation, "--chunks",
                            o.chunks, "--types", TYPES, "-o", self.work / "out.gguf", *arguments, stage=stage)
        self.keep(f"optimize-{stage}-{size}.json", envelope)
        return envelope["result"]

    def recipe_of(self, result):
        return {"recipe": result["recipe"], "bytes": result["bytes"], "predicted": result["predicted_kl"], "gap": result["gap"]}

    def recipes(self, size):
        table = ["--table"]
        made = {REFERENCE: self.preset(size)}
        if "target-bpw" not in self.skip:
            made["target-bpw"] = self.plan(size, "target-bpw", *table, self.target, "--solver", "lagrangian-fill")
        made["rank-1"] = self.plan(size, "rank-1", *table, self.rank_one, "--solver", "greedy")
        for solver in ("greedy", "evolution"):
            made[f"ramp {solver}"] = self.plan(size, f"ramp {solver}", "--proxy", self.ramp, "--types", RAMP_TYPES, "--solver", solver)
        if "evopress" not in self.skip and size in self.o.evopress_sizes.split(","):
            made["evopress"] = self.recipe_of(self.optimize(size, "evopress", "--codes", "nearest", "--solver", "evopress", "--generations",
                                                            self.o.evopress_generations, "--offspring", self.o.evopress_offspring))
        made["curvature"] = self.plan(size, "curvature", *table, self.curvature)
        made["measured"] = self.plan(size, "measured", *table, self.measured)
        if "interactions" not in self.skip:
            made["interactions"] = self.plan(size, "interactions", *table, self.curvature, "--interactions", self.terms)
        if "refined" not in self.skip:
            made["refined"] = self.recipe_of(self.optimize(size, "refined", "--codes", "nearest", "--refine", self.o.refine))
        return made

    def preset(self, size):
        result = self.run("quantize", self.o.model, "--type", size, "--imatrix", self.imatrix, "--dry-run", "-o", self.work / "dry.gguf")["result"]
        self.bpw = result["bpw"]
        return {"recipe": result["types"], "bytes": result["bytes"]}

    # ---- what they do --------------------------------------------------------------------------------------------------------
    def measure(self, size, made):
        o = self.o
        matrices = set(made["curvature"]["recipe"])
        variants = [{"name": name, "weights": [{"tensor": t, "type": k} for t, k in one["recipe"].items() if t in matrices]}
                    for name, one in made.items()]
        file = self.keep(f"variants-{size}.json", variants)
        text = ["--text", o.evaluation, "--chunks", o.chunks]
        seen = self.run("probe", o.model, "--variants", file, "--imatrix", self.imatrix, "--against", REFERENCE, *text)["result"]
        lines = {v["name"]: {**made[v["name"]], **v} for v in seen["variants"]}
        alone = self.keep("preset.json", [dict(variants[0], name=PRESET)])
        plain = self.run("probe", o.model, "--variants", alone, *text)["result"]["variants"][0]
        lines = {PRESET: {**made[REFERENCE], **plain}, **lines}
        for one in lines.values():
            one["ppl"] = 2.718281828459045 ** (seen["base_nll"] + one["ln_ppl_ratio"])
        return lines, seen

    def assay(self, size):
        result = self.optimize(size, "assay")
        return {"bytes": result["bytes"], "mean_kl": result["measured_kl"], "mean_kl_ci95": result["measured_kl_ci95"], "ppl": result["ppl"],
                "change": result["change"], "change_ci95": result["change_ci95"]}

    def report(self, size, lines, seen):
        print(f"\n### Bytes of {size} ({self.bpw:.2f} bits per weight)\n")
        print("| method | bytes | KL, nats per token | against the preset with imatrix, % | PPL |\n|---|---|---|---|---|")
        for name, one in lines.items():
            low, high = one["mean_kl_ci95"]
            change = "" if one.get("change") is None else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * x for x in (one["change"], *one["change_ci95"])))
            if name == REFERENCE:
                change = ""
            print(f"| {name} | {one['bytes']:,} | {one['mean_kl']:.5f} [{low:.5f}, {high:.5f}] | {change} | {one['ppl']:.3f} |")
        print(f"\n{seen['windows']} windows, {seen['documents']} documents, intervals: {seen['interval']}", flush=True)

    def all(self):
        self.prepare()
        everything = {}
        for size in self.sizes:
            made = self.recipes(size)
            lines, seen = self.measure(size, made)
            if "assay" not in self.skip:
                lines["assay"] = self.assay(size)
            self.report(size, lines, seen)
            everything[size] = lines
        print("\n| stage | seconds, all sizes | processor seconds |\n|---|---|---|")
        for stage, seconds in self.seconds.items():
            print(f"| {stage} | {seconds:.1f} | {self.processor_seconds[stage]:.1f} |")
        if self.o.json:
            pathlib.Path(self.o.json).write_text(json.dumps({"sizes": everything, "seconds": self.seconds, "processor_seconds": self.processor_seconds}, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("assay", "model", "calibration", "evaluation"):
        parser.add_argument(name)
    parser.add_argument("--sizes", default="Q2_K,Q3_K_M,Q4_K_M,Q5_K_M")
    parser.add_argument("--work", default="allocation-work")
    parser.add_argument("--chunks", type=int, default=24)
    parser.add_argument("--refine", default="50")
    parser.add_argument("--sweep-chunks", type=int, default=8)
    parser.add_argument("--evopress-sizes", default="Q2_K")
    parser.add_argument("--evopress-generations", type=int, default=4)
    parser.add_argument("--evopress-offspring", type=int, default=64)
    parser.add_argument("--skip", default="")
    parser.add_argument("--json", default="")
    Bench(parser.parse_args()).all()


if __name__ == "__main__":
    main()
