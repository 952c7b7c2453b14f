# What a user's own machine teaches, at full length: the default model, minutes each.

.PHONY: test-train-long
test-long: test-train-long
test-train-long: build model
	@PONDER=$(abspath $(PONDER)) PONDER_LONG=1 tests/run tests/cli/thumbs.sh tests/cli/learns.sh
