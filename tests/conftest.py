"""Settings for every test: a numba cache of this session's own, because cached kernels do not see edits elsewhere."""

import os
import tempfile

import pytest

os.environ.setdefault("NUMBA_CACHE_DIR", tempfile.mkdtemp(prefix="sgdlinreg-numba-"))
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers of pytest-xdist share the cores


@pytest.fixture(autouse=True)
def blocks_stay_apart(request, monkeypatch):
    """Tests of blocks are about several of them, but small ones would be joined, as only tests of sources want it."""
    if "sources" not in request.path.parent.name:
        monkeypatch.setattr("sgdlinreg.sources.joined.SMALL_BYTES", 0)


def pytest_runtest_setup(item):
    """Skip what is marked gpu where there is none."""
    if item.get_closest_marker("gpu") and not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("no CUDA device")
