# `make demo` and `make test` do all the set-up that a fresh clone needs; a second run starts at once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# CPU wheels of torch; set TORCH_INDEX= for the platform's default build (CUDA on Linux).
TORCH ?= torch==2.13.0
TORCH_INDEX ?= --extra-index-url https://download.pytorch.org/whl/cpu
DEMO_MODELS ?= blind_constant blind_class_prior blind_question_prior blind_region_prior blind_explanation \
  oracle_facts oracle_region_tokens vqa_only_r128 multitask_r32 multitask_r128 multitask_r128_neg

.PHONY: demo test test-slow lint setup clean
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

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest

# Minutes: trains a small adapter, renders and scores whole suites.
test-slow: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) runs build *.egg-info
