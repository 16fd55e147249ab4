"""What the package promises as a whole: lazy imports, layers, public names, versions."""

import ast
import graphlib
import importlib.metadata
import os
import pathlib
import pickle
import re
import subprocess
import sys
import tomllib
import types
import typing

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.utils._param_validation import StrOptions

import sgdlinreg
from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.optional import import_optional

from .helpers import make_problem, needs_torch, run_without

ROOT = pathlib.Path(sgdlinreg.__file__).parent
LAZY = {"torch", "triton", "dask", "pyarrow", "matplotlib", "pandas", "numba", "llvmlite", "skl2onnx"}

FLOORS = [
    {"_core"},
    {"_loop", "_solvers.closed_form", "_solvers.finish", "_solvers.sgd_numba", "_solvers.sgd_torch"},
    {"_solvers.sgd"},
    {"_solvers"},
    {"_edge"},
    {"sources", "_search", "displays"},
    {""},
    {"dask"},
]
"""Folders by floor, the lowest first: a module imports from its own folder and from lower floors."""


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), ast.parse(path.read_text())


def imports_of(tree, *, top_only, level=0):
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert level is None or node.level == level, "imports are absolute"
            yield from ((node.module or "", alias.name) for alias in node.names)


def folder_of(name, packages):
    return name if name in packages else name.rpartition(".")[0]


def imports_inside():
    """Pairs of modules of the package, the importing one first."""
    names = {name for name, _ in modules()}
    for name, tree in modules():
        for module, item in imports_of(tree, top_only=False):
            if module.split(".")[0] == "sgdlinreg":
                target = module.removeprefix("sgdlinreg").removeprefix(".")
                inner = f"{target}.{item}".removeprefix(".")
                yield name, inner if inner in names else target


def test_modules_import_from_their_own_folder_and_from_lower_floors():
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.rglob("__init__.py")}
    floors = {folder: floor for floor, folders in enumerate(FLOORS) for folder in folders}
    assert set(floors) == packages
    assert len(FLOORS) <= 8
    for name, target in imports_inside():
        folder, of_target = folder_of(name, packages), folder_of(target, packages)
        assert folder == of_target or floors[of_target] < floors[folder], f"{name} imports {target}"


def test_no_modules_import_each_other_in_a_circle():
    graph = {}
    for name, target in imports_inside():
        graph.setdefault(name, set()).add(target)
    assert graph
    list(graphlib.TopologicalSorter(graph).static_order())


def test_tests_mirror_modules():
    names = {name.replace("_solvers.", "").lstrip("_") for name, _ in modules()}
    here = pathlib.Path(__file__).parent
    found = [path.relative_to(here) for path in here.rglob("test_*.py") if path.parent != here]
    assert len(found) > 20
    assert not [path for path in found if ".".join([*path.parts[:-1], path.stem.removeprefix("test_")]) not in names]


def test_a_helper_stands_in_no_test_file():
    for path in pathlib.Path(__file__).parent.rglob("*.py"):
        for module, _ in imports_of(ast.parse(path.read_text()), top_only=False, level=None):
            assert not module.split(".")[-1].startswith("test_"), path


def test_optional_libraries_are_never_imported_at_the_top():
    for name, tree in modules():
        allowed = {library for library in ("numba", "triton") if library in name}
        allowed |= {"llvmlite"} if name == "_solvers.sgd_numba.prefetch" else set()
        top = {module.split(".")[0] for module, _ in imports_of(tree, top_only=True)}
        assert not top & (LAZY - allowed), name


def test_llvmlite_is_imported_in_one_module():
    found = {
        name
        for name, tree in modules()
        for module, _ in imports_of(tree, top_only=False)
        if module.split(".")[0] == "llvmlite"
    }
    assert found == {"_solvers.sgd_numba.prefetch"}


