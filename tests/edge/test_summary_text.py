"""What a summary prints and shows."""

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor

from ..helpers import make_problem


@pytest.mark.parametrize("factor", [1.0, -1e-120, 1e120])
@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("cov_type", ["nonrobust", "HC3", "cluster"])
def test_text_is_80_columns_wide(factor, n_targets, cov_type):
    pandas = pytest.importorskip("pandas")
    X, y, _ = make_problem(0, n_features=3, n_targets=n_targets)
    X = pandas.DataFrame(X, columns=["short", "a name that is so long that it is cut", "a <b> & c"])
    rows = {} if cov_type == "nonrobust" else {"X": X, "y": y * factor}
    groups = np.arange(301) if cov_type == "cluster" else None
    text = str(MiniBatchSGDRegressor().fit(X, y * factor).summary(**rows, cov_type=cov_type, groups=groups))
    lines = text.splitlines()
    assert len(lines) == 16 * n_targets
    assert max(map(len, lines)) == 80
    assert not any(line.endswith(" ") for line in lines)
    for line in lines[11:14]:
        assert line[17] == " "
        assert len(line[17:].split()) == 6


def test_numbers_in_the_text_are_those_of_the_summary():
    X, y, _ = make_problem(1, n_features=2)
    summary = MiniBatchSGDRegressor().fit(X, y).summary(confidence_level=0.9)
    text = repr(summary)
    assert f"R2{summary.r2:36.6g}" in text
    assert f"BIC{summary.bic:35.6g}" in text
    assert "F on 2 and 298 DF" in text
    assert "P>|t|" in text
    assert "[0.05" in text
    assert "0.95]" in text
    cells = next(line for line in text.splitlines() if line.startswith("x1")).split()
    np.testing.assert_allclose(
        [float(cell) for cell in (cells[1], cells[2], cells[5], cells[6])],
        [summary.coef[2], summary.std_error[2], summary.ci_low[2], summary.ci_high[2]],
        rtol=1e-3,
    )
    assert "P>|z|" in str(MiniBatchSGDRegressor().fit(X, y).summary(X, y, cov_type="HC0"))


def test_html_is_escaped_and_whole():
    pandas = pytest.importorskip("pandas")
    X, y, _ = make_problem(2, n_features=2, n_targets=2)
    frame = pandas.DataFrame(X, columns=["a <b> & c", "d"])
    html = MiniBatchSGDRegressor().fit(frame, y).summary()._repr_html_()
    assert "a &lt;b&gt; &amp; c" in html
    assert "<b>" not in html
    assert html.count("<table>") == html.count("</table>") == 4
    assert html.count("<tr>") == 2 * (6 + 1 + 3)
    assert "target 1" in html


def test_long_names_keep_both_ends():
    pandas = pytest.importorskip("pandas")
    X, y, _ = make_problem(2, n_features=3)
    X = pandas.DataFrame(X, columns=["onehotencoder__city_Oslo", "onehotencoder__city_Rome", "sixteen_letters_"])
    lines = str(MiniBatchSGDRegressor().fit(X, y).summary()).splitlines()
    assert [line.split()[0] for line in lines[12:15]] == ["oneho...ity_Oslo", "oneho...ity_Rome", "sixteen_letters_"]
