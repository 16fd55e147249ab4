import os
import shutil
import subprocess
import sys
from collections import Counter
from itertools import permutations

import numpy as np
import pytest

module = pytest.importorskip("sgdlinreg._core.numba_loops")
permutation = module.permutation


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 1000, 100_003])
@pytest.mark.parametrize("seed", [0, 1, -1, 2**63, 2**64 - 1, 2**80 + 5, np.int64(7)])
def test_every_number_once(n, seed):
    order = permutation(n, seed)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    np.testing.assert_array_equal(order, permutation(n, seed))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("first_seed", [0, 2**40])
def test_all_permutations_are_as_likely(n, first_seed):
    expected = 200
    orders = list(permutations(range(n)))
    n_seeds = expected * len(orders)
    counts = Counter(tuple(permutation(n, first_seed + seed).tolist()) for seed in range(n_seeds))
    statistic = sum((counts[order] - expected) ** 2 for order in orders) / expected
    freedom = len(orders) - 1
    assert abs(statistic - freedom) < 4.0 * np.sqrt(2.0 * freedom)  # too even is not random either
    assert sum(counts.values()) == n_seeds


def test_every_place_is_as_likely():
    n, n_seeds = 20, 4000
    counts = np.zeros((n, n))
    for seed in range(n_seeds):
        counts[np.arange(n), permutation(n, seed)] += 1
    statistic = ((counts - n_seeds / n) ** 2).sum() / (n_seeds / n)
    freedom = (n - 1) ** 2
    assert abs(statistic - freedom) < 4.0 * np.sqrt(2.0 * freedom)


def test_seeds_that_are_close_have_nothing_in_common():
    n = 10_000
    orders = [permutation(n, seed) for seed in range(5)]
    for i, first in enumerate(orders):
        assert abs(np.corrcoef(first, np.arange(n))[0, 1]) < 4.0 / np.sqrt(n)
        assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 4.0 / np.sqrt(n)
        for second in orders[:i]:
            assert abs(np.corrcoef(first, second)[0, 1]) < 4.0 / np.sqrt(n)
            assert np.count_nonzero(first == second) < 10


def test_no_seed_stops_the_generator():
    seed = -0x9E3779B97F4A7C15  # what the mixing makes 0 of
    assert module._mix(seed) == 1
    assert not np.array_equal(permutation(100, seed), np.arange(100))


def test_without_compilation():
    program = "from sgdlinreg._core.numba_loops import permutation; print(permutation(50, 3).tolist())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
    )
    assert done.stdout.strip() == str(permutation(50, 3).tolist())


def run(folder, *options):
    return subprocess.run(
        [sys.executable, *options, "-c", "from sgdlinreg._core.numba_loops import permutation; permutation(9, 3)"],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder)},
    ).stderr


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    run(folder, "-W", "error")
    return folder


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["empty", "junk", "cut", "a folder"])
def test_damaged_files_of_the_cache_cost_a_compilation_and_one_warning(warm, tmp_path, kind, damage):
    shutil.copytree(warm, tmp_path, dirs_exist_ok=True)
    (file,) = tmp_path.rglob(f"*.{kind}")
    content = file.read_bytes()
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    else:
        file.write_bytes({"empty": b"", "junk": b"\x80\x04junk" * 9, "cut": content[: len(content) // 2]}[damage])
    told = run(tmp_path)
    assert told.count("Warning") == 1
    assert f"A file in {file.parent}, where numba keeps compiled functions, cannot be used: " in told
    assert "delete that folder" in told
    if damage == "cut":
        assert not run(tmp_path, "-W", "error")  # it was replaced
