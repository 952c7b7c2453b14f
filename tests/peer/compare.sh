#!/bin/sh
# Runs compare.py with the Pythons that `make test-peer` found or installed; skips where there is no peer.
tools=${PEER_TOOLS_PYTHON:-build/peer/venv/bin/python}
PEER_PYTHON=${PEER_PYTHON:-$tools}
export PEER_PYTHON
"$tools" -c 'import gguf' 2>/dev/null && "$PEER_PYTHON" -c 'import llama_cpp' 2>/dev/null || {
    echo "ok 1 - beside llama.cpp # SKIP run make test-peer first"
    echo "1..1"
    exit 0
}
PYTHONDONTWRITEBYTECODE=1 exec "$tools" tests/peer/compare.py "$@"
