# The exports against the programs that read them. Python tools are pinned and installed into build/export/venv, by themselves.

EXPORT_VENV  = $(BUILD)/export/venv
EXPORT_LIGHT = datasets==4.8.5 jinja2==3.1.6
EXPORT_HEAVY = trl==1.16.0 transformers==5.23.0 torch==2.15.0

export EXPORT_PYTHON ?= $(abspath $(EXPORT_VENV))/bin/python

.PHONY: test-export test-export-trl
test: $(EXPORT_VENV)/light
test-long: test-export-trl
SCRIPTS += tests/export/formats.sh

## test-export  exports against published schemas, the library datasets, and chat templates
test-export: build $(EXPORT_VENV)/light
	@PONDER=$(abspath $(PONDER)) tests/run tests/export/formats.sh

## test-export-trl  exports through TRL's own preprocessing, token by token (installs PyTorch, 6 GB)
test-export-trl: test-export $(EXPORT_VENV)/heavy
	@PONDER=$(abspath $(PONDER)) tests/run tests/export/trl.sh tests/export/recipe.sh

$(EXPORT_VENV)/light: tests/export.mk
	@echo "installing $(EXPORT_LIGHT) ..."
	@rm -rf $(EXPORT_VENV); mkdir -p $(EXPORT_VENV)
	@if python3 -m venv $(EXPORT_VENV) && $(EXPORT_VENV)/bin/pip install -q --disable-pip-version-check $(EXPORT_LIGHT); then touch $@; else \
	    echo "cannot install them here: the tests that need them are skipped" >&2; rm -rf $(EXPORT_VENV); fi

$(EXPORT_VENV)/heavy: $(EXPORT_VENV)/light
	@echo "installing $(EXPORT_HEAVY) ..."
	@$(EXPORT_VENV)/bin/pip install -q --disable-pip-version-check $(EXPORT_HEAVY)
	@touch $@