def test_solvers_do_not_import_scikit_learn():
    for name, tree in modules():
        if name == "_solvers.closed_form.constrained":  # coordinate descent
            continue
        if name.startswith(("_core", "_loop", "_solvers")):
            assert not any(module.startswith("sklearn") for module, _ in imports_of(tree, top_only=False)), name


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import sgdlinreg", LAZY),
        ("import sgdlinreg.displays", LAZY),
        ("import sgdlinreg; sgdlinreg.MiniBatchSGDRegressor().fit([[0.], [1.]], [0., 1.])", LAZY),
        (
            "import sgdlinreg; sgdlinreg.MiniBatchSGDRegressor(solver='numba').fit([[0.], [1.]], [0., 1.])",
            LAZY - {"numba", "llvmlite"},
        ),
    ],
)
def test_what_an_import_loads(code, absent):
    # scikit-learn itself imports pandas where it is installed
    check = f"import sys, sklearn.linear_model\nbefore = set(sys.modules)\n{code}"
    check += f"\nprint(sorted((set(sys.modules) - before) & {absent!r}))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_torch_is_optional(monkeypatch):
    X, y, _ = make_problem(0)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"solver='torch' needs 'torch'.*pip install 'sgdlinreg\[torch\]'"):
        MiniBatchSGDRegressor(solver="torch").fit(X, y)
    assert MiniBatchSGDRegressor().fit(X, y).solver_ == "normal_equation"
    assert MiniBatchSGDRegressor(solver="numba").fit(X, y).solver_ == "numba"


def test_dask_is_optional():
    program = "try:\n    import sgdlinreg.dask\nexcept ImportError as error:\n    print(error)\n"
    told = run_without(["dask"], program)
    assert re.search(r"sgdlinreg\.dask needs 'dask.*pip install 'sgdlinreg\[dask\]'", told)


def test_without_numba_all_but_its_solver_works(tmp_path):
    X, y, _ = make_problem(0, n_rows=20_000)
    fitted = MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X, y)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(fitted))
    np.savez(tmp_path / "data.npz", X=X, y=y)
    program = f"""
import pickle, numpy as np
from sgdlinreg import MiniBatchSGDRegressor
folder, shown = {str(tmp_path)!r}, dict()
data = np.load(folder + "/data.npz")
X, y = data["X"], data["y"]
for solver in ("auto", "normal_equation"):
    model = MiniBatchSGDRegressor(solver=solver).fit(X, y)
    assert model.solver_ == "normal_equation"
    shown[solver] = model.predict(X)
    shown["partial_" + solver] = MiniBatchSGDRegressor(solver=solver).partial_fit(X, y).predict(X)
    shown["small_" + solver] = MiniBatchSGDRegressor(solver=solver).fit(X[:20], y[:20]).predict(X)
with open(folder + "/model.pkl", "rb") as file:
    shown["numba"] = pickle.load(file).predict(X)
np.savez(folder + "/shown.npz", **shown)
for name, model in (("numba", MiniBatchSGDRegressor(solver="numba")), ("auto", MiniBatchSGDRegressor(loss="huber"))):
    try:
        model.fit(X, y)
    except ImportError as error:
        print(error, "coef_" in vars(model))
"""
    told = run_without(["numba", "llvmlite"], program).splitlines()
    assert len(told) == 2
    assert all(
        re.search("solver='numba' needs numba.*Use solver='normal_equation' or 'torch'.* False", t) for t in told
    )
    shown = np.load(tmp_path / "shown.npz")
    exact, few = LinearRegression().fit(X, y).predict(X), LinearRegression().fit(X[:20], y[:20]).predict(X)
    for name in shown:
        expected = fitted.predict(X) if name == "numba" else few if "small" in name else exact
        np.testing.assert_allclose(shown[name], expected, rtol=1e-9, err_msg=name)


