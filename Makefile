# make demo and make test are the two commands; each does its own set-up. Everything else is a part of them.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ROOMS := $(wildcard discovery cluster actors serve_app train)
CODE := qbitel $(ROOMS)
# Threads of one process at a time: the machine's cores belong to Ray's workers and to the tests' own processes.
export NUMBA_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
export RAY_AUTH_MODE ?= disabled
export RAY_USAGE_STATS_ENABLED ?= 0

.PHONY: check-deploy crds kustomize figures figures-classifier figures-segmenter figures-training venv venv-train warm demo serve test lint unit crash-test partition-test partition-ci ray-test replica-test test-cluster bench docs pictures clean

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "python3 cannot make virtual environments: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# torch as well: the tests of the networks' training run only with it.
venv-train: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train]'

# Compiles the kernels once; numba keeps them beside the sources (or in the user's cache where those are read-only).
warm: $(VENV)/.warm

$(VENV)/.warm: $(VENV)/.installed
	@echo "compiling kernels (once)"
	@$(BIN)/python -m examples.warm
	@touch $@

demo: venv warm
	$(BIN)/python -m examples.demo --out demo-out

serve: venv warm
	$(BIN)/qbitel serve

test: venv lint unit

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check cluster serve_app examples
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/interrogate --quiet $(CODE)
	$(BIN)/xenon --max-absolute B --max-modules B --max-average A $(CODE)

unit: venv
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --durations=15

# Stops simulated processes at every step of storage and catalog, then kills real ones, then actors, raylets and (where
# there is redis-server) heads of a Ray; the sender's ledger is held against the journal. One line of counts each.
crash-test: venv
	$(BIN)/python -m qbitel.actors.simulation --schedules 10000
	$(BIN)/python -m qbitel.actors.kills --kills 200
	$(BIN)/python -m qbitel.actors.ray_kills --actors 15 --raylets 3 --heads 3

# Three Ray nodes in network namespaces that are cut from one another while they are fed; needs root, iproute2,
# nftables, PostgreSQL and Redis. Changes nothing of the machine's own network.
partition-test: venv
	$(BIN)/python -m qbitel.actors.partition

# Its short form: a node is cut off, then the head is killed with an actor.
partition-ci: venv
	@if unshare --net --mount --uts true 2> /dev/null; \
	  then $(BIN)/python -m qbitel.actors.partition --faults cut "head killed"; \
	  else echo "no networks are cut: that needs root, and a container that may make namespaces"; fi

# The chart in every profile, the images, and Serve's configuration, without a cluster.
check-deploy: venv
	$(BIN)/python -m deploy.checks

# The operators' CRDs that the chart is held to, of pinned versions; or set QBITEL_CRDS to a folder that has them.
crds: venv
	$(BIN)/python -m deploy.checks.crds

# The chart for those without Helm, as a base of Kustomize: make kustomize PROFILE=prod
kustomize: venv
	$(BIN)/python -m deploy.checks.kustomize $(PROFILE) build/kustomize/$(PROFILE)

# Captures in an object store, read by a Ray of three raylets, as its client and as jobs; an ingest that is killed.
ray-test: venv
	$(BIN)/python -m pytest -m cluster tests/actors/test_ray_reading.py tests/actors/test_bulk_on_ray.py tests/serve_app/test_retrain.py

# Kills every process that answers HTTP in the middle of a discovery, of its events and of a list.
replica-test: venv
	$(BIN)/python -m pytest -m cluster tests/serve_app/test_replicas.py

test-cluster: venv
	$(BIN)/python -m pytest -m cluster

bench: venv
	$(BIN)/qbitel bench speed

docs: venv
	$(BIN)/pdoc --docformat google --output-directory build/docs/api qbitel qbitel.discovery qbitel.cluster qbitel.actors qbitel.serve_app
	@echo "API reference: build/docs/api/index.html"

# The pictures of docs/, which are kept in the tree: drawn anew where what they show has changed. Needs graphviz.
pictures: warm
	$(BIN)/python -m examples.pictures

clean:
	rm -rf build dist demo-out .pytest_cache .mypy_cache .ruff_cache .coverage

