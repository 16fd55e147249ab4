import numpy as np
import pytest
from scipy import sparse

from sgdlinreg.sources import joined as module
from sgdlinreg.sources.joined import joined


def cut(arrays, size):
    n_rows = arrays[0].shape[0]
    return [tuple(None if a is None else a[i : i + size] for a in arrays) for i in range(0, n_rows, size)]


def problem(n_rows=1000, weighted=True, csr=False):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, 3)) * (rng.random((n_rows, 3)) < 0.5)
    return sparse.csr_array(X) if csr else X, rng.standard_normal(n_rows), rng.random(n_rows) if weighted else None


def dense(X):
    return X.toarray() if sparse.issparse(X) else X


@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_small_blocks_become_one(csr, weighted):
    arrays = problem(weighted=weighted, csr=csr)
    [(block, first, last)] = joined(cut(arrays, 8))
    assert (first, last) == (0, 124)
    for part, expected in zip(block, arrays, strict=True):
        if expected is None:
            assert part is None
        else:
            np.testing.assert_array_equal(dense(part), dense(expected))


def test_the_size_is_bounded_and_large_blocks_are_not_copied(monkeypatch):
    monkeypatch.setattr(module, "JOINED_BYTES", 2400)
    monkeypatch.setattr(module, "SMALL_BYTES", 1200)
    X, y, _ = problem()  # 24 bytes a row
    sizes = [(len(block[0]), first, last) for block, first, last in joined(cut((X, y, None), 8))]
    assert sizes == [(96, 12 * i, 12 * i + 11) for i in range(10)] + [(40, 120, 124)]
    large = X[:500], y[:500], None
    small = cut((X[500:], y[500:], None), 40)[:2]
    got = [block for block, _, _ in joined([small[0], large, *small])]
    assert [len(block[0]) for block in got] == [40, 500, 80]
    assert got[1][0] is large[0]


def test_blocks_of_one_array_that_is_written_anew():
    X, y, weight = problem()

    def blocks():
        buffer = np.empty((8, 3))
        for block in cut((X, y, weight), 8):
            buffer[:] = block[0]
            yield buffer, *block[1:]

    [(block, _, _)] = joined(blocks())
    np.testing.assert_array_equal(block[0], X)


@pytest.mark.parametrize(
    "odd",
    [
        lambda X, y: (X.astype(np.float32), y, None),
        lambda X, y: (X[:, :2], y, None),
        lambda X, y: (X, y[:, None], None),
        lambda X, y: (X, y.astype(np.float32), None),
        lambda X, y: (X, y, np.ones(len(y))),
        lambda X, y: (X, y[:-1], None),
        lambda X, y: (X.tolist(), y, None),
        lambda X, y: (X, y.tolist(), None),
        lambda X, y: (np.ma.array(X), y, None),
        lambda X, y: (X.astype(object), y, None),
        lambda X, y: (X, None, None),
        lambda X, y: (sparse.csr_array(X), y, None),
        lambda X, y: (sparse.csc_array(X), y, None),
        lambda X, y: (X[0], y, None),
    ],
)
def test_blocks_of_another_kind_stay_apart(odd):
    X, y, _ = problem(24)
    plain = cut((X, y, None), 8)
    other = odd(*plain[1][:2])
    got = [(block, first, last) for block, first, last in joined([plain[0], plain[0], other, plain[0]])]
    assert [(first, last) for _, first, last in got] == [(0, 1), (2, 2), (3, 3)]
    assert type(got[1][0][0]) is type(other[0])


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("csr", [False, True])
def test_blocks_that_are_not_finite_keep_their_number(part, csr):
    blocks = cut(problem(csr=csr), 8)
    (blocks[7][part].data if csr and part == 0 else blocks[7][part])[0] = np.nan
    got = list(joined(blocks))
    assert [(first, last) for _, first, last in got] == [(i, i) for i in range(125)]
    broken = [np.isnan(dense(block[part])).any() for block, _, _ in got]
    assert np.flatnonzero(broken).tolist() == [7]
