#!/bin/sh
# Runs recipe.py with the Python that `make test-export-trl` installed; skips where there is none.
python=${EXPORT_PYTHON:-build/export/venv/bin/python}
"$python" -c 'import trl' 2>/dev/null || { echo "ok 1 - recipe # SKIP run make test-export-trl first"; echo "1..1"; exit 0; }
PYTHONDONTWRITEBYTECODE=1 exec "$python" tests/export/recipe.py
