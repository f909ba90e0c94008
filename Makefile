# The two commands to begin with: `make faces` and `make test`. They need Python 3.11 or newer, git and make.
PYTHON ?= python3
BIN := .venv/bin
export MPLBACKEND ?= Agg
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PYTHONWARNINGS ?= ignore::SyntaxWarning
# What pip leaves uncompiled is compiled once, when it is first imported, and kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: faces test test-web test-slow test-oldest test-oldest-train setup notebooks docs preview wheel bench-peers lock clean

faces: .venv/.base
	@echo "== drawing 24 new faces with the pretrained bundle"
	$(BIN)/latentfaces generate --count 24 --seed 7 --out out

# Two notebooks at a time share the cores: with more than one thread each they would wait for one another.
test test-slow test-oldest test-oldest-train: export OMP_NUM_THREADS = 1
test test-slow test-oldest test-oldest-train: export OPENBLAS_NUM_THREADS = 1
test test-oldest test-oldest-train: export TF_NUM_INTRAOP_THREADS = 1
# TensorFlow tells the C library to return freed memory at once, for the rest of the process: NumPy would fetch it anew for
# every array, which takes up to twice the time. What lies above the last array in use is kept instead.
test: export MALLOC_TOP_PAD_ = 268435456
test: export MALLOC_MMAP_THRESHOLD_ = 33554432
test: .venv/.done
	@echo "== 1/3 are the modules what the notebooks export?"
	$(BIN)/python tools/check_export.py
	@echo "== 2/3 running every notebook"
	$(BIN)/nbdev_test --n_workers 2 --timing
	@echo "== 3/3 running the tests in tests/"
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests

# The explorer in Chromium; axe comes from npm, where it is there.
test-web: .venv/.done
	LATENTFACES_WEB=1 $(BIN)/python -m pytest -q -rs -s tests/test_explorer_web.py

test-slow: .venv/.done
	@echo "== ten million latent vectors (10 GB in the folder for temporary files, removed afterwards), two processes, one of them killed: about ten minutes"
	LATENTFACES_SLOW=1 $(BIN)/python -m pytest -q -s tests/test_distributed.py -k slow

# The lower bounds of settings.ini, as they stand: analysis, samplers, bundles and generation without Keras; then a short training.
OLDEST := .venv-oldest/bin
OLDEST_TESTS := core moments images labels drawn networks bundle distributions correlations gaussian pca ellipses sampling densities generation pictures plots alignment metrics

test-oldest: .venv-oldest/.done
	$(OLDEST)/python -m pytest -q -n 2 --dist loadfile $(OLDEST_TESTS:%=tests/test_%.py)

test-oldest-train: .venv-oldest/.done
	$(OLDEST)/python tools/oldest.py train >.venv-oldest/versions.txt
	$(OLDEST)/python -m pip install --disable-pip-version-check -r .venv-oldest/versions.txt
	rm -rf .venv-oldest/bundle
	$(OLDEST)/latentfaces train --data synthetic:200 --size 16 --filters 4-8 --latent-dim 8 --held-out 20 --epochs 2 --out .venv-oldest/bundle
	$(OLDEST)/python -m pytest -q -n 2 --dist loadfile tests/test_networks.py tests/test_bundle.py tests/test_training.py tests/test_flow.py
	rm .venv-oldest/.done  # with Keras in it, it is no longer what test-oldest needs

.venv-oldest/.done: tools/oldest.py setup.py settings.ini requirements-dev.lock
	@echo "== making .venv-oldest from the lower bounds of settings.ini (about 150 MB to download; with Keras and TensorFlow 300 MB more)"
	$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)) and 'the oldest versions are there for Python 3.11 and 3.12, this is %s: try make test-oldest PYTHON=python3.11' % sys.version.split()[0])"
	$(PYTHON) -m venv --clear .venv-oldest
	$(PYTHON) tools/oldest.py >.venv-oldest/versions.txt
	$(OLDEST)/python -m pip install --disable-pip-version-check -r .venv-oldest/versions.txt
	$(OLDEST)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --use-pep517 -e .
	@touch $@

setup: .venv/.done

.venv/.base: requirements.lock setup.py settings.ini
	@echo "== making .venv from requirements.lock (about 150 MB to download, once)"
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'latentfaces needs Python 3.11 or newer, this is %s: try make PYTHON=python3.11' % sys.version.split()[0])"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile --no-deps --no-build-isolation --use-pep517 -e .
	@touch $@

.venv/.done: .venv/.base requirements-dev.lock
	@echo "== adding Keras, TensorFlow, Jupyter and the tests' tools from requirements-dev.lock (about 400 MB more to download, once)"
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.lock
	@touch $@

notebooks: .venv/.done
	$(BIN)/python tools/run_notebooks.py

docs: .venv/.done
	$(BIN)/python tools/docs.py

preview: docs
	@echo "== http://127.0.0.1:8000 (Ctrl-C ends it)"
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _docs 8000

wheel: .venv/.done
	$(BIN)/python -m build --no-isolation --wheel --outdir dist .

bench-peers: .venv-peers/.done
	@echo "== latentfaces side by side with pythae, scikit-learn and NumPy: about half an hour on two cores, with nothing else running"
	.venv-peers/bin/python benchmarks/peers.py --out out/peers.md

.venv-peers/.done: benchmarks/peers.lock requirements-dev.lock setup.py settings.ini
	@echo "== making .venv-peers (on Linux several GB to download, unless pip finds a CPU build of torch)"
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --disable-pip-version-check -r benchmarks/peers.lock
	.venv-peers/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --use-pep517 -e .
	@touch $@

COMPILE := uv pip compile --universal --python-version 3.11 -q --no-header --no-annotate
lock:
	$(COMPILE) tools/requirements.in -o requirements.lock
	$(COMPILE) -c requirements.lock tools/requirements-dev.in -o requirements-dev.lock
	sed -i '1i # Exact versions for `make faces`; made by `make lock` from tools/requirements.in.' requirements.lock
	sed -i '1i # Exact versions for development, the notebooks and the tests; made by `make lock` from tools/requirements-dev.in.' requirements-dev.lock

clean:
	rm -rf out _proc _docs dist
