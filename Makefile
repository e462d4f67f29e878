PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.lakefeed-ready

.DEFAULT_GOAL := help
.PHONY: help demo airflow test test-builds test-faults test-engines test-wheel test-browser test-compose test-dbt112 test-duckdb2 test-spark test-clouds nightly nightly-spark check lint types docs docs-site bench bench-guard lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

# pip brings uv, both held to the hashes of the lock; uv installs the rest, much faster.
$(READY): requirements.lock pyproject.toml
	@echo "setting up .venv from requirements.lock (a minute or two, once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Lakefeed needs Python 3.11 or newer: make PYTHON=python3.12 demo"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^[a-z]/ {keep = /^uv==/} keep' requirements.lock > .venv/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) $(if $(WAREHOUSE),.venv-$(WAREHOUSE)/.ready .venv-$(WAREHOUSE)_server/.ready) ## load, change, load again, build, show: the main job on an embedded PostgreSQL; raw on SeaweedFS: make demo STORE=s3; and the warehouse on a Spark cluster: make demo WAREHOUSE=spark
	@$(if $(WAREHOUSE),.venv-$(WAREHOUSE)/bin,$(BIN))/lakefeed demo $(if $(STORE),--store $(STORE)) $(if $(WAREHOUSE),--warehouse $(WAREHOUSE))

# The shell gives way to it, so that Ctrl-C and SIGTERM reach it alone.
airflow: $(READY) ## Airflow and the shop, without Docker, until Ctrl-C: make airflow PORT=8081
	@exec $(BIN)/python -m lakefeed.demo.stack $(if $(PORT),--port $(PORT))

# Modules are compiled once, also where the environment forbids Python to keep them: tests start
# hundreds of processes. A file stays with one worker, so that what it sets up is set up once.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --durations=20 --durations-min=1
SIDE_BY_SIDE = -n 2 --dist loadfile

test: $(READY) ## all tests but the long suites and those that need a browser or Docker
	@$(PYTEST) -m "not builds and not faults and not engines and not browser and not compose and not spark" $(SIDE_BY_SIDE)

test-builds: $(READY) ## the long suites that load and build over and over: history, publication, housekeeping
	@$(PYTEST) -m "builds and not faults and not engines" $(SIDE_BY_SIDE)

test-faults: $(READY) program-pgbouncer program-redis-server program-postgresql ## the long suites: kills, torture, live services, runs of the DAG, the guides
	@$(PYTEST) -m "faults and not engines" $(SIDE_BY_SIDE)

# Emulators of the object stores that no wheel brings: Azure's with Node.js, Google's with Go.
EMULATORS := .venv/emulators
FAKE_GCS := github.com/fsouza/fake-gcs-server@v1.56.1

$(EMULATORS)/.ready: tests/store/azurite/package-lock.json | $(READY)
	@mkdir -p $(EMULATORS)/bin && cp tests/store/azurite/*.json $(EMULATORS)
	@{ npm ci --silent --ignore-scripts --prefix $(EMULATORS) && ln -sf ../node_modules/.bin/azurite-blob $(EMULATORS)/bin; } > /dev/null 2>&1 || echo "no azurite, so its tests are skipped"
	@GOBIN=$(CURDIR)/$(EMULATORS)/bin GOPATH=$(CURDIR)/$(EMULATORS)/go GOCACHE=$(CURDIR)/$(EMULATORS)/go/cache GOFLAGS=-modcacherw go install $(FAKE_GCS) > /dev/null 2>&1 || echo "no fake-gcs-server, so its tests are skipped"
	@rm -rf $(EMULATORS)/go
	@touch $@

test-engines: $(READY) ## what runs on a disk and a file as well: raw in an object store, a DuckLake
	@$(PYTEST) -m engines $(SIDE_BY_SIDE)

test-wheel: $(READY) ## the wheel, installed by itself for the oldest and the newest Python that is here
	@$(PYTEST) tests/faults/test_wheel.py

test-browser: $(READY) program-chromium ## the pages in a browser, as a user sees them
	@$(PYTEST) -m browser

test-compose: $(READY) ## the compose files on a Docker engine: build, first run, kills, down and up; half an hour
	@$(PYTEST) -m compose tests/compose

nightly: $(READY) $(EMULATORS)/.ready program-pgbouncer program-postgresql ## what is random or long by nature, in its long form: an hour or more
	@LAKEFEED_NIGHTLY=1 $(PYTEST) -m "(nightly or at_night) and not spark" $(SIDE_BY_SIDE)

# Some suites need a program that no wheel brings; where it can't be had, the suite is skipped.
# Those of Debian's PostgreSQL aren't on the path.
program-%:
	@{ command -v $* || ls /usr/lib/$*/*/bin/pg_ctl; } > /dev/null 2>&1 || { apt-get update && apt-get install --yes --no-install-recommends $*; } > /dev/null 2>&1 || echo "no $*, so its tests are skipped"

