# Assay. `make help` lists the targets.
#
# Everything generated goes below build/: objects and the binary in build/, build/asan (SANITIZE=1), build/tsan
# (SANITIZE=thread) or build/fuzz (SANITIZE=fuzz, clang). Targets for people install what they need and then call make
# again for the targets that compile, so that pkg-config and FAISS are only asked when they are there.

VERSION := 0.1.0
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null)

PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 30
SANITIZE ?= 0
WERROR ?= 1
JOBS ?= $(shell nproc)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

# ---------------------------------------------------------------------------------------------------------- for people

.PHONY: help setup all run stop test bench lint format fuzz docker install clean distclean layers

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the Debian packages that building, running, testing and linting need
	@docker/setup.sh all

run: ## set up, build, and show the main job on a real corpus; leaves the server running
	@docker/setup.sh build run demo
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@docker/demo.sh

stop: ## stop what `make run` left running
	@docker/stop.sh

test: ## every test, on a throw-away PostgreSQL; SANITIZE=1: under ASan and UBSan, SANITIZE=thread: TSan
	@docker/setup.sh build run test
	@$(MAKE) --no-print-directory -j$(JOBS) all checks
	@tests/run.sh $(B) $(SANITIZE)

BENCH := load vectors pgload
bench: ## every bar of docs/performance.md, with its verdict; BENCH_ONLY=section,... for some
	@docker/setup.sh build run demo
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BENCH:%=build/bench/%)
	@bench/run.sh

lint: ## format, layers, banned calls, statics, clang-tidy, cppcheck
	@docker/setup.sh build test lint
	@$(MAKE) --no-print-directory -j$(JOBS) all checks
	@$(MAKE) --no-print-directory lint-format layers lint-banned lint-statics lint-cppcheck
	@$(MAKE) --no-print-directory -j$(JOBS) --output-sync=target --keep-going lint-tidy
	@echo "lint: clean"

format: ## rewrite the sources with clang-format
	@docker/setup.sh lint
	clang-format -i $(FORMATTED)

fuzz: ## run every fuzz target for FUZZ_SECONDS (30)
	@docker/setup.sh build test lint
	@$(MAKE) --no-print-directory -j$(JOBS) SANITIZE=fuzz CC=clang checks
	@tests/fuzz/run.sh build/fuzz $(FUZZ_SECONDS)

docker: ## build the container image
	docker build -f docker/Dockerfile -t assay:$(VERSION) .

