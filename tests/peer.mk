# Beside llama.cpp on tiny models. PONDER_PEER=DIR names a virtual environment that has llama_cpp; otherwise it is built from source into
# build/peer/venv (ten minutes on two cores).

PEER_VENV    = $(BUILD)/peer/venv
PEER_TOOLS   = gguf==0.19.0 numpy==2.4.6
PEER_PACKAGE = llama-cpp-python==0.3.36
# gcc 12 makes an AMX build of it that crashes
PEER_FLAGS   = -mno-amx-tile -mno-amx-int8 -mno-amx-bf16
PEER_CMAKE   = -DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_CURL=OFF $(if $(filter x86_64,$(shell uname -m)),-DCMAKE_C_FLAGS='$(PEER_FLAGS)' -DCMAKE_CXX_FLAGS='$(PEER_FLAGS)')

export PEER_TOOLS_PYTHON ?= $(abspath $(PEER_VENV))/bin/python
export PEER_PYTHON       ?= $(abspath $(if $(PONDER_PEER),$(PONDER_PEER),$(PEER_VENV)))/bin/python

.PHONY: test-peer test-peer-present
test-long: test-peer-present

## test-peer    tiny models of every architecture and quantisation beside llama.cpp (installs it; PONDER_PEER=DIR uses one that is there)
test-peer: build $(PEER_VENV)/tools $(if $(PONDER_PEER),,$(PEER_VENV)/peer)
	@PONDER=$(abspath $(PONDER)) tests/run tests/peer/compare.sh

test-peer-present: build
	@PONDER=$(abspath $(PONDER)) tests/run tests/peer/compare.sh

$(PEER_VENV)/tools: tests/peer.mk
	@echo "installing $(PEER_TOOLS) ..."
	@rm -rf $(PEER_VENV); mkdir -p $(PEER_VENV)
	@python3 -m venv $(PEER_VENV) && $(PEER_VENV)/bin/pip install -q --disable-pip-version-check $(PEER_TOOLS)
	@touch $@

$(PEER_VENV)/peer: $(PEER_VENV)/tools
	@echo "building $(PEER_PACKAGE) ..."
	@command -v g++ >/dev/null || { echo "ponder: test-peer needs a C++ compiler (apt-get install g++)" >&2; exit 1; }
	@CC=gcc CXX=g++ CMAKE_BUILD_PARALLEL_LEVEL=$$(nproc) CMAKE_ARGS="$(PEER_CMAKE)" $(PEER_VENV)/bin/pip install -q --disable-pip-version-check \
	    --no-cache-dir --no-binary llama-cpp-python $(PEER_PACKAGE)
	@touch $@