# The environment of the lock with another version of one package in it: docs/versions.md. Where that
# version can't be installed, its tests are skipped.
OTHER_VERSIONS := bigquery dbt112 duckdb2 snowflake snowflake_server spark spark_server
# What an emulator or an adapter wants older than the lock has it, for one Python alone.
OLDER_bigquery := |fastapi|fsspec|gcsfs|google-cloud-storage|sqlglot|tenacity
OLDER_snowflake := |certifi|filelock|sqlglot
OLDER_snowflake_server := |certifi|filelock|sqlglot

.venv-%/.ready: requirements.lock pyproject.toml tests/versions/%.lock | $(READY)
	@echo "setting up .venv-$* from requirements.lock and tests/versions/$*.lock"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-$*
	@$(BIN)/uv pip sync --quiet --python .venv-$*/bin/python --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python .venv-$*/bin/python --no-deps --no-build-isolation --editable .
	@$(BIN)/uv pip install --quiet --python .venv-$*/bin/python --no-deps --require-hashes --compile-bytecode -r tests/versions/$*.lock && touch $@ || echo "tests/versions/$*.lock can't be installed here, so its tests are skipped"

BUILDS := $(addprefix tests/integration/test_,materializations staging)

test-dbt112: .venv-dbt112/.ready ## what builds, with dbt-core 1.12
	@test ! -e $< || $(subst $(BIN),.venv-dbt112/bin,$(PYTEST)) -m "not faults and not engines and not browser" $(SIDE_BY_SIDE) tests/demo/test_demo.py $(addsuffix .py,$(BUILDS))

test-duckdb2: .venv-duckdb2/.ready ## the warehouse, with DuckDB 2
	@test ! -e $< || LAKEFEED_OTHER_DUCKDB=$(CURDIR)/.venv-duckdb2/bin/python $(PYTEST) tests/integration/test_duckdb_versions.py

# A whole Spark, with the modules of the thin client in it, and emulators with another DuckDB: what can't share an environment.
.venv-%_server/.ready: tests/versions/%_server.lock | $(READY)
	@echo "setting up .venv-$*_server from $<"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-$*_server
	@$(BIN)/uv pip sync --quiet --python .venv-$*_server/bin/python --require-hashes $< && touch $@ || echo "$< can't be installed here, so its tests are skipped"

# Where there is no Java, 450 MB needn't be installed.
SPARK := $(if $(or $(JAVA_HOME),$(shell command -v java)),.venv-spark/.ready .venv-spark_server/.ready)

test-spark: $(SPARK) ## a real Spark cluster on this machine, which needs Java 17
	@test -n "$(SPARK)" || echo "no Java, so the tests on Spark are skipped"
	@test -z "$(SPARK)" || { test -z "$(CI)" && ! test -e $<; } || $(subst $(BIN),.venv-spark/bin,$(PYTEST)) -m spark

# What the two ways to Spark may differ in: values, temporary views, statements side by side, lost servers.
BY_THRIFT := $(patsubst %,tests/spark/test_%.py,types publication killed trace apart kinds_of_models conformance)

nightly-spark: .venv-spark/.ready .venv-spark_server/.ready ## all that is tested on Spark, the demo too, and much of it through a Thrift server: an hour
	@LAKEFEED_NIGHTLY=1 $(subst $(BIN),.venv-spark/bin,$(PYTEST)) -m spark
	@LAKEFEED_NIGHTLY=1 LAKEFEED_SPARK_BY_THRIFT=1 $(subst $(BIN),.venv-spark/bin,$(PYTEST)) -m spark $(BY_THRIFT)

