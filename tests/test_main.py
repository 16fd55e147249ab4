"""The demonstration and the data sets."""

import numpy as np
import pytest

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
