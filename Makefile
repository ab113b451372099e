# The commands of the project. Each prepares .venv with what it needs and nothing more.

PYTHON ?= python3
PYTHONS ?= python3.11 python3.12 python3.13
FUZZ_CASES ?= 10000
# Most tests wait for sound, brokers and processes: three files at a time take half as long on two cores.
AT_ONCE ?= --numprocesses 3 --dist loadfile
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo demo-bundle test test-service test-package fuzz firmware test-firmware lint bench deb wheels constraints clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed-demo ## Watch a unit hear a simulated leak and raise one alarm over MQTT
	$(BIN)/hydroear-train demo

demo-bundle: $(VENV)/.installed-train ## Train the bundle that the demo uses
	$(BIN)/hydroear-train demo-bundle

test: ## Run every test; installs Debian packages (as root, or with sudo)
	tests/install-debian-packages.sh
	@$(MAKE) --no-print-directory $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/parity # a process of its own: TensorFlow's interpreter would take tflite-runtime's place
	$(BIN)/python -m pytest --ignore tests/parity --ignore tests/firmware $(AT_ONCE)

test-service: ## Boot units under systemd and cut their power, stop their clocks and brokers; needs root, takes minutes
	tests/install-debian-packages.sh
	@$(MAKE) --no-print-directory $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "service or not service" -s -v tests/service

test-package: ## Install the packages in Debian roots, also in emulated ones; needs root, the network and many minutes
	tests/install-debian-packages.sh debootstrap libportaudio2 make mosquitto qemu-user-static systemd systemd-container
	@$(MAKE) --no-print-directory $(VENV)/.installed-dev deb
	$(BIN)/python -m pytest -m package -s -v tests/package

fuzz: $(VENV)/.installed-dev ## Feed FUZZ_CASES damaged inputs to each test that takes them
	FUZZ_CASES=$(FUZZ_CASES) $(BIN)/python -m pytest -m fuzz --timeout 0 --hypothesis-show-statistics

firmware: ## Cross-compile the firmware's codec and example, print their sizes, test them under sanitizers
	tests/install-debian-packages.sh cppcheck gcc gcc-arm-none-eabi libc6-dev make python3 qemu-system-arm
	@$(MAKE) --no-print-directory -C firmware_bridge/c

test-firmware: firmware $(VENV)/.installed-dev ## Test the example firmware on an emulated microcontroller, with a unit
	tests/install-debian-packages.sh mosquitto
	$(BIN)/python -m pytest tests/firmware

lint: $(VENV)/.installed-dev ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev ## Measure speed and memory
	$(BIN)/python tests/bench/bench.py

deb: $(BIN)/pip ## Build the Debian packages of a unit, for Bookworm and Trixie, amd64 and arm64, into dist/
	$(BIN)/python systemd/deb/build.py

wheels: $(VENV)/.installed-dev ## List the wheels of the packages anew, from pyproject.toml and constraints.txt
	$(BIN)/python systemd/deb/resolve.py

constraints: ## Pin the newest versions anew, for every interpreter of PYTHONS
	$(PYTHON) .ci/constraints.py $(PYTHONS) > constraints.new
	mv constraints.new constraints.txt

clean: ## Remove what these commands made, but no trained models
	rm -rf $(VENV) build dist demo-out firmware_bridge/c/build constraints.new .*_cache .hypothesis
	find daemon train firmware_bridge tests -name __pycache__ -prune -exec rm -rf {} +

# One stamp an extra: what `make demo` installed is added to by `make test`, and neither installs
# again until the dependencies change.
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install --disable-pip-version-check --constraint constraints.txt --editable ".[$*]"
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: name one that is, e.g. make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
