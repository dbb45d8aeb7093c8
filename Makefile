# Everything runs in .venv, made here from requirements.lock (make test and make extras add requirements-test.lock);
# nothing else on the machine is changed.
.DEFAULT_GOAL := help
PROFILE ?= demo
SCALE ?=
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CALMS21 ?= $(MBREPRO_CALMS21)
MODEL ?= $(MBREPRO_MODEL)
DATA ?=
VIDEOS ?= all
CPU ?=
YES ?=
DIR = artifacts/simulated-$(or $(SCALE),1)
RUN = $(if $(SCALE),scale-$(SCALE))
STUDY = $(PROFILE)$(if $(DATA), --data '$(DATA)')
FROM = $(if $(CALMS21),--from '$(CALMS21)')
# A user's pip may be set to install outside environments, and would refuse to fill one.
export PIP_USER := 0
export MBREPRO_CALMS21 := $(CALMS21)
export MBREPRO_MODEL := $(MODEL)
export HF_HUB_OFFLINE ?= $(if $(filter calms21,$(PROFILE)),0,1)

.PHONY: help reproduce data simulate test coverage verify crate book bench gpu soak fuzz mutants ladder ablation standin record extras movement golden lock clean purge

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

reproduce: .venv/installed $(if $(filter calms21,$(PROFILE)),data) ## set up, recordings (SCALE=10: ten times as many, kept apart; PROFILE=own DATA=FOLDER: yours), every notebook, the book
	@test '$(SCALE)' != full || { echo 'SCALE=full is poses alone, and the study needs video: make simulate SCALE=full writes them' >&2; exit 2; }
	$(BIN)/mbrepro run --all --profile $(STUDY) $(if $(RUN),-p scale $(SCALE) -p run $(RUN)) $(if $(CPU),--cpu)
	$(BIN)/mbrepro book --profile $(STUDY) $(if $(RUN),--run $(RUN))

data: .venv/installed ## fetch CalMS21: CALMS21=mirror or folder, VIDEOS=all, none, a number or names
	$(BIN)/mbrepro fetch calms21 $(FROM) --videos none
	$(BIN)/mbrepro estimate --videos $(VIDEOS) $(if $(CPU),--cpu)
	$(BIN)/mbrepro fetch calms21 $(FROM) --videos $(VIDEOS)

simulate: .venv/installed ## write simulated recordings as CalMS21 is laid out, into DIR=; SCALE=full: as many as it has, poses alone
	$(BIN)/mbrepro simulate '$(DIR)' --scale $(or $(SCALE),1)

test: .venv/installed-test ## set up and run every test
	$(BIN)/ruff check mbrepro tests
	$(BIN)/ruff format --check mbrepro tests
	$(BIN)/mypy
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST)

coverage: ## the same, counting the lines of the package that they run; under 95 % is a failure
	$(MAKE) test PYTEST='--cov --cov-report=term'

verify: .venv/installed ## score the stored predictions again and compare with the table and the book
	$(BIN)/mbrepro verify --profile $(STUDY) $(if $(RUN),--run $(RUN))

crate: .venv/installed ## describe the results as an RO-Crate: who made what from what, for other tools to read
	$(BIN)/mbrepro crate --profile $(STUDY) $(if $(RUN),--run $(RUN))

book: .venv/installed ## build the book again from the notebooks that have been run
	$(BIN)/mbrepro book --profile $(STUDY) $(if $(RUN),--run $(RUN))

bench: .venv/installed ## measure speed against the published computation, into results/bench.json
	$(BIN)/mbrepro bench

gpu: .venv/installed-test ## measure what needs a GPU (speed, precision, parity, fine-tuning), into results/gpu.json
	$(BIN)/mbrepro gpu

soak: .venv/installed ## kill 50 times at random moments and compare the bytes with a straight run's (WHAT=embed study sweep: hours)
	for what in $(or $(WHAT),embed); do HF_HUB_OFFLINE=1 $(BIN)/mbrepro soak --what $$what || exit; done

fuzz: .venv/installed ## give every reader of files 2000 changed ones (COUNT=), into results/recorded/faults.json
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.fixtures.fuzz $(or $(COUNT),2000)

mutants: .venv/installed-test ## change metrics, proposals and decoding at one place at a time and see whether a test fails (MODULE=metrics/bouts.py: one alone)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fixtures.mutants $(MODULE)

ablation: .venv/installed ## compare crops, frame rates and views on the demo, into results/recorded/ablation.json
	$(BIN)/mbrepro ablation

standin: .venv/installed ## train the stand-in vision-language model again (about 30 minutes on 2 cores)
	$(BIN)/mbrepro standin

ladder: .venv/installed ## measure how much context helps on the demo, beside the published figures (one to two hours)
	$(BIN)/mbrepro ladder

record: .venv/installed ## compute the figures of real animals again, an hour (MBREPRO_REAL_DATA; of labels also a fetched CalMS21)
	$(BIN)/mbrepro record

golden: .venv/installed-test ## record the outputs of modules whose VERSION has been raised
	MBREPRO_GOLDEN=write HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/test_golden.py

extras: .venv/installed-test ## add what mbrepro finetune, Ray and the tests need besides (0.7 GB)

movement: .venv/installed ## add the library movement, for pose files that it alone reads: SLEAP slp, NWB, its own nc (0.5 GB)
	$(BIN)/python -m pip install --quiet --no-compile --constraint requirements.lock --constraint requirements-test.lock \
	  --no-build-isolation --editable '.[movement]'

# The second lock holds what the extras add to an environment that holds the first.
FREEZE = .venv-lock/bin/pip freeze --all --exclude pip --exclude mbrepro | sed 's/+cpu$$//'
lock: ## write requirements.lock and requirements-test.lock anew from pyproject.toml
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet torch==2.13.0
	.venv-lock/bin/pip install --quiet --upgrade 'setuptools>=77' .
	{ head -n 1 requirements.lock; $(FREEZE); } > lock.partial
	.venv-lock/bin/pip install --quiet --constraint lock.partial '.[test]'
	{ head -n 1 requirements-test.lock; $(FREEZE) | grep -vxFf lock.partial; } > test.lock.partial
	mv lock.partial requirements.lock
	mv test.lock.partial requirements-test.lock
	rm -rf .venv-lock

clean: ## remove the built book, which make book builds again; results, runs and embeddings stay
	rm -rf _build book/_generated book/notebooks

purge: clean ## remove results, runs of your own and all that took hours, after a question (YES=1: without one)
	@du -sh artifacts results/demo results/calms21 results/own 2>/dev/null || true
	@test '$(YES)' = 1 || { printf 'remove these for good? yes or no: '; read answer && test "$$answer" = yes; } \
	  || { echo 'nothing was removed' >&2; exit 2; }
	rm -rf artifacts results/demo results/calms21 results/own

# A stamp is written last, so an interrupted installation is taken up again. Modules are compiled when they are first
# used: most never are, and all of them would be 0.4 GB.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo 'mbrepro needs Python 3.11: install it, or run make PYTHON=/path/to/python3.11' >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --no-build-isolation --editable .
	touch $@

.venv/installed-test: .venv/installed requirements-test.lock
	$(BIN)/python -m pip install --quiet --no-compile --constraint requirements.lock --requirement requirements-test.lock
	touch $@
