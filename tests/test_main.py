"""The demonstration and the data sets."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from sgdlinreg import __main__, datasets


def test_demonstration(monkeypatch, capsys, tmp_path):
    small = datasets.make_sensor_readings
    monkeypatch.setattr(__main__, "make_sensor_readings", lambda **kwargs: small(2000, **kwargs))
    monkeypatch.setattr(__main__.importlib.util, "find_spec", lambda name: None)
    __main__.main(["--picture", str(tmp_path / "demo.png")])
    out = capsys.readouterr().out
    assert "pip install 'sgdlinreg[torch]'" in out
    assert "pip install 'sgdlinreg[plot]'" in out
    rows = [line for line in out.splitlines() if line.startswith("  sgdlinreg, numba")]
    assert len(rows) == 3
    assert all(float(row.split()[2]) > 0.5 for row in rows)
    assert all(float(row.split()[3]) < 1e-5 for row in rows)
    diverged = [line.split() for line in out.splitlines() if line.startswith("  SGDRegressor, defaults")][1]
    assert float(diverged[2]) < -1e3
    assert float(diverged[3]) > 1e3


def test_columns_are_aligned(capsys):
    X, y = datasets.make_linear(300, noise=1.0, random_state=0)
    __main__.fit_and_print("a problem", X, y, None)
    head, *rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) >= 4
    for column in ("R2 missing", "coef error", "seconds"):
        end = head.index(column) + len(column)
        assert all(row[end - 1] != " " and row[end : end + 1] in ("", " ") for row in rows)


def test_rows_of_the_same_layout_are_fitted_before_the_time_runs():
    fitted = []

    class Recorder:
        def fit(self, X, y):
            fitted.append((len(X), X.flags.f_contiguous))

    X = np.asfortranarray(np.zeros((2000, 3)))
    assert __main__.seconds_of_fit(Recorder(), X, np.zeros(2000)) >= 0.0
    assert fitted == [(500, True), (2000, True)]


def test_least_squares():
    X, y = datasets.make_linear(300, noise=1.0, random_state=0)
    coef, r2 = __main__.least_squares(X, y)
    reference = LinearRegression().fit(X, y)
    np.testing.assert_allclose(coef, reference.coef_, rtol=1e-10)
    assert r2 == pytest.approx(reference.score(X, y), rel=1e-12)


def test_picture(tmp_path):
    pytest.importorskip("matplotlib")
    __main__.draw(tmp_path / "demo.png")
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_make_linear():
    X, y = datasets.make_linear(5000, coef=[1.0, -2.0, 0.5], intercept=-1.0, noise=0.1, random_state=0)
    residual = y - X @ [1.0, -2.0, 0.5] + 1.0
    assert residual.std() == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(X, datasets.make_linear(5000, coef=[1.0, -2.0, 0.5], random_state=0)[0])


def test_make_sensor_readings():
    X, y, coef, intercept = datasets.make_sensor_readings(5000, random_state=0)
    assert X.std(axis=0).max() / X.std(axis=0).min() > 1e11
    assert 1 - np.var(y - X @ coef - intercept) / np.var(y) == pytest.approx(0.9, abs=0.01)
