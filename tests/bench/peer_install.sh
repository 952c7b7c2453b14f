#!/usr/bin/env bash
# Installs llama.cpp, through its Python binding, for measurements beside it: DIR/gcc and, where the processor has AMX, DIR/clang.
# usage: tests/bench/peer_install.sh DIR      about 10 minutes a variant on two cores; what is there already stays
#
# gcc builds with AMX off: gcc 12's AMX build of this version dies in ldtilecfg. clang 14's lives.
set -euo pipefail
version=0.3.36
dir=${1:?usage: peer_install.sh DIR}

install_variant() { # NAME CC CXX FLAGS
    local at=$dir/$1
    if "$at/bin/python" -c 'import llama_cpp' 2>/dev/null; then return; fi
    command -v "$3" >/dev/null || { echo "peer: $3 is missing" >&2; exit 1; }
    echo "building llama-cpp-python $version with $2 ..." >&2
    rm -rf "$at"
    mkdir -p "$dir"
    python3 -m venv "$at"
    CC=$2 CXX=$3 CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) \
    CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_CURL=OFF -DCMAKE_C_FLAGS='$4' -DCMAKE_CXX_FLAGS='$4'" \
        "$at/bin/pip" install -q --disable-pip-version-check --no-cache-dir --no-binary llama-cpp-python "llama-cpp-python==$version"
}

install_variant gcc gcc g++ "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
if grep -q amx_int8 /proc/cpuinfo; then install_variant clang clang-14 clang++-14 ""; fi
