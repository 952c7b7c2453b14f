# ponder - build, run and test. `make help` lists the targets.
#
# Everything made lands in $(BUILD). Sources are found by folder: src/NAME/*.c becomes NAME's archive, and each
# tests/unit/NAME_*.c a test program that may link NAME's archive and those below it.

BUILD   ?= build
PREFIX  ?= /usr/local
CC      ?= gcc
OPT     ?= -O2 -g
SANITIZE ?=

PKGS     = ncursesw readline openblas sqlite3 libutf8proc md4c inih jansson libcrypto
APT      = gcc libc6-dev pkg-config python3 python3-pip tmux libncurses-dev libreadline-dev libopenblas-dev libsqlite3-dev \
           libutf8proc-dev libmd4c-dev libinih-dev libjansson-dev libssl-dev libseccomp-dev libcurl4-openssl-dev libcmocka-dev

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
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE -Isrc $(OPT) $(WARN) $(HARDEN) -pthread -MMD -MP $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CFLAGS)
LIBS     = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm -pthread
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)

FOLDERS  = base model store chat ui cli
CONVERSION_base = -Wconversion
CONVERSION_model = -Wconversion
CONVERSION_store = -Wconversion
BELOW_base  = base
BELOW_model = model base
BELOW_store = store base
BELOW_chat  = chat model store base
BELOW_ui    = ui chat model store base
BELOW_cli   = cli ui chat model store base
archives = $(foreach f,$(1),$(BUILD)/lib$(f).a)

PONDER   = $(BUILD)/ponder
TESTS    = $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*.c))

all: deps $(PONDER)

define folder_rules
OBJS_$(1) = $$(patsubst src/%.c,$(BUILD)/obj/%.o,$$(wildcard src/$(1)/*.c))
$(BUILD)/lib$(1).a: $$(OBJS_$(1))
	@rm -f $$@
	@ar rcs $$@ $$^
$(BUILD)/obj/$(1)/%.o: src/$(1)/%.c Makefile
	@mkdir -p $$(@D)
	$(CC) $(CFLAGS_ALL) $(CONVERSION_$(1)) -c $$< -o $$@
$(BUILD)/tests/$(1)_%: tests/unit/$(1)_%.c $(call archives,$(BELOW_$(1)))
	@mkdir -p $$(@D)
	$(CC) $(CFLAGS_ALL) -Itests $$< -o $$@ $(call archives,$(BELOW_$(1))) $(LDFLAGS_ALL) -lcmocka $(LIBS)
-include $$(OBJS_$(1):.o=.d)
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))
-include $(BUILD)/obj/main.d $(TESTS:=.d)

$(BUILD)/obj/main.o: src/main.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -c $< -o $@

$(PONDER): $(BUILD)/obj/main.o $(call archives,$(BELOW_cli))
	$(CC) $(CFLAGS_ALL) $^ -o $@ $(LDFLAGS_ALL) $(LIBS)

.PHONY: all deps
deps:
	@true