# The tables in docs/figures, each written by the command that measured it. CORPUS: labelled messages, one Parquet file
# a protocol. Run it on a machine that does nothing else.
FIGURES := docs/figures
figures: warm
	@test -d "$(CORPUS)" || { echo "make figures CORPUS=folder of labelled Parquet files"; exit 2; }
	mkdir -p $(FIGURES)
	cd $(dir $(abspath $(CORPUS))) && $(abspath $(BIN))/qbitel bench accuracy --corpus $(notdir $(CORPUS)) > $(CURDIR)/$(FIGURES)/accuracy.md
	$(BIN)/qbitel bench speed --full --plot $(FIGURES)/growth.svg > $(FIGURES)/speed.md
	$(BIN)/python -m benchmarks.parse > $(FIGURES)/parse.md
	$(BIN)/python -m benchmarks.captures > $(FIGURES)/captures.md
	cd $(dir $(abspath $(CORPUS))) && PYTHONPATH=$(CURDIR) $(abspath $(BIN))/python -m benchmarks.framing --corpus $(notdir $(CORPUS)) > $(CURDIR)/$(FIGURES)/framing.md
	$(BIN)/python -m benchmarks.service > $(FIGURES)/service.md
	$(BIN)/python -m benchmarks.footprint > $(FIGURES)/footprint.md
	$(BIN)/python -m benchmarks.message_statistics > $(FIGURES)/statistics.md
	$(BIN)/python -m benchmarks.ingest --plot $(FIGURES)/ingest.svg > $(FIGURES)/ingest.md
	$(BIN)/python -m benchmarks.bulk > $(FIGURES)/bulk.md
	cd $(dir $(abspath $(CORPUS))) && PYTHONPATH=$(CURDIR) $(abspath $(BIN))/python -m benchmarks.grammar --corpus $(notdir $(CORPUS)) > $(CURDIR)/$(FIGURES)/grammar.md
	cd $(dir $(abspath $(CORPUS))) && PYTHONPATH=$(CURDIR) $(abspath $(BIN))/python -m benchmarks.semantics --corpus $(notdir $(CORPUS)) > $(CURDIR)/$(FIGURES)/semantics.md
	cd $(dir $(abspath $(CORPUS))) && PYTHONPATH=$(CURDIR) $(abspath $(BIN))/python -m benchmarks.dissectors --messages 100 --corpus $(notdir $(CORPUS)) > $(CURDIR)/$(FIGURES)/dissectors.md
	cd $(dir $(abspath $(CORPUS))) && PYTHONPATH=$(CURDIR) $(abspath $(BIN))/python -m benchmarks.simulator --corpus $(notdir $(CORPUS)) > $(CURDIR)/$(FIGURES)/simulator.md
	cd $(dir $(abspath $(CORPUS))) && PYTHONPATH=$(CURDIR) $(abspath $(BIN))/python -m benchmarks.few_shot --corpus $(notdir $(CORPUS)) > $(CURDIR)/$(FIGURES)/few_shot.md

# These fit networks: they need torch, and up to half an hour each. UNKNOWN: another folder, of protocols that no
# classifier is shown.
figures-classifier: venv-train warm
	cd $(dir $(abspath $(CORPUS))) && PYTHONPATH=$(CURDIR) $(abspath $(BIN))/python -m benchmarks.classifier --corpus $(notdir $(CORPUS)) $(if $(UNKNOWN),--unknown $(abspath $(UNKNOWN))) --plot $(CURDIR)/$(FIGURES)/reliability.svg > $(CURDIR)/$(FIGURES)/classifier.md
figures-segmenter: venv-train warm
	cd $(dir $(abspath $(CORPUS))) && PYTHONPATH=$(CURDIR) $(abspath $(BIN))/python -m benchmarks.segmenter --corpus $(notdir $(CORPUS)) > $(CURDIR)/$(FIGURES)/segmenter.md
# What trainings cost, on workers of a Ray that is started here: ten minutes.
figures-training: venv-train
	$(BIN)/python -m benchmarks.training > $(FIGURES)/training.md
