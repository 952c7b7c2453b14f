# The engine measured: beside llama.cpp (bench-peer), and against exact arithmetic where that takes minutes.

MODELS_HOME  = $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/ponder/models
PEER        ?= $(or $(PONDER_PEER),$(abspath $(BUILD))/peer)
PEER_MODELS ?= $(MODELS_HOME)/SmolLM2-135M-Instruct.Q4_1.gguf $(MODELS_HOME)/Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf
PEER_FLAGS  ?=
# clang for the variant with AMX: see tests/bench/peer_install.sh
HAS_AMX      = grep -qs amx_int8 /proc/cpuinfo
HAS_CLANG    = command -v clang++-14 >/dev/null && ls /usr/lib/llvm-14/lib/libomp.so* >/dev/null 2>&1

.PHONY: bench-peer peer test-exact-long
test-long: test-exact-long

# scalar kernels, and the larger model where it is here
test-exact-long: build model
	@PONDER=$(abspath $(PONDER)) PONDER_LONG=1 tests/run tests/cli/exact.sh

## bench-train  training, tokens a second, and beside it PEFT's where PEFT_PYTHON has torch, transformers and peft
.PHONY: bench-train
PEFT_PYTHON ?= python3
bench-train: model $(BUILD)/bench/train
	@for p in "" f32; do $(BUILD)/bench/train $(firstword $(PEER_MODELS)) 1024 256 $$p || exit 1; done
	@! $(PEFT_PYTHON) -c 'import torch, transformers, peft' 2>/dev/null || for p in bf16 f32; do $(PEFT_PYTHON) tests/bench/train_peft.py $$p; done
$(BUILD)/bench/train: tests/bench/train.c $(call archives,model base)
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS_ALL) $< -o $@ $(call archives,model base) $(LDFLAGS_ALL) $(LIBS)

## bench-peer   a table beside llama.cpp: speed, memory, exactness; builds that first (PONDER_PEER=DIR takes what is there)
bench-peer: model model-1.5b peer
	@PYTHONDONTWRITEBYTECODE=1 tests/bench/peer.py $(PONDER) $(PEER) $(PEER_MODELS) $(PEER_FLAGS)

ifeq ($(PONDER_PEER),)
peer:
	@command -v g++ >/dev/null && python3 -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory apt WANT="g++ python3-venv"
	@! $(HAS_AMX) || { $(HAS_CLANG); } || $(MAKE) --no-print-directory apt WANT="clang-14 libomp-14-dev"
	@tests/bench/peer_install.sh $(PEER)
else
peer: ;
endif
