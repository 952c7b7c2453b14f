# ponder - build, run and test. `make help` lists the targets.
#
# Everything made lands in $(BUILD). Sources are found by folder: src/NAME/*.c becomes NAME's archive, and each tests/unit/NAME_*.c a test program that links NAME's
# archive and those below it, never those above.

BUILD    ?= build
PREFIX   ?= /usr/local
CC       ?= gcc
OPT      ?= -O2 -g
SANITIZE ?=
MODEL    ?= smollm2-135m

PKGS     = ncursesw readline openblas sqlite3 libutf8proc inih jansson libcrypto md4c zlib libseccomp
APT_RUN  = gcc libc6-dev make pkg-config python3 python3-pip libncurses-dev libreadline-dev libopenblas-dev libsqlite3-dev libutf8proc-dev libinih-dev \
           libjansson-dev libssl-dev libmd4c-dev zlib1g-dev libseccomp-dev
APT_TEST = $(APT_RUN) libcmocka-dev tmux procps python3-venv strace clang libclang-rt-14-dev

ifeq ($(origin CC),default)
CC       = gcc
endif
WARN     = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
ifdef DEVELOPER
WARN    += -Werror
endif
HARDEN   = -fstack-protector-strong -fPIE
ifeq ($(SANITIZE),)
HARDEN  += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else
HARDEN  += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
CFLAGS_ALL  = -std=c11 -D_GNU_SOURCE -DPONDER_DATADIR='"$(PREFIX)/share/ponder"' -Isrc $(OPT) $(WARN) $(HARDEN) -pthread -MMD -MP $(PKG_CFLAGS) $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,--build-id -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)
LIBS        = $(PKG_LIBS) -lm -pthread

FOLDERS  = base tasks model store chat ui cli
# arrows point one way: what each folder's tests may link
BELOW_base  = base
BELOW_tasks = tasks base
BELOW_model = model base
BELOW_store = store base
BELOW_chat  = chat model store base
BELOW_ui    = ui chat model store base
BELOW_cli   = cli ui chat model store tasks base
EXTRA_base  = -Wconversion
EXTRA_tasks = -Wconversion
EXTRA_model = -Wconversion
EXTRA_store = -Wconversion
archives    = $(foreach f,$(1),$(BUILD)/lib$(f).a)

