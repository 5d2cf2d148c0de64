# assay: `make demo` and `make test` do everything on a fresh machine; `make help` lists the rest.
SHELL := /bin/bash
BUILD := build/release
ASSAY := $(BUILD)/bin/assay
JOBS ?= $(shell nproc)
BENCH_SHAPE ?= qwen2.5-0.5b
BENCH_MODELS ?= build/models

.PHONY: help setup build web demo test test-all asan bench bench-encode bench-moves bench-text bench-model bench-curvature bench-scores bench-plans bench-codes format tidy clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing (system packages, libtorch)
	@scripts/setup.sh

build: setup ## the program, at build/release/bin/assay
	@[ -e $(BUILD)/build.ninja ] || cmake --preset release >/dev/null
	@cmake --build --preset release --target assay -j $(JOBS)

web: setup ## the page of `assay report` alone (part of `build`), its types and style checked
	@scripts/build_web.sh --check $(BUILD)/bin/share/report.html

demo: build ## quantize the bundled model to Q4_K_M's size, better than Q4_K_M
	@mkdir -p build/demo
	$(ASSAY) optimize demo/reference-9m --like Q4_K_M --calibration demo/calibration.txt --evaluation demo/evaluation.txt \
	  -o build/demo/reference-9m-assay.gguf --json build/demo/optimize.json --force
	@echo "the table as JSON: build/demo/optimize.json"

test: setup ## all tests but the slow ones, and the core under sanitizers
	@[ -e $(BUILD)/build.ninja ] || cmake --preset release >/dev/null
	@cmake --build --preset release -j $(JOBS)
	@ctest --test-dir $(BUILD) -LE slow --output-on-failure -j $(JOBS)
	@[ -e build/asan-core/build.ninja ] || cmake --preset asan-core >/dev/null
	@cmake --build --preset asan-core -j $(JOBS)
	@ctest --test-dir build/asan-core -L unit --output-on-failure -j $(JOBS)

test-all: test asan ## everything: slow tests too, and the engine under sanitizers
	@ctest --test-dir $(BUILD) -L slow --output-on-failure

asan: setup ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@[ -e build/asan/build.ninja ] || cmake --preset asan >/dev/null
	@cmake --build --preset asan -j $(JOBS)
	@ctest --test-dir build/asan -LE slow --output-on-failure

bench: bench-encode bench-moves bench-text bench-model bench-curvature bench-scores bench-plans bench-codes ## all benchmarks, as ratios in one run

bench-encode: setup ## encoders against ggml's
	@[ -e $(BUILD)/build.ninja ] || cmake --preset release >/dev/null
	@cmake --build --preset release --target encode_bench -j $(JOBS)
	$(BUILD)/bin/encode_bench "$$(scripts/peer.sh)/libggml-base.so"

bench-moves: setup ## level sizes of every weight, million weights per second
	@[ -e $(BUILD)/build.ninja ] || cmake --preset release >/dev/null
	@cmake --build --preset release --target move_bench -j $(JOBS)
	$(BUILD)/bin/move_bench

bench-text: setup ## tokenizers against PyPI's
	@[ -e $(BUILD)/build.ninja ] || cmake --preset release >/dev/null
	@cmake --build --preset release --target tokenize_bench -j $(JOBS)
	$(BUILD)/bin/tokenize_bench "$$(scripts/interop_env.sh tokenizers)"

bench-curvature: build ## predicted damage against measured, and what it costs
	@cmake --build --preset release --target curvature_bench -j $(JOBS)
	$(BUILD)/bin/curvature_bench agreement 8
	$(BUILD)/bin/curvature_bench costs 8

bench-scores: build ## what sensitivity scores cost, in evaluations of the same windows
	@cmake --build --preset release --target score_bench -j $(JOBS)
	$(BUILD)/bin/score_bench costs 10

bench-plans: setup ## solvers and proxy evaluations
	@[ -e $(BUILD)/build.ninja ] || cmake --preset release >/dev/null
	@cmake --build --preset release --target plan_bench -j $(JOBS)
	$(BUILD)/bin/plan_bench

bench-codes: build ## codes chosen under second moments against nearest ones, at equal bytes
	@cmake --build --preset release --target codes_bench -j $(JOBS)
	$(BUILD)/bin/codes_bench demo/calibration.txt demo/evaluation.txt --calibration-chunks 48 --chunks 48

bench-model: build ## products, perplexity, sweep, start-up on a random model of a public shape (1 GB in BENCH_MODELS)
	@cmake --build --preset release --target product_bench llama_peer -j $(JOBS)
	@mkdir -p $(BENCH_MODELS)
	@[ -e $(BENCH_MODELS)/$(BENCH_SHAPE).gguf ] || { "$$(scripts/interop_env.sh gguf numpy)" scripts/make_random_model.py $(BENCH_SHAPE) \
	  $(BENCH_MODELS)/$(BENCH_SHAPE).part && mv $(BENCH_MODELS)/$(BENCH_SHAPE).part $(BENCH_MODELS)/$(BENCH_SHAPE).gguf; }
	python3 bench/model_bench.py $(BUILD) "$$(scripts/peer.sh)" $(BENCH_MODELS)/$(BENCH_SHAPE).gguf demo/evaluation.txt

format: ## clang-format over the sources
	@scripts/format.sh

tidy: ## clang-tidy over the sources
	@git ls-files 'assay/*.cpp' 'cli/*.cpp' | xargs clang-tidy -p $(BUILD) --quiet

clean: ## remove build/
	@rm -rf build
