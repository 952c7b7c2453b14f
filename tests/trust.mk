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
	@$(FUZZ_CC) $(FUZZ_FLAGS) -Itests -fsanitize=fuzzer $< -o $@ $(FUZZ_BUILD)/libponder.a $(LIBS)
-include $(FUZZ_OBJS:.o=.d) $(FUZZ:%=$(FUZZ_BUILD)/%.d)

# ---- the ten promises -----------------------------------------------------------------------------------------------

PROMISES = 1:tests/fault/offline.py 1:$(BUILD)/tests/base_sandbox 2:tests/fault/kill.py 2:$(BUILD)/tests/store_powercut \
           2:$(BUILD)/tests/store_writer 3:tests/fault/escapes.py 3:$(BUILD)/tests/base_sanitize 4:$(BUILD)/tests/model_hostile \
           4:$(BUILD)/tests/model_gguf 4:tests/fault/model_file.py 4:tests/fuzz/run 5:tests/fault/private.py 6:tests/fault/ending.py \
           7:tests/fault/terminals.py 8:tests/fault/disk.py 8:$(BUILD)/tests/store_powercut 9:tests/fault/same.py \
           9:$(BUILD)/tests/model_engine 9:$(BUILD)/tests/model_kvfile 10:tests/fault/versions.py 10:$(BUILD)/tests/store_open

.PHONY: promises mutate soak dist
## promises     the ten promises of README, each by its tests
promises: build fuzz-build $(sort $(filter $(BUILD)/%,$(PROMISED)))
	@PONDER=$(abspath $(PONDER)) PONDER_PROMISES="$(PROMISES)" tests/run $(sort $(PROMISED))
PROMISED = $(foreach p,$(PROMISES),$(lastword $(subst :, ,$(p))))

