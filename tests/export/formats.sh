#!/bin/sh
# Runs formats.py with the Python that `make test-export` installed; skips where there is none.
python=${EXPORT_PYTHON:-build/export/venv/bin/python}
[ -x "$python" ] || { echo "ok 1 - formats # SKIP run make test-export first"; echo "1..1"; exit 0; }
PYTHONDONTWRITEBYTECODE=1 exec "$python" tests/export/formats.py