install: all ## install below PREFIX (/usr/local), in DESTDIR
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/assay/migrations \
	    $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 build/assayd $(DESTDIR)$(PREFIX)/bin/assayd
	install -m 644 migrations/*.sql $(DESTDIR)$(PREFIX)/share/assay/migrations/
	install -m 644 build/openapi.json $(DESTDIR)$(PREFIX)/share/assay/openapi.json
	$(if $(CONSOLE),install -d $(DESTDIR)$(PREFIX)/share/assay/console)
	$(if $(CONSOLE),install -m 644 $(CONSOLE) $(DESTDIR)$(PREFIX)/share/assay/console/)
	sed 's|@PREFIX@|$(PREFIX)|g' docker/assayd.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/assayd.service
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/assayd.service

clean: ## remove what was built (the unpacked FAISS package and .assay/ stay)
	rm -rf $(filter-out build/faiss,$(wildcard build/*))

distclean: clean ## remove the unpacked FAISS package too
	rm -rf build

# ------------------------------------------------------------------------------------------------------------- sources

DIRS := base store ingest index quality outbound server handlers
SRC := $(filter-out server/main.c,$(wildcard $(DIRS:%=%/*.c)))
SRC_CXX := $(wildcard index/*.cpp index/*.cc ingest/*.cpp ingest/*.cc)
HEADERS := $(wildcard $(DIRS:%=%/*.h))
UNIT := $(wildcard tests/unit/test_*.c)
FUZZERS := $(wildcard tests/fuzz/fuzz_*.c)
TEST_SUPPORT := $(filter-out $(UNIT) $(FUZZERS),$(wildcard tests/unit/*.c tests/fuzz/*.c))
CONSOLE := $(wildcard console/*.*)
FORMATTED = $(SRC) $(SRC_CXX) $(HEADERS) $(wildcard server/main.c index/faiss_compat.c tests/unit/*.[ch] tests/fuzz/*.[ch] bench/*.[ch])

# --------------------------------------------------------------------------------------------------------------- flags

B := build
SANITIZERS :=
CFLAGS ?= -O2 -g
CXXFLAGS ?= $(CFLAGS)
ifeq ($(SANITIZE),1)
B := build/asan
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
else ifeq ($(SANITIZE),thread)
B := build/tsan
SANITIZERS := -fsanitize=thread
else ifeq ($(SANITIZE),fuzz)
B := build/fuzz
SANITIZERS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
else ifneq ($(SANITIZE),0)
$(error SANITIZE is 1, thread or fuzz)
endif

ifeq ($(SANITIZERS),)
HARDENING := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection
else
override CFLAGS := -O1 -g -fno-omit-frame-pointer
override CXXFLAGS := $(CFLAGS)
endif

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wvla -Wformat=2 -Wundef -Wcast-qual -Wwrite-strings \
    -Wpointer-arith -Wimplicit-fallthrough -Wno-format-zero-length
# What GCC finds out by following the flow of values gives false alarms on instrumented code.
ifeq ($(SANITIZERS),)
WARNINGS += $(if $(filter 1,$(WERROR)),-Werror)
WARNINGS_C := -Wstrict-prototypes -Wmissing-prototypes -Wnull-dereference
else
WARNINGS += -Wno-format-truncation -Wno-unknown-warning-option
WARNINGS_C := -Wstrict-prototypes -Wmissing-prototypes -Wno-stringop-truncation -Wno-maybe-uninitialized
endif
CPPFLAGS_ALL = -I. -D_GNU_SOURCE $(PKG_CPPFLAGS) $(FAISS_CPPFLAGS) $(CPPFLAGS)
CFLAGS_ALL = -std=c17 $(CFLAGS) $(WARNINGS) $(WARNINGS_C) -fPIE -fno-common -pthread $(HARDENING) $(SANITIZERS)
# FAISS's macros expand to conversions in our sources. No fuzz target calls C++, and FAISS's headers want GCC's OpenMP, so
# that there GCC compiles it, plainly.
CXXFLAGS_ALL = -std=c++17 $(CXXFLAGS) $(WARNINGS) -Wno-sign-conversion -fPIE -pthread $(HARDENING) \
    $(if $(filter fuzz,$(SANITIZE)),,$(SANITIZERS))
LDFLAGS_ALL = -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack $(SANITIZERS) $(LDFLAGS)

# ----------------------------------------------------------------------------------------------- libraries and the build

# The targets below compile; only for them the libraries are looked up.
BUILDING := $(filter all checks lint-tidy lint-cppcheck install build/%,$(MAKECMDGOALS))
ifneq ($(BUILDING),)

PACKAGES := libmicrohttpd jansson libpq libcrypto libssl libcurl libarchive libxml-2.0 libcmark-gfm libutf8proc \
    libxxhash zlib
ifneq ($(shell pkg-config --exists $(PACKAGES) && echo yes),yes)
$(error Some development packages are missing; `make setup` installs them)
endif
# Headers of others are not held to our warnings.
PKG_CPPFLAGS := $(patsubst -I%,-isystem%,$(filter-out -I/usr/include -I/usr/include/%-linux-gnu, \
    $(shell pkg-config --cflags $(PACKAGES))))
PKG_LIBS := $(shell pkg-config --libs $(PACKAGES)) -lroaring -lstemmer -lcld2

CLANG_CPPFLAGS := -idirafter tests/lint/clang # clang has no omp.h of its own
ifneq ($(findstring clang,$(CC)),)
PKG_CPPFLAGS += $(CLANG_CPPFLAGS)
endif

include build/faiss.mk
LIBS = $(COMPAT) $(FAISS_LIBS) $(PKG_LIBS) -lopenblas -lgomp -lstdc++ -lm

endif

# FAISS's distance functions that index/faiss_shim.cc has faster ones for. In an own copy of the archive they are weak.
FAISS_OURS := _ZN5faiss10fvec_L2sqrEPKfS1_m _ZN5faiss18fvec_inner_productEPKfS1_m \
    _ZN5faiss18fvec_L2sqr_batch_4EPKfS1_S1_S1_S1_mRfS2_S2_S2_ \
    _ZN5faiss26fvec_inner_product_batch_4EPKfS1_S1_S1_S1_mRfS2_S2_S2_

# Written once: where FAISS is, and which functions of newer C and C++ run-time libraries its archive asks for in vain
# here (it was compiled on Debian 13; index/faiss_compat.c has them).
build/faiss.mk: docker/faiss.sh Makefile
	@mkdir -p build
	@prefix=$$(docker/faiss.sh build/faiss) && { \
	    lib=$$(ls -d $$prefix/lib/libfaiss_c.* $$prefix/lib/*/libfaiss_c.* 2>/dev/null | sort | head -n 1); \
	    [ "$$prefix" = /usr ] || echo "FAISS_CPPFLAGS := -isystem$$prefix/include"; \
	    case $$lib in \
	    *.a) objcopy $(FAISS_OURS:%=--weaken-symbol=%) $${lib%_c.a}.a build/libfaiss.a; \
	        echo "FAISS_LIBS := $$lib build/libfaiss.a" ;; \
	    *) echo "FAISS_LIBS := -L$${lib%/*} -Wl,-rpath,$${lib%/*} -lfaiss_c -lfaiss" ;; \
	    esac; \
	    lacks() { ! printf 'int f(void) __asm__("%s");int main(void){return f();}' $$1 | \
	        $(CC) -x c - -o build/probe -lstdc++ 2>/dev/null; }; \
	    lacks __isoc23_strtol && echo "FAISS_COMPAT += -DFAISS_COMPAT_ISOC23"; \
	    lacks __cxa_call_terminate && echo "FAISS_COMPAT += -DFAISS_COMPAT_CALL_TERMINATE"; \
	    rm -f build/probe; \
	} > $@