# which file of the tree holds each test, for the check of README
.PHONY: print-promises
print-promises:
	@for p in $(patsubst %,"%",$(PROMISES:$(BUILD)/tests/%=%)); do case $$p in *:$(BUILD)/tests/*) echo "$${p%%:*} tests/unit/$${p##*/}.c" ;; *) echo "$${p%%:*} $${p#*:}" ;; esac; done

## mutate       breaks the guard of each promise in a copy of the tree and shows that its test fails
mutate: build tests
	@BUILD=$(BUILD) tests/run tests/mutate.sh

## soak         an hour of chat with scripted input: memory and descriptors stay flat
soak: build
	@PONDER=$(abspath $(PONDER)) SOAK_SECONDS=3600 tests/run tests/fault/soak.py

## test-kill    200 kills at random moments while a reply streams, and of a process that only writes; a power cut at every operation
.PHONY: test-kill
test-kill: build $(BUILD)/tests/store_powercut
	@PONDER=$(abspath $(PONDER)) PONDER_LONG=1 tests/run tests/fault/kill.py $(BUILD)/tests/store_powercut

# ---- threads, memory, coverage ------------------------------------------------------------------------------------------

.PHONY: tsan valgrind coverage fuzz-more
TSAN = $(addprefix $(BUILD)/tsan/tests/,base_queue chat_ahead chat_turn model_pool model_engine model_hash store_writer store_write ui_app)
## tsan         worker, interface and engine under ThreadSanitizer, with tiny models, in build/tsan
tsan: deps-test
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan OPT="-O1 -g" SANITIZE=thread build $(TSAN)
	@PONDER=$(abspath $(BUILD)/tsan/ponder) PONDER_QUICK=1 OPENBLAS_NUM_THREADS=1 TSAN_OPTIONS=halt_on_error=1:exitcode=66:suppressions=tests/tsan.supp \
	    tests/run $(TSAN) tests/fault/same.py tests/fault/ending.py

VALGRIND = $(addprefix $(BUILD)/tests/,model_kernels model_gemm model_quant model_sampler model_kvfile)
## valgrind     kernels, sampler and K/V files with tiny models under memcheck: nothing is read before it was written (needs no AVX-512: valgrind knows AVX2)
valgrind: build $(VALGRIND)
	@command -v valgrind >/dev/null || $(MAKE) --no-print-directory apt WANT=valgrind
	@PONDER_QUICK=1 OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1 PONDER_UNDER="valgrind -q --error-exitcode=66 --leak-check=no" tests/run $(VALGRIND)

## coverage     branches that the unit, command-line and interface tests take, by folder, in build/coverage; fails below 90 % in base, store and the GGUF reader, 75 % elsewhere
# live.sh and exact.sh ask the larger models, which takes very long here, and take no branch that others do not; hardening.sh reads the program as it is shipped.
# Kernels are made of inlined parts with constant arguments; without folding, what is asked of a constant counts as a branch that is never taken.
ifdef COVERED
$(addprefix $(BUILD)/obj/model/,kernels%.o gemm%.o attend%.o): OPT_OF_FILE = -O1
endif
COVERING = $(filter-out %/live.sh %/exact.sh %/hardening.sh,$(wildcard tests/cli/*.sh tests/pty/*.sh)) $(addprefix tests/fault/,escapes.py terminals.py versions.py private.py disk.py)
coverage: deps-test
	@command -v gcovr >/dev/null || $(MAKE) --no-print-directory apt WANT=gcovr
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/coverage COVERED=1 OPT="-O0 -g --coverage -fprofile-update=atomic" HARDEN=-fPIE build tests
	@find $(BUILD)/coverage -name '*.gcda' -delete
	@mkdir -p $(BUILD)/coverage/open # a chat behind its walls could not write its counters
	@printf '#!/bin/sh\nPONDER_SANDBOX=off PONDER_DATADIR=$${PONDER_DATADIR:-%s} exec %s "$$@"\n' $(CURDIR) $(abspath $(BUILD)/coverage/ponder) >$(BUILD)/coverage/open/ponder
	@chmod +x $(BUILD)/coverage/open/ponder
	@PONDER=$(abspath $(BUILD)/coverage/open/ponder) tests/run $(UNIT:$(BUILD)/%=$(BUILD)/coverage/%) $(COVERING) || true
	@python3 tests/coverage.py $(BUILD)/coverage

## fuzz-more    each fuzz target for a minute of new inputs
fuzz-more:
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=60

# in this order, one after the other, whatever -j says; branches are told at the end, what is short of its share does not end the run
test-long: test
	@for t in lint mutate test-kill asan tsan valgrind fuzz-more; do echo "== make $$t" && $(MAKE) --no-print-directory $$t || exit 1; done
	@$(MAKE) --no-print-directory coverage || true

# ---- release --------------------------------------------------------------------------------------------------------

VERSION = $(shell sed -n 's/^\#define PONDER_VERSION "\(.*\)"/\1/p' src/base/base.h)

## dist         build/ponder-VERSION.tar.gz of what is committed: the same bytes every time
dist:
	@mkdir -p $(BUILD)
	@git -c core.abbrev=no archive --format=tar --prefix=ponder-$(VERSION)/ HEAD | gzip -9n >$(BUILD)/ponder-$(VERSION).tar.gz
	@cd $(BUILD) && sha256sum ponder-$(VERSION).tar.gz

# ---- reading the source ------------------------------------------------------------------------------------------------

LINT_APT = cppcheck clang-tidy shellcheck codespell
# What is not asked for, and why:
#   shellcheck  words are split on purpose where a list is meant (2046, 2086), sourced files and their variables are not followed (1090, 1091, 2034, 2148, 2154), names in
#               our own folders are listed with ls (2010, 2012), "$()" in single quotes is for the inner shell (2016), TAP counters are not meant to leave a subshell
#               (2030, 2031), a model answer is a printf format of ours (2059), functions use the script's arguments (2119), "a= b" clears a (1007)
#   analyzer    leaks: it does not know that str_detach and json's _new functions hand over
#   clang-tidy  swapped parameters, branch clones, assignments in conditions, strcmp as a truth value: house style. Narrowing and widening: -Wconversion looks after
#               base and store. Results of printf and close: nothing could be done. Reserved names, suspicious includes and sizeof: the feature macro, X-macros and
#               sqlite's own idioms. Handlers and longjmp: term_signals.c says what it may use
SHELLCHECK_OFF = SC1007,SC1090,SC1091,SC2010,SC2012,SC2016,SC2030,SC2031,SC2034,SC2046,SC2059,SC2086,SC2119,SC2148,SC2154
TIDY_OFF = bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-cert-dcl37-c,-cert-dcl51-cpp,-bugprone-narrowing-conversions,-bugprone-branch-clone,$\
           -bugprone-implicit-widening-of-multiplication-result,-bugprone-assignment-in-if-condition,-bugprone-suspicious-include,-cert-err33-c,$\
           -bugprone-suspicious-string-compare,-bugprone-sizeof-expression,-bugprone-signal-handler,-cert-sig30-c,-cert-err34-c,-cert-msc50-cpp,-bugprone-unused-return-value
.PHONY: lint
## lint         cppcheck, gcc -fanalyzer and clang-tidy on base and store, shellcheck, codespell; installs them where missing
lint:
	@command -v cppcheck >/dev/null && command -v clang-tidy >/dev/null && command -v shellcheck >/dev/null && command -v codespell >/dev/null || \
	    $(MAKE) --no-print-directory apt WANT="$(LINT_APT)"
	@shellcheck -x -e $(SHELLCHECK_OFF) tests/run tests/mutate.sh tests/fuzz/run tests/cli/*.sh tests/pty/*.sh tests/pty/lib && echo "shellcheck: clean"
	@codespell -q 3 -L nothink,crate,iif,dout,nd,sheeps README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md docs src tests/cli tests/fault && echo "codespell: clean"
	@cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability --inline-suppr --suppress=missingIncludeSystem --library=posix -D_GNU_SOURCE -Isrc src/base src/store && \
	    echo "cppcheck: clean"
	@for f in src/base/*.c src/store/*.c; do $(CC) $(CFLAGS_ALL) -fanalyzer -Werror -Wno-analyzer-malloc-leak -O1 -MF /dev/null -c $$f -o /dev/null || exit 1; done; echo "gcc -fanalyzer: clean"
	@clang-tidy --quiet --warnings-as-errors='*' --checks='-*,bugprone-*,cert-*,-$(TIDY_OFF)' $(wildcard src/base/*.c src/store/*.c) -- -std=c11 -D_GNU_SOURCE -Isrc $(PKG_CFLAGS) \
	    2>/dev/null && echo "clang-tidy: clean"