PONDER   = $(BUILD)/ponder
UNIT     = $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*.c))
SCRIPTS  = $(wildcard tests/cli/*.sh tests/pty/*.sh tests/fault/*.py)

.PHONY: screens all build run test check test-long bench-ui bench-store tests model model-1.5b install uninstall asan distill help clean deps deps-test format-check
.DEFAULT_GOAL := all

# another make, on all cores unless -j was said
MAKE_ALL = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$$(nproc))

## all          install what is missing, build build/ponder (the default)
all: deps
	@$(MAKE_ALL) build

build: $(PONDER)

## run          build, fetch the default model (98 MB) and start; without a terminal: answer a sample question
run: all model
	@if [ -t 0 ] && [ -t 1 ]; then $(PONDER) -m $(MODEL); else \
	    $(PONDER) ask -m $(MODEL) "Roger has 5 tennis balls. He buys 2 cans of 3 tennis balls each. How many tennis balls does he have now?"; fi

## model        fetch and check SmolLM2-135M-Instruct Q4_1 (98 MB)
model: all
	@$(PONDER) pull smollm2-135m --if-missing

## model-1.5b   fetch and check Qwen2.5-Coder-1.5B-Instruct Q4_K_M (1.1 GB)
model-1.5b: all
	@$(PONDER) pull qwen2.5-coder-1.5b --if-missing

## test         everything: install what is missing, build, fetch the default model, run all tests (CI runs this)
test: deps-test
	@$(MAKE_ALL) build tests
	@$(MAKE_ALL) model # by itself: it makes what build makes
	@$(MAKE_ALL) $(SANITIZED_MAKE) build tests
	@PONDER=$(abspath $(PONDER)) PONDER_SANITIZED=$(abspath $(BUILD)/asan/ponder) PONDER_PROMISES="$(PROMISES)" tests/run $(UNIT) $(SCRIPTS) --sanitized $(SANITIZED)

## check        the tests that take under a minute, for every commit
check: deps-test
	@$(MAKE_ALL) build tests
	@PONDER=$(abspath $(PONDER)) PONDER_QUICK=1 tests/run $(UNIT) $(wildcard tests/cli/*.sh)

## test-long    test, and whatever else takes long: mutation checks, 200 kills, longer fuzzing, threads and memory watched, coverage (under 80 minutes)
test-long: test

## asan         unit, fault, interface and command-line tests under AddressSanitizer and UndefinedBehaviorSanitizer, looking for leaks, in build/asan
SANITIZED_MAKE = BUILD=$(BUILD)/asan OPT="-O1 -g" SANITIZE=address,undefined
# in `make test`: all but what spends its time in the arithmetic of a real model
SANITIZED      = $(UNIT:$(BUILD)/%=$(BUILD)/asan/%) $(wildcard tests/fault/*.py) tests/pty/chat.sh tests/pty/lists.sh
SANITIZED_TOO  = $(filter-out $(SANITIZED),$(wildcard tests/pty/*.sh)) $(filter-out %/exact.sh %/bench.sh %/bench_peer.sh %/sweep.sh,$(wildcard tests/cli/*.sh))
asan: deps-test
	@$(MAKE_ALL) $(SANITIZED_MAKE) build tests
	@PONDER_SANITIZED=$(abspath $(BUILD)/asan/ponder) tests/run --sanitized $(SANITIZED) $(SANITIZED_TOO)

## bench-ui     measure the interface through a pseudo terminal: keys while the model writes, a conversation of 10,000 messages
bench-ui: build
	@PONDER=$(abspath $(PONDER)) python3 tests/bench/ui.py

## screens      draw the pictures of README anew, from the program itself (a test holds them against it)
screens: $(BUILD)/tests/ui_screens
	@GENERATE=1 $< >/dev/null

tests: $(UNIT)

## bench-store  a record of 100,000 messages: opened below 100 ms, searched below 50 ms
bench-store: $(BUILD)/bench/store
	@$<
$(BUILD)/bench/store: tests/bench/store.c $(call archives,store base)
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS_ALL) $< -o $@ $(call archives,store base) $(LDFLAGS_ALL) $(LIBS)

## distill      the recipe of models/README.md: exercises, training, evaluation, step by step; goes on where it was stopped
distill: all model
	@PONDER=$(abspath $(PONDER)) models/distill.sh $(STEP)

## install      copy program, catalogue, themes, manual page and completions below PREFIX (default /usr/local)
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/ponder/models $(DESTDIR)$(PREFIX)/share/ponder/themes
	install -m 755 $(PONDER) $(DESTDIR)$(PREFIX)/bin/ponder
	install -m 644 models/catalogue.ini $(wildcard models/smollm2-think-r16.gguf) $(DESTDIR)$(PREFIX)/share/ponder/models/
	install -m 644 $(wildcard themes/*.ini) $(DESTDIR)$(PREFIX)/share/ponder/themes/
	@for made in $(MADE); do set -- $$(echo $$made | tr : ' '); install -d $(DESTDIR)$(PREFIX)/share/$$(dirname $$1); \
	    echo "$(PONDER) $$(echo $$2 | tr , ' ') > $(DESTDIR)$(PREFIX)/share/$$1"; \
	    $(PONDER) $$(echo $$2 | tr , ' ') > $(DESTDIR)$(PREFIX)/share/$$1 && chmod 644 $(DESTDIR)$(PREFIX)/share/$$1 || exit 1; done

# what the program prints of itself: place below share, and the command
MADE = man/man1/ponder.1:man bash-completion/completions/ponder:completions,bash zsh/site-functions/_ponder:completions,zsh \
       fish/vendor_completions.d/ponder.fish:completions,fish

uninstall:
	rm -rf $(DESTDIR)$(PREFIX)/bin/ponder $(DESTDIR)$(PREFIX)/share/ponder $(foreach m,$(MADE),$(DESTDIR)$(PREFIX)/share/$(firstword $(subst :, ,$(m))))

## clean        remove build/
clean:
	rm -rf $(BUILD)

## help         this list
help:
	@sed -n 's/^## /  make /p' Makefile $(wildcard tests/*.mk)

-include $(wildcard tests/*.mk)

# ---- Debian packages ---------------------------------------------------------------------------------------------

deps:
	@command -v $(CC) >/dev/null && command -v pkg-config >/dev/null && pkg-config --exists $(PKGS) && python3 -m pip --version >/dev/null 2>&1 || \
	    $(MAKE) --no-print-directory apt WANT="$(APT_RUN)"
deps-test:
	@command -v $(CC) >/dev/null && command -v tmux >/dev/null && command -v strace >/dev/null && command -v clang >/dev/null && \
	    command -v pkg-config >/dev/null && pkg-config --exists $(PKGS) cmocka && \
	    python3 -m pip --version >/dev/null 2>&1 || $(MAKE) --no-print-directory apt WANT="$(APT_TEST)"

.PHONY: apt
apt:
	@command -v apt-get >/dev/null || { echo "ponder: missing packages, and no apt-get here; install the equivalents of: $(WANT)" >&2; exit 1; }
	@if [ "$$(id -u)" = 0 ]; then su=; elif command -v sudo >/dev/null; then su="sudo -n"; else \
	    echo "ponder: missing packages; run as root: apt-get install $(WANT)" >&2; exit 1; fi; \
	echo "installing what is missing (Debian packages) ..." >&2; log=$$(mktemp); \
	if $$su env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -qq; apt-get install -y -qq --no-install-recommends $(WANT)' >$$log 2>&1 </dev/null; then rm -f $$log; else \
	    tail -n 3 $$log >&2; rm -f $$log; echo "ponder: installing failed; run as root: apt-get install $(WANT)" >&2; exit 1; fi

# ---- rules ---------------------------------------------------------------------------------------------------------

define folder_rules
OBJS_$(1) = $$(patsubst src/%.c,$(BUILD)/obj/%.o,$$(wildcard src/$(1)/*.c))
$(BUILD)/lib$(1).a: $$(OBJS_$(1))
	@rm -f $$@
	@ar rcs $$@ $$^
$(BUILD)/obj/$(1)/%.o: src/$(1)/%.c Makefile
	@mkdir -p $$(@D)
	@echo "  CC   src/$(1)/$$*.c"
	@$(CC) $(CFLAGS_ALL) $(EXTRA_$(1)) $$(OPT_OF_FILE) -c $$< -o $$@
$(BUILD)/tests/$(1)_%: tests/unit/$(1)_%.c $(call archives,$(BELOW_$(1)))
	@mkdir -p $$(@D)
	@echo "  TEST $$<"
	@$(CC) $(CFLAGS_ALL) -Itests -DPONDER_TEST $$< -o $$@ $(call archives,$(BELOW_$(1))) $(LDFLAGS_ALL) -lcmocka $(LIBS)
-include $$(OBJS_$(1):.o=.d)
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))
-include $(BUILD)/obj/main.d $(UNIT:=.d)

$(BUILD)/obj/main.o: src/main.c Makefile
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS_ALL) -c $< -o $@

$(PONDER): $(BUILD)/obj/main.o $(call archives,$(BELOW_cli))
	@echo "  LINK $@"
	@$(CC) $(CFLAGS_ALL) $^ -o $@ $(LDFLAGS_ALL) $(LIBS)