test-clouds: .venv-bigquery/.ready .venv-snowflake/.ready .venv-snowflake_server/.ready $(EMULATORS)/.ready ## Snowflake and BigQuery, on emulators of them
	@test ! -e .venv-bigquery/.ready || $(subst $(BIN),.venv-bigquery/bin,$(PYTEST)) -m clouds tests/bigquery
	@test ! -e .venv-snowflake/.ready || $(subst $(BIN),.venv-snowflake/bin,$(PYTEST)) -m clouds tests/snowflake

check: lint types test test-builds test-faults test-engines test-browser test-duckdb2 ## what .ci/run checks

lint: $(READY) ## format and lint, of Python and SQL
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lakefeed check
	@$(BIN)/sqlfluff lint dbt

types: $(READY) ## strict type check
	@$(BIN)/mypy

docs: $(READY) ## write the generated parts of the documentation
	@$(BIN)/python -m lakefeed.declaration.reference docs
	@LAKEFEED_WRITE_DOCS=1 $(BIN)/python -m pytest --quiet tests/integration/test_types.py -k page
	@LAKEFEED_WRITE_DOCS=1 $(BIN)/python -m pytest --quiet tests/docs/test_commands.py tests/docs/test_engines_page.py
	@LAKEFEED_WRITE_DOCS=1 $(BIN)/python -m pytest --quiet -m browser
	@$(BIN)/python docs/record_demo.py

docs-site: $(READY) ## the documentation as a site, in site/; a broken link fails it
	@$(BIN)/zensical build --clean --strict

# Contenders that can't share an environment have one each. One that can't be had is told in its row.
CONTENDERS := loaders sling ingestr by-hand
VENVS := $(CONTENDERS:%=.bench/venvs/%/.ready)
BENCH = --cases "$(or $(CASES),hourly lineitem big wide many five-hundred nothing-new past-loads past-runs engines log)" --scale $(or $(SCALE),1) --rounds $(or $(ROUNDS),3)

.bench/venvs/%/.ready: benchmarks/contenders/%.lock | $(READY)
	@echo "setting up .bench/venvs/$* from $<"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .bench/venvs/$*
	@$(BIN)/uv pip sync --quiet --python .bench/venvs/$*/bin/python --require-hashes --compile-bytecode $< && touch $@ || echo "$*: can't be installed here; its rows will say so"

bench: $(READY) $(VENVS) $(if $(filter scale,$(CASES)),.venv-spark/.ready .venv-spark_server/.ready) ## measure against other tools: make bench CASES=lineitem SCALE=1 ROUNDS=3
	@$(BIN)/python -m benchmarks run $(BENCH) $(OPTIONS)

bench-guard: $(READY) $(VENVS) ## compare Lakefeed's ratios with those last recorded
	@$(BIN)/python -m benchmarks guard $(BENCH)

# dbt-core 1.12 needs a package that downloads a binary when it is installed (dbt-labs/dbt-core#15670).
# Its lock leaves that package out.
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header
lock: ## resolve the dependencies again, into requirements.lock, tests/versions/ and benchmarks/contenders/
	@$(COMPILE) --extra dev --no-emit-package lakefeed pyproject.toml -o requirements.lock
	@$(foreach name,$(OTHER_VERSIONS),awk '/^[a-z]/ {keep = !/^(dbt-core|duckdb$(OLDER_$(name)))==/} keep' requirements.lock | $(if $(OLDER_$(name)),$(subst --universal ,,$(COMPILE)),$(COMPILE)) --python-version 3.11 --constraints /dev/stdin --excludes tests/versions/excluded.in tests/versions/$(name).in -o tests/versions/$(name).lock;)
	@for name in $(CONTENDERS); do $(COMPILE) --python-version 3.11 benchmarks/contenders/$$name.in -o benchmarks/contenders/$$name.lock; done

clean: ## remove the environment and everything that the demo and Airflow wrote
	rm -rf .venv .venv-* .airflow dbt/target dbt/logs dbt/dbt_packages dbt/.lakefeed
	find data -mindepth 1 ! -path data/.gitkeep -delete
