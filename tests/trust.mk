# Guards under attack: fuzz targets (clang's libFuzzer), the ten promises one by one, long runs.

FUZZ          = $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
FUZZ_BUILD    = $(BUILD)/fuzz
FUZZ_SECONDS ?= 5
FUZZ_LONG    ?= 3600
FUZZ_CC       = clang
FUZZ_FLAGS    = -std=c11 -D_GNU_SOURCE -DPONDER_DATADIR='"$(PREFIX)/share/ponder"' -Isrc -Itests/fuzz -O1 -g -fno-omit-frame-pointer \
                -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -pthread -MMD -MP $(PKG_CFLAGS)
FUZZ_SOURCES  = $(wildcard src/base/*.c src/model/*.c src/store/*.c src/chat/*.c) \
                $(filter-out src/ui/loop.c src/ui/plain.c,$(wildcard src/ui/*.c))
FUZZ_OBJS     = $(FUZZ_SOURCES:src/%.c=$(FUZZ_BUILD)/obj/%.o)
export PONDER_FUZZ  := $(FUZZ)
export FUZZ_BUILD
export FUZZ_SECONDS

.PHONY: fuzz fuzz-long fuzz-build
SCRIPTS += tests/fuzz/run
test: fuzz-build
fuzz-build: $(FUZZ:%=$(FUZZ_BUILD)/%) $(FUZZ_BUILD)/corpus/made

## fuzz         every fuzz target on its corpus, then FUZZ_SECONDS (5) of new inputs each
fuzz: fuzz-build
	@tests/run tests/fuzz/run

## fuzz-long    the same for FUZZ_LONG (3600) seconds each; what it learns stays in build/fuzz/corpus
fuzz-long:
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=$(FUZZ_LONG)

$(FUZZ_BUILD)/corpus/made: tests/fuzz/corpus.py tests/fault/lib/tiny.py
	@python3 tests/fuzz/corpus.py $(FUZZ_BUILD)/corpus
	@touch $@

$(FUZZ_BUILD)/obj/%.o: src/%.c tests/trust.mk
	@mkdir -p $(@D)
	@echo "  FUZZ $<"
	@$(FUZZ_CC) $(FUZZ_FLAGS) -c $< -o $@

$(FUZZ_BUILD)/libponder.a: $(FUZZ_OBJS)
	@rm -f $@
	@ar rcs $@ $^

$(FUZZ:%=$(FUZZ_BUILD)/%): $(FUZZ_BUILD)/%: tests/fuzz/%.c $(FUZZ_BUILD)/libponder.a
	@echo "  FUZZ $<"
	@$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer $< -o $@ $(FUZZ_BUILD)/libponder.a $(LIBS)
-include $(FUZZ_OBJS:.o=.d) $(FUZZ:%=$(FUZZ_BUILD)/%.d)
