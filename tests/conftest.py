"""Settings for every test: a numba cache of this session's own, because cached kernels do not see edits elsewhere."""

import os
import tempfile

os.environ.setdefault("NUMBA_CACHE_DIR", tempfile.mkdtemp(prefix="sgdlinreg-numba-"))
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers of pytest-xdist share the cores
