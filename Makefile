# The two commands of the README are `make run` and `make test`; both set the machine up first, quickly the second time.
PYTHON ?= python3
# On Linux without an NVIDIA GPU, TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu" saves gigabytes of CUDA.
TORCH_ARGS ?=
export PYTHON TORCH_ARGS

.PHONY: help setup run test lint format lock pocket-model clean

help:
	@sed -n 's/^## //p' Makefile

## make run     set up, start the worker and the bot, print the page's address
run: setup
	@exec .venv/bin/python -m bot.cli run

## make test    set up, run the whole test suite
test: setup
	@.venv/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes \
	  -r requirements/evaluate.txt -r requirements/lmms.txt
	@exec .venv/bin/python -m pytest -n 2 --dist loadfile

## make setup   .venv with pinned, hashed packages and the pocket weights
setup:
	@sh requirements/install.sh

## make lint    ruff, and mypy --strict on bot/ and model/
lint: setup
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m ruff format --check .
	@.venv/bin/python -m mypy

## make format  let ruff put the code in order
format: setup
	@.venv/bin/python -m ruff check --fix .
	@.venv/bin/python -m ruff format .

## make lock    resolve the newest allowed versions into requirements/lock.txt (needs uv)
lock:
	uv pip compile pyproject.toml --extra bot --extra model --extra training --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-package torch --no-header --upgrade --output-file requirements/lock.txt
	uv pip compile pyproject.toml --extra evaluate --constraint requirements/lock.txt --universal --python-version 3.11 \
	  --generate-hashes --no-header --upgrade --output-file requirements/evaluate.txt
	uv pip compile pyproject.toml --extra lmms --constraint requirements/lock.txt --universal --python-version 3.11 \
	  --generate-hashes --no-header --upgrade --output-file requirements/lmms.txt

## make pocket-model  train the adapter that comes along for pocket again, from nothing: hours on two cores
pocket-model: setup
	.venv/bin/jnana data pocket --to data/training/pocket
	.venv/bin/jnana train align pocket --to runs/pocket-align
	.venv/bin/jnana train instruct pocket --to runs/pocket-instruct --set start=runs/pocket-align/artefact
	.venv/bin/jnana train instruct pocket-served --to runs/pocket --set start=runs/pocket-instruct/artefact
	rm -f runs/pocket.zip
	.venv/bin/jnana adapters export runs/pocket/artefact runs/pocket.zip --half
	rm -rf model/shipped/pocket
	.venv/bin/python -m zipfile -e runs/pocket.zip model/shipped

## make clean   remove what set-up made (.venv); your data folder stays
clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
