#!/bin/sh
# Runs trl_labels.py with the Python that `make test-export` installed; skips where there is none.
python=${EXPORT_PYTHON:-build/export/venv/bin/python}
[ -x "$python" ] || { echo "ok 1 - trl # SKIP run make test-export first"; echo "1..1"; exit 0; }
PYTHONDONTWRITEBYTECODE=1 exec "$python" tests/export/trl_labels.py
