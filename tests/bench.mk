# The engine measured: beside llama.cpp (bench-peer), and against exact arithmetic where that takes minutes.

.PHONY: test-exact-long
test-long: test-exact-long

# scalar kernels, and the larger model where it is here
test-exact-long: build model
	@PONDER=$(abspath $(PONDER)) PONDER_LONG=1 tests/run tests/cli/exact.sh
