# Everything a person or a machine does with this repository. `make` alone lists it.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?=
PYTEST_ARGS ?=
TEST_WORKERS ?= 2
BENCH_ARGS ?=
BIN := .venv/bin
SENDERS := aliyun aws smpp tencent twilio
SERVICES := gateway auth-service sms-service contacts-service
PYPROJECTS := pyproject.toml shared/pyproject.toml $(SERVICES:%=%/pyproject.toml)
LOCKS := deploy/requirements
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-package haoma-shared

# $(call timed,what it is,the command)
timed = @SECONDS=0; $(2) && echo "$(1): ok, $$SECONDS s"

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/.installed ## start the whole system here: servers, databases, services; Ctrl-C stops all of it
	@exec env PYTHONPATH=deploy $(BIN)/python -m stack run

.PHONY: explain
explain: .venv/.installed ## why has a number no code? make explain NUMBER=13800138000 (or an id), beside make run
	@exec env PYTHONPATH=deploy $(BIN)/python -m stack inside python -m sms_service explain "$(NUMBER)"

.PHONY: record
record: .venv/.installed ## write the responses of a contract case, beside make run: make record CASE=tests/contract/cases/native/city.json
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m contract.record $(CASE) $(RECORD_ARGS)

.PHONY: test
test: check ## check, then every test on real servers, in TEST_WORKERS processes (PYTEST_ARGS for pytest)
	@exec env PYTHONPATH=deploy $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --durations=15 $(PYTEST_ARGS)

.PHONY: check
check: .venv/.installed ## format, lint, types, imports, container files
	$(call timed,format,$(BIN)/ruff format --check --quiet .)
	$(call timed,lint,$(BIN)/ruff check --quiet .)
	$(call timed,types,$(BIN)/mypy --no-error-summary)
	$(call timed,imports,$(BIN)/lint-imports > .local/imports.log || { cat .local/imports.log; false; })
	$(call timed,compose,{ [ ! -f docker-compose.yml ] || $(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml; })
	$(call timed,dockerfile,{ [ ! -f deploy/Dockerfile ] || $(BIN)/hadolint deploy/Dockerfile; })

.PHONY: fmt
fmt: .venv/.installed ## format the code and repair what the linter can
	@$(BIN)/ruff check --fix --exit-zero .
	@$(BIN)/ruff format .

.PHONY: fuzz
fuzz: .venv/.installed ## the long fuzz of every call and field, over 20,000 requests (SEED to repeat one)
	@seed=$${SEED:-$$RANDOM$$RANDOM}; echo "fuzz: SEED=$$seed"; \
	exec env FUZZ=long PYTHONPATH=deploy $(BIN)/python -m pytest tests/fuzz --timeout=900 -p no:randomly \
		--hypothesis-seed=$$seed $(PYTEST_ARGS)

.PHONY: bench
bench: .venv/.installed ## measure every operation on a system of its own (BENCH_ARGS="--help")
	@exec env PYTHONPATH=deploy:tests $(BIN)/python -m load.bench $(BENCH_ARGS)

.PHONY: lock
lock: .venv/.installed ## resolve the requirements again, into hashed locks
	$(LOCK) --all-extras pyproject.toml --group pyproject.toml:dev $(SERVICES:%=%/pyproject.toml) -o $(LOCKS)/dev.txt
	@for service in $(SERVICES); do \
		$(LOCK) $$service/pyproject.toml -c $(LOCKS)/dev.txt -o $(LOCKS)/$$service.txt || exit 1; \
	done
	@for sender in $(SENDERS); do \
		$(LOCK) sms-service/pyproject.toml --extra $$sender -c $(LOCKS)/dev.txt -o $(LOCKS)/sms-service-$$sender.txt || exit 1; \
	done
	$(LOCK) $(LOCKS)/argon2.in -o $(LOCKS)/argon2.txt

.PHONY: clean
clean: ## remove the virtual environment, .local (data, secrets, logs) and caches; not while a stack runs
	@PYTHONPATH=deploy $(or $(PYTHON),$(wildcard $(BIN)/python),python3) -B -m stack clean
	@rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: $(LOCKS)/dev.txt $(PYPROJECTS)
	@PYTHON="$(PYTHON)" bash deploy/stack/venv.sh
	@touch $@