@needs_torch
def test_torch_steps_without_numba_end_at_the_same_optimum():
    program = """
import numpy as np
from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.datasets import make_linear
X, y = make_linear(3000, coef=[2.0, -3.4, 0.5], random_state=0)
for shuffle in (True, "blocks", False):
    model = MiniBatchSGDRegressor(solver="torch", shuffle=shuffle, tol=1e-8, random_state=0).fit(X, y)
    print(np.abs(model.coef_ - MiniBatchSGDRegressor().fit(X, y).coef_).max() < 1e-7)
"""
    assert run_without(["numba", "llvmlite"], program).split() == ["True"] * 3


def test_a_broken_optional_library_tells_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "broken_library.py").write_text("import a_library_that_does_not_exist\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_library_that_does_not_exist"):
        import_optional("broken_library", "extra", "This test")


@needs_torch
@pytest.mark.parametrize("solver", ["auto", "torch"])
def test_a_device_that_is_not_there_is_an_error(solver):
    import torch

    device = "cuda:63" if torch.cuda.is_available() else "cuda"
    X, y, _ = make_problem(0)
    with pytest.raises(ValueError, match=r"device='cuda.*' is not available.*Use solver='numba'"):
        MiniBatchSGDRegressor(solver=solver, device=device).fit(X, y)
    with pytest.raises(ValueError, match="device='nonsense' is not available"):
        MiniBatchSGDRegressor(solver="torch", device="nonsense").fit(X, y)
    with pytest.raises(ValueError, match="device='meta' have no values"):
        MiniBatchSGDRegressor(solver="torch", device="meta").fit(X, y)


@pytest.mark.parametrize(("solver", "place"), [("numba", "on the CPU only"), ("normal_equation", "where X is")])
def test_solvers_of_the_cpu_refuse_a_device(solver, place):
    X, y, _ = make_problem(0)
    with pytest.raises(ValueError, match=f"solver='{solver}' runs {place}.*use solver='torch'"):
        MiniBatchSGDRegressor(solver=solver, device="cuda").fit(X, y)
    assert MiniBatchSGDRegressor(solver=solver, device="cpu").fit(X, y).solver_ == solver


