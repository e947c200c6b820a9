# `make demo` and `make test` do all the set-up that a fresh clone needs; a second run starts at once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# CPU wheels of torch; set TORCH_INDEX= for the platform's default build (CUDA on Linux).
TORCH ?= torch==2.13.0
TORCH_INDEX ?= --extra-index-url https://download.pytorch.org/whl/cpu
DEMO_MODELS ?= blind_constant blind_class_prior blind_question_prior blind_region_prior blind_explanation \
  oracle_facts oracle_region_tokens vqa_only_r128 multitask_r128 multitask_r128_neg

.PHONY: demo test test-slow test-gpu lint setup real real-folders clean
.DEFAULT_GOAL := demo

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || \
	  { echo "error: Python 3.10 to 3.13 is needed ($$($(PYTHON) --version) found); set PYTHON=python3.11"; exit 2; }
	@echo "Setting up $(VENV): PyTorch and what gi-bench needs (a few minutes, 1.7 GB) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --retries 2 --no-deps "$(TORCH)" $(TORCH_INDEX)
	@$(BIN)/python -m pip install -qq --retries 2 -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@echo "Adding what the tests need ..."
	@$(BIN)/python -m pip install -qq --retries 2 -e '.[dev]'
	@touch $@

# The main job: every shipped variant on the embedded suite, one report over all of them.
demo: $(VENV)/.ready
	$(BIN)/gi-bench run $(addprefix --model ,$(DEMO_MODELS))

# Processes side by side; each takes about 1.5 GB of memory.
TEST_JOBS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(TEST_JOBS) --dist worksteal

test: $(VENV)/.ready-dev
	$(PYTEST)

# What takes long or compares every row of a data set: the reasons are in the tests.
test-slow: $(VENV)/.ready-dev
	$(PYTEST) -m slow

# On a machine with a GPU, with a build of torch that knows it (make setup TORCH_INDEX= gives one).
test-gpu: $(VENV)/.ready-dev
	GI_BENCH_TEST_GPU=1 $(BIN)/python -m pytest tests/cuda

# Two variants trained on the real images of one folder and tested on another's: make real TRAIN=DIR TEST=DIR.
# What is finished is kept: the same command goes on. Near-duplicates of training frames are left out (clean.json).
REAL ?= runs/real
SEEDS ?= 0 1 2
EPOCHS ?= 20
REAL_VARIANTS ?= vqa_only_r128 multitask_r128_neg
REAL_TEST = -s kvasir-vqa-x1/test --data "$(TEST)" --split $(REAL)/clean.json:test --backbone tiny -o $(REAL)/runs
REAL_TRAIN = -s kvasir-vqa-x1/train --data "$(TRAIN)"
# Asked before the set-up, so that a forgotten folder costs no minutes.
real-folders:
	@test -d "$(TRAIN)" && test -d "$(TEST)" || \
	  { echo "error: two folders are needed; make real TRAIN=DIR TEST=DIR, in the layout of Kvasir-VQA-x1"; exit 2; }
real: real-folders $(VENV)/.ready-dev
	@mkdir -p $(REAL)
	$(BIN)/gi-bench audit --train kvasir-vqa-x1/train --train-data "$(TRAIN)" --test kvasir-vqa-x1/test --data "$(TEST)" \
	  --allow 100000 --disjoint $(REAL)/clean.json
	$(BIN)/gi-bench data explanations $(REAL_TRAIN) --per-image 4 -o $(REAL)/explanations.jsonl
	$(BIN)/gi-bench data negatives $(REAL_TRAIN) --ratio 0.2 -o $(REAL)/negatives.jsonl
	@set -e; for seed in $(SEEDS); do for model in $(REAL_VARIANTS); do \
	  extra="--explanations $(REAL)/explanations.jsonl"; \
	  case $$model in vqa_only*) extra="";; *_neg) extra="$$extra --negatives $(REAL)/negatives.jsonl";; esac; \
	  folder=$(REAL)/adapters/$$model-seed$$seed; \
	  test -f $$folder/card.json || (set -x; $(BIN)/gi-bench train --model $$model $(REAL_TRAIN) --backbone tiny \
	    --epochs $(EPOCHS) --seed $$seed $$extra --log-to none -o $$folder); \
	  (set -x; $(BIN)/gi-bench run -m $$model $(REAL_TEST) --checkpoint $$folder --seed $$seed); \
	done; done
	$(BIN)/gi-bench run -m blind_question_prior $(REAL_TEST) --train-suite kvasir-vqa-x1/train --train-data "$(TRAIN)" --bounds
	$(BIN)/gi-bench report $(REAL)/runs/*/*-*/ -o $(REAL)/report.html

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) runs build *.egg-info