SRC := $(filter-out index/faiss_compat.c,$(SRC))
COMPAT := $(if $(FAISS_COMPAT),$(B)/obj/index/faiss_compat.o)
OBJ := $(SRC:%.c=$(B)/obj/%.o) $(SRC_CXX:%=$(B)/obj/%.o)
UNIT_BIN := $(UNIT:%.c=$(B)/%)
FUZZ_BIN := $(FUZZERS:%.c=$(B)/%)

.PHONY: checks
.SECONDARY:
all: $(B)/assayd build/openapi.json ## compile assayd (run `make setup` first)
	@:
checks: $(if $(filter fuzz,$(SANITIZE)),,$(UNIT_BIN)) $(FUZZ_BIN)
	@:

$(B)/assayd: $(B)/obj/server/main.o $(B)/libassay.a | $(COMPAT)
	@echo "  link    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@.new $^ $(LIBS) && mv -f $@.new $@ # a server that runs keeps its file

# Members are appended, not replaced: files of different folders may have one name.
$(B)/libassay.a: $(OBJ)
	@rm -f $@.new
	@$(AR) qcs $@.new $^ && mv -f $@.new $@

$(B)/obj/%.o: %.c Makefile build/faiss.mk
	@mkdir -p $(@D)
	@echo "  cc      $<"
	@$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(EXTRA_FLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/%.cpp.o: %.cpp Makefile build/faiss.mk
	@mkdir -p $(@D)
	@echo "  c++     $<"
	@$(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/obj/%.cc.o: %.cc Makefile build/faiss.mk
	@mkdir -p $(@D)
	@echo "  c++     $<"
	@$(CXX) $(CPPFLAGS_ALL) $(CXXFLAGS_ALL) -MMD -MP -c -o $@ $<

# Scores are to come out the same on every machine.
$(B)/obj/quality/%.o: EXTRA_FLAGS := -ffp-contract=off
$(B)/obj/index/lsa.o $(B)/obj/index/feedback.o: EXTRA_FLAGS := -ffp-contract=off
$(B)/obj/index/lsa_train.o: EXTRA_FLAGS := -ffp-contract=off $(if $(SANITIZERS),,-O3)
$(B)/obj/index/faiss_compat.o: EXTRA_FLAGS = $(FAISS_COMPAT)
$(B)/obj/server/version.o: EXTRA_FLAGS := -DASSAY_VERSION='"$(VERSION)"' -DASSAY_COMMIT='"$(or $(COMMIT),unknown)"'
$(B)/obj/server/config.o: EXTRA_FLAGS := -DASSAY_SHARE_DIR='"$(PREFIX)/share/assay"'
$(B)/obj/server/version.o: $(B)/commit
$(B)/obj/server/config.o: $(B)/prefix

# Touched only when what they hold changes, so that nothing else is compiled again.
$(B)/commit: HOLDS := $(VERSION) $(COMMIT)
$(B)/prefix: HOLDS := $(PREFIX)
$(B)/commit $(B)/prefix: FORCE
	@mkdir -p $(@D)
	@echo '$(HOLDS)' | cmp -s - $@ || echo '$(HOLDS)' > $@
.PHONY: FORCE

# The contract as the server reads and serves it.
build/openapi.json: openapi/openapi.yaml
	@mkdir -p $(@D)
	@echo "  json    $<"
	@python3 -c 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout, ensure_ascii=False)' < $< > $@

build/bench/vectors: build/obj/bench/vectors.o build/libassay.a | $(COMPAT)
	@mkdir -p $(@D)
	@echo "  link    $@"
	@$(CC) $(LDFLAGS_ALL) -Wl,-u,faiss_shim_new -o $@ $^ $(LIBS) # FAISS with our kernels
build/obj/bench/vectors.o: EXTRA_FLAGS := -fopenmp
build/bench/load build/bench/pgload: build/bench/%: build/obj/bench/%.o
	@mkdir -p $(@D)
	@echo "  link    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(if $(filter %/pgload,$@),-lpq)

$(UNIT_BIN): $(B)/%: $(B)/obj/%.o $(B)/libassay.a | $(COMPAT)
	@mkdir -p $(@D)
	@echo "  link    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka $(LIBS)

ifeq ($(SANITIZE),fuzz)
$(FUZZ_BIN): LDFLAGS_ALL += -fsanitize=fuzzer
else
$(FUZZ_BIN): $(B)/obj/tests/fuzz/replay.o
endif
$(FUZZ_BIN): $(B)/%: $(B)/obj/%.o $(B)/libassay.a | $(COMPAT)
	@mkdir -p $(@D)
	@echo "  link    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

-include $(OBJ:.o=.d) $(B)/obj/server/main.d $(UNIT:%.c=$(B)/obj/%.d) $(FUZZERS:%.c=$(B)/obj/%.d) \
    $(TEST_SUPPORT:%.c=$(B)/obj/%.d)

# ---------------------------------------------------------------------------------------------------------------- lint

.PHONY: lint-format lint-banned lint-statics lint-cppcheck lint-tidy

lint-format:
	@clang-format --dry-run -Werror $(FORMATTED)

layers: ## check that dependencies go one way
	@tests/lint/layers.sh

lint-banned:
	@tests/lint/banned.sh

lint-statics:
	@tests/lint/statics.sh $(B)/obj

lint-cppcheck:
	@mkdir -p build/lint/cppcheck
	@cppcheck --quiet --error-exitcode=1 --std=c11 -j$(JOBS) --cppcheck-build-dir=build/lint/cppcheck \
	    --enable=warning,performance,portability --inline-suppr --suppressions-list=tests/lint/cppcheck.txt \
	    --library=posix -I. -D_GNU_SOURCE '-Djson_object_foreach(o,k,v)=for(k=f(o);(v=g(k));)' \
	    '-Djson_array_foreach(a,i,v)=for(i=0;(v=g(a,i));i++)' $(SRC) $(wildcard server/main.c)

# One stamp for each source, younger than its object, so that only what changed is looked at again.
TIDY := $(SRC) $(wildcard server/main.c)
lint-tidy: $(TIDY:%=build/lint/%.tidy)
build/lint/%.c.tidy: $(B)/obj/%.o .clang-tidy
	@mkdir -p $(@D)
	@clang-tidy --quiet $*.c -- -std=c17 $(CPPFLAGS_ALL) $(CLANG_CPPFLAGS) -DASSAY_VERSION='""' -DASSAY_COMMIT='""' -Wno-everything \
	    2> $@.log || { cat $@.log; exit 1; }
	@touch $@