@pytest.mark.gpu
def test_cuda_follows_the_cpu():
    X, y, weight = make_problem(1)
    fits = [
        MiniBatchSGDRegressor(solver="torch", device=device, random_state=0, tol=None, max_iter=5).fit(X, y, weight)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(fits[1].coef_, fits[0].coef_, rtol=1e-10)


def test_public_names_and_version():
    assert sgdlinreg.__all__ == ["MiniBatchSGDRegressor", "MiniBatchSGDRegressorCV", "__version__"]
    assert importlib.metadata.version("sgdlinreg") == sgdlinreg.__version__
    changelog = (ROOT.parent / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(.+?)\]", changelog, flags=re.MULTILINE)
    assert released[0] == ("Unreleased" if ".dev" in sgdlinreg.__version__ else sgdlinreg.__version__)


def test_the_script_that_type_checkers_read_runs():
    pytest.importorskip("matplotlib")
    done = subprocess.run([sys.executable, pathlib.Path(__file__).parent / "typing_script.py"], capture_output=True)
    assert not done.returncode, done.stderr.decode()
    assert (ROOT / "py.typed").exists()


def test_choices_in_types_are_those_that_are_checked():
    hints = typing.get_type_hints(MiniBatchSGDRegressor.__init__)
    for name, allowed in MiniBatchSGDRegressor._parameter_constraints.items():
        options = set().union(*(one.options for one in allowed if isinstance(one, StrOptions)))
        hint = hints[name]
        unions = [one for one in (hint, *typing.get_args(hint)) if typing.get_origin(one) is typing.Literal]
        assert {value for one in unions for value in typing.get_args(one)} == options, name
        assert (None in allowed) == (types.NoneType in typing.get_args(hint)) or name == "random_state", name


def test_every_documented_attribute_has_a_type():
    attributes = MiniBatchSGDRegressor.__doc__.split("    Attributes\n")[1].split("    See Also\n")[0]
    names = re.findall(r"^    (\w+) : ", attributes, flags=re.MULTILINE)
    assert len(names) > 20
    for name in names:
        found = getattr(MiniBatchSGDRegressor, name, None)
        assert name in MiniBatchSGDRegressor.__annotations__ or "return" in found.fget.__annotations__, name


def test_the_oldest_versions_are_the_minimums():
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    required = [*project["dependencies"], *extras["plot"], *extras["onnx"], *extras["test"]]
    required = [re.sub(r"\[.*\]", "", requirement.partition(";")[0]) for requirement in required]
    minimums = dict(requirement.strip().split(">=") for requirement in required)
    minimums.pop("triton")  # comes with torch
    lines = (ROOT.parent / "constraints-oldest.txt").read_text().splitlines()
    oldest = dict(line.split("==") for line in lines if "==" in line)
    assert oldest.keys() == minimums.keys()
    for name, minimum in minimums.items():
        assert (oldest[name] + ".0").startswith(minimum + "."), name
        assert not oldest[name].removeprefix(minimum).strip(".0"), name


def test_runs_without_compilation():
    """NUMBA_DISABLE_JIT=1 is what people set to debug."""
    program = (
        "import numpy as np, scipy.sparse as sp\n"
        "from sgdlinreg import MiniBatchSGDRegressor\n"
        "from sgdlinreg.datasets import make_linear\n"
        "X, y = make_linear(60, random_state=0)\n"
        "dense = MiniBatchSGDRegressor(solver='numba', max_iter=3, tol=None, random_state=0).fit(X, y)\n"
        "sparse = MiniBatchSGDRegressor(solver='numba', max_iter=3, tol=None, random_state=0).fit(sp.csr_array(X), y)\n"
        "assert dense.score(X, y) > 0.5 and sparse.score(X, y) > 0.5\n"
        "from sgdlinreg._solvers.sgd_numba import kernel\n"
        "kernel.LARGE_BATCH_BYTES = 0\n"
        "assert MiniBatchSGDRegressor(solver='numba', n_jobs=2, random_state=0).fit(X, y).score(X, y) > 0.99\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"NUMBA_DISABLE_JIT": "1"})


@pytest.mark.parametrize("parameters", [{}, {"eta0": 0.01}, {"penalty": "l2", "alpha": 0.1}])
def test_plain_steps_without_compilation_are_those_with_it(parameters):
    program = (
        "import sys, numpy as np\n"
        "from sgdlinreg import MiniBatchSGDRegressor\n"
        "rng = np.random.default_rng(0)\n"
        "X = rng.standard_normal((200, 6)) + 1.0\n"
        "y = X.sum(axis=1) + rng.standard_normal(200)\n"
        f"model = MiniBatchSGDRegressor(solver='numba', max_iter=2, tol=None, random_state=0, **{parameters!r})\n"
        "print([*model.fit(X, y).coef_.tolist(), float(model.intercept_)])\n"
    )
    found = [
        ast.literal_eval(
            subprocess.run(
                [sys.executable, "-c", program],
                check=True,
                capture_output=True,
                text=True,
                env=os.environ | {"NUMBA_DISABLE_JIT": flag},
            ).stdout
        )
        for flag in "01"
    ]
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_runs_where_compiled_kernels_can_be_written_nowhere():
    """As in a container with a read-only root and no home."""
    program = (
        "from numba.core import caching\n"
        "caching.FunctionCache._impl_class._locator_classes = []\n"
        "from sgdlinreg import MiniBatchSGDRegressor\n"
        "from sgdlinreg.datasets import make_linear\n"
        "X, y = make_linear(60, random_state=0)\n"
        "model = MiniBatchSGDRegressor(solver='numba', random_state=0).fit(X, y)\n"
        "assert model.score(X, y) > 0.99\n"
        "from sgdlinreg._solvers.sgd_numba import batches\n"
        "assert not batches.run_batches.stats.cache_path\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
