# Everything a person or a machine does with this repository. `make` alone lists it.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
ifndef STEPS_AT_ONCE
.NOTPARALLEL:
endif

PYTHON ?=
NUMBER ?=
PYTEST_ARGS ?=
TEST_WORKERS ?= 3
BENCH_ARGS ?=
CLUSTER_ARGS ?=
DRILL_ARGS ?=
POLICY_ARGS ?=
SAMPLES ?= 20000
TRACE_ARGS ?=
TIMING_ARGS ?=
MUTATION_ARGS ?=
CASE ?=
ENGINE ?= docker
IMAGE_TAG ?= dev
IMAGE_SENDERS ?=
SOURCE ?=
SCALE_ARGS ?=
TAG ?=
SERVICE ?=
IMAGE ?=
RECORD_ARGS ?=
BIN := .venv/bin
SENDERS := aliyun aws smpp tencent twilio
SERVICES := gateway auth-service sms-service contacts-service
PYPROJECTS := pyproject.toml shared/pyproject.toml $(SERVICES:%=%/pyproject.toml)
SOURCES := shared $(SERVICES)
LOCKS := deploy/requirements
OVERLAY := deploy/kubernetes/overlays/production
VERSION := $(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' shared/src/shared/process/version.py)
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-package haoma-shared

PYTEST := PYTHONPATH=deploy $(BIN)/python -m pytest

# The tests of one file stay together.
BY_FILE := --dist loadfile

# $(call timed,name of the step,its command)
timed = @SECONDS=0; $(2) && echo "$(1): ok, $$SECONDS s"

# $(call tests_of,package): the folders with the tests of one package
tests_of = $(wildcard tests/unit/$(1) tests/integration/$(1)) $(if $(filter gateway,$(1)),tests/contract)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^(# )?[a-z<>-]+:.*## / { sub("^# ", ""); printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- Run

.PHONY: run
run: .venv/.installed ## start the whole system on this machine: servers, databases, services; Ctrl-C stops all of it
	@exec env PYTHONPATH=deploy $(BIN)/python -m stack run

.PHONY: explain
explain: .venv/.installed ## why did a number get no code? make explain NUMBER=13800138000 (or an id) while make run runs
	@exec env PYTHONPATH=deploy $(BIN)/python -m stack exec python -m sms_service explain "$(NUMBER)"

.PHONY: audit
audit: .venv/.installed ## was a row of the audit trail changed? verifies both chains while make run runs
	@PYTHONPATH=deploy $(BIN)/python -m stack exec python -m auth_service audit verify
	@PYTHONPATH=deploy $(BIN)/python -m stack exec python -m sms_service audit verify

.PHONY: policy
policy: .venv/.installed ## what the settings promise, beside make run: guesses, the worst bill, look-ups, lock-outs
	@exec env PYTHONPATH=deploy $(BIN)/python -m stack policy $(POLICY_ARGS)

# --- Containers

.PHONY: secrets
secrets: ## write the secrets of docker-compose.yml into ./secrets: those that are missing
	@PYTHONPATH=deploy $(or $(PYTHON),$(wildcard $(BIN)/python),python3) -B -m stack secrets

.PHONY: images
images: ## build the image of each service with the labels of this commit (ENGINE=docker, IMAGE_TAG=dev, IMAGE_SENDERS, SOURCE)
	@for service in $(SERVICES); do \
		$(ENGINE) build -f deploy/Dockerfile -t haoma-$$service:$(IMAGE_TAG) --build-arg SERVICE=$$service \
			--build-arg SENDERS="$$([ $$service != sms-service ] || echo "$(IMAGE_SENDERS)")" \
			--build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) --build-arg SOURCE="$(SOURCE)" \
			--build-arg CREATED=$$(git log -1 --format=%cI) . || exit 1; \
	done

.PHONY: containers-check
containers-check: .venv/.containers ## build the images and run the whole system from them, two replicas each, one of them killed: minutes
	@exec env CONTAINERS=1 $(PYTEST) -n 0 -s -q --timeout=3600 tests/containers $(PYTEST_ARGS)

# --- Test

.PHONY: check
check: .venv/.installed ## format, lint, types, import rules, SQL, migrations, container files, manifests: seconds, no server
	@$(MAKE) -j2 STEPS_AT_ONCE=2 $(CHECKS)

.PHONY: unit
unit: .venv/.installed ## unit and architecture tests: seconds, no server
	@exec env $(PYTEST) -n $(TEST_WORKERS) tests/unit tests/architecture -q $(PYTEST_ARGS)

# test-<service>: ## the tests of one service: gateway, auth-service, sms-service, contacts-service or shared
.PHONY: test-auth test-sms test-contacts
test-auth: test-auth-service
test-sms: test-sms-service
test-contacts: test-contacts-service

.PHONY: test-shared $(SERVICES:%=test-%)
test-shared $(SERVICES:%=test-%): .venv/.installed
	@exec env $(PYTEST) -n $(TEST_WORKERS) $(BY_FILE) $(call tests_of,$(subst -,_,$(@:test-%=%))) $(PYTEST_ARGS)

.PHONY: record
record: .venv/.installed ## write the responses of a contract case, beside make run: make record CASE=tests/contract/cases/native/city.json
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m contract.record $(CASE) $(RECORD_ARGS)

.PHONY: test
test: .venv/.installed ## check, then every test on real servers, in TEST_WORKERS processes (PYTEST_ARGS for pytest)
	@$(MAKE) -j2 STEPS_AT_ONCE=2 $(CHECKS) compiled
	@exec env -u PYTHONDONTWRITEBYTECODE $(PYTEST) -n $(TEST_WORKERS) $(BY_FILE) --durations=15 $(PYTEST_ARGS)

.PHONY: coverage
coverage: .venv/.quality ## the lines and branches of the rules that unit tests reach (docs/quality.md)
	@exec env PYTHONPATH=deploy $(BIN)/coverage run -m pytest tests/unit -q -p no:randomly $(PYTEST_ARGS)
	@$(BIN)/coverage report

.PHONY: mutation
mutation: .venv/.quality ## the changes to the rules that unit tests notice (docs/quality.md; MUTATION_ARGS=--show for the rest)
	@exec $(BIN)/python tests/mutation/score.py $(MUTATION_ARGS)

# --- The steps of make check, two at a time

CHECKS := types sql manifests lint imports migrations settings

.PHONY: lint
lint: .venv/.installed
	$(call timed,format,$(BIN)/ruff format --check --quiet .)
	$(call timed,lint,$(BIN)/ruff check --quiet .)

.PHONY: sql
sql: .venv/.installed
	$(call timed,sql,$(BIN)/sqlfluff lint --nocolor --disable-progress-bar $(SERVICES:%=%/src) > .local/sql.log || { cat .local/sql.log; false; })

.PHONY: types
types: .venv/.installed
	$(call timed,types,$(BIN)/mypy --no-error-summary)

.PHONY: imports
imports: .venv/.installed
	$(call timed,imports,PYTHONPATH=deploy $(BIN)/lint-imports > .local/imports.log || { cat .local/imports.log; false; })

.PHONY: migrations
migrations: .venv/.installed
	$(call timed,migrations,$(BIN)/python tests/migrations/lint.py)

.PHONY: settings
settings: .venv/.installed
	$(call timed,compose,$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml)
	$(call timed,dockerfile,$(BIN)/hadolint deploy/Dockerfile)
	$(call timed,renovate,$(BIN)/check-jsonschema --quiet --builtin-schema vendor.renovate renovate.json)

.PHONY: manifests
manifests: .venv/.manifests
	$(call timed,workflows,$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml \
		&& $(BIN)/zizmor --quiet --offline --no-progress .github)
	$(call timed,kubernetes,$(BIN)/kubectl kustomize $(OVERLAY) > .local/manifests.yaml && $(BIN)/python tests/support/schemas.py .local/manifests.yaml)

# Once for all processes of `make test`, which would otherwise each compile every test.
.PHONY: compiled
compiled: .venv/.installed
	$(call timed,tests,env -u PYTHONDONTWRITEBYTECODE $(PYTEST) --collect-only -q > .local/collect.log || { tail -50 .local/collect.log; false; })

# --- Write

.PHONY: fmt
fmt: .venv/.installed ## format the code and fix what the linter can fix
	@$(BIN)/ruff check --fix --exit-zero .
	@$(BIN)/ruff format .

.PHONY: docs
docs: .venv/.docs ## build the documentation site into .local/site; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "read it: $(BIN)/python -m http.server --bind 127.0.0.1 --directory .local/site 8090"

.PHONY: fuzz
fuzz: .venv/.installed ## fuzz every call and field with over 20,000 requests (SEED repeats a run)
	@seed=$${SEED:-$$RANDOM$$RANDOM}; echo "fuzz: SEED=$$seed"; \
	exec env FUZZ=long $(PYTEST) tests/fuzz --timeout=900 -p no:randomly \
		--hypothesis-seed=$$seed $(PYTEST_ARGS)

.PHONY: drill
drill: .venv/.installed ## attack a separate system, and print what is measured beside what is promised (minutes; DRILL=short)
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m drill $(DRILL_ARGS)

.PHONY: cluster-check
cluster-check: .venv/.installed ## kill the leader of each cluster (RabbitMQ, Redis, PostgreSQL) under load, and count what is lost (ROUNDS=1)
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m clusters $(CLUSTER_ARGS)

.PHONY: bench
bench: .venv/.installed ## measure every operation on a separate system (BENCH_ARGS="--help")
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m load.bench $(BENCH_ARGS)

.PHONY: bench-pair
bench-pair: .venv/.installed ## what each operation costs this checkout and another one, in turns (OTHER=path; BENCH_ARGS="--help")
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m load.pair $(BENCH_ARGS) $(OTHER)

.PHONY: bench-long
bench-long: .venv/.installed ## ten minutes of mixed load on a separate system: what runs out first, p99, memory (BENCH_ARGS="--help")
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m load.endurance $(BENCH_ARGS)

.PHONY: scale
scale: .venv/.installed ## what docs/scale.md computes with: 1, 2 and 4 replicas, log and commits, bytes of a row (SCALE_ARGS="--help")
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m load.scale $(SCALE_ARGS)

.PHONY: trace-cost
trace-cost: .venv/.installed ## what recording spans costs: CPU of a code with and without, in one run (TRACE_ARGS="--help")
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m load.tracing $(TRACE_ARGS)

.PHONY: timing
timing: .venv/.installed ## does the time of a call tell which numbers have an account? (SAMPLES=20000 of each call; TIMING_ARGS="--help")
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m load.timing --samples $(SAMPLES) $(TIMING_ARGS)

.PHONY: events-check
events-check: .venv/.installed ## no event of 10,000 is lost, and 1,000,000 users are republished and reconciled: minutes
	@exec env EVENTS=$${EVENTS:-10000} USERS=$${USERS:-1000000} $(PYTEST) -n 0 -s -q --timeout=3600 \
		tests/fault/test_events_at_size.py $(PYTEST_ARGS)

.PHONY: moving-check
moving-check: .venv/.installed ## the rate of an import beside that of argon2id, 50 kills that lose and double no user, a million duplicates, refusals, and what users notice (USERS=100000: an hour)
	@PYTHONPATH=deploy:tests $(BIN)/python -m load.moving_in --users $${USERS:-100000}
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m rehearsal.live_traffic

.PHONY: rehearsal
rehearsal: .venv/.installed ## a whole move on a private system, each step with its time: old base, import, log-ins, export (USERS=100000)
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m rehearsal --users $${USERS:-100000}

.PHONY: shadow-check
shadow-check: .venv/.installed ## 10,000 recorded calls shadowed against two copies: no difference, then only planted ones (CALLS=10000, SEED)
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m load.shadow --calls $${CALLS:-10000} $${SEED:+--seed $$SEED}

.PHONY: rolling-check
rolling-check: .venv/.installed ## restart every process 20 times under load: no call may fail (ROUNDS=20)
	@exec env PYTHONPATH=deploy:tests ROUNDS=$${ROUNDS:-20} $(BIN)/python -m rolling

.PHONY: restore-check
restore-check: .venv/.installed ## lose databases, Redis, the broker and a key for real, restore them, and print the seconds: minutes
	@exec env RESTORES=1 $(PYTEST) -n 0 -s -q -p no:randomly tests/fault/test_restores.py $(PYTEST_ARGS)

# --- Release

.PHONY: release-check
release-check: ## the tag is the version, and the changelog has a part about it: make release-check TAG=v0.2.0
	@version=$$(sed -n 's/^VERSION = "\(.*\)"/\1/p' shared/src/shared/process/version.py); \
	[ "$(TAG)" = "v$$version" ] || { echo "the tag $(TAG) is not v$$version, the version in shared/process/version.py" >&2; exit 1; }
	@$(MAKE) release-notes TAG=$(TAG) > /dev/null

.PHONY: release-notes
release-notes: ## what the changelog says about a release: make release-notes TAG=v0.2.0
	@awk -v version="$(TAG:v%=%)" '/^## / { found = $$2 == version; next } found { print; any = 1 } \
		END { if (!any) { print "CHANGELOG.md says nothing about " version > "/dev/stderr"; exit 1 } }' CHANGELOG.md

.PHONY: publish-image
publish-image: ## build one image and push it, with bill of materials and provenance: SERVICE=gateway IMAGE=registry/haoma-gateway TAG=v0.2.0
	@mkdir -p .local
	docker buildx build --push --file deploy/Dockerfile --platform linux/amd64 --sbom=true --provenance=mode=max \
		--build-arg SERVICE=$(SERVICE) $(if $(filter sms-service,$(SERVICE)),--build-arg SENDERS="$(SENDERS)") \
		--build-arg VERSION=$(TAG:v%=%) --build-arg REVISION=$$(git rev-parse HEAD) --build-arg SOURCE="$(SOURCE)" \
		--build-arg CREATED=$$(git log -1 --format=%cI) --tag $(IMAGE):$(TAG:v%=%) --metadata-file .local/image-$(SERVICE).json .

.PHONY: lock
lock: .venv/.installed ## resolve the requirements again and write the hashed locks
	$(LOCK) --all-extras pyproject.toml --group pyproject.toml:dev $(SERVICES:%=%/pyproject.toml) -o $(LOCKS)/dev.txt
	@for service in $(SERVICES); do \
		$(LOCK) $$service/pyproject.toml -c $(LOCKS)/dev.txt -o $(LOCKS)/$$service.txt || exit 1; \
	done
	@for sender in $(SENDERS); do \
		$(LOCK) sms-service/pyproject.toml --extra $$sender -c $(LOCKS)/dev.txt -o $(LOCKS)/sms-service-$$sender.txt || exit 1; \
	done
	@for group in clients containers docs manifests quality traces; do \
		$(LOCK) --group pyproject.toml:$$group -c $(LOCKS)/dev.txt -o $(LOCKS)/$$group.txt || exit 1; \
	done
	@for tools in argon2 sbom; do $(LOCK) $(LOCKS)/$$tools.in -o $(LOCKS)/$$tools.txt || exit 1; done
	cd tests/node && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund

.PHONY: clean
clean: ## remove the virtual environment, .local (data, secrets, logs) and caches; refused while a stack runs
	@PYTHONPATH=deploy $(or $(PYTHON),$(wildcard $(BIN)/python),python3) -B -m stack clean
	@rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: $(LOCKS)/dev.txt $(PYPROJECTS)
	@PYTHON="$(PYTHON)" bash deploy/stack/venv.sh
	@touch $@

# The tools of one group: .venv/.clients and so on
.venv/.clients .venv/.containers .venv/.docs .venv/.manifests .venv/.quality: .venv/.%: $(LOCKS)/%.txt .venv/.installed
	@echo "installing $(LOCKS)/$*.txt"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
