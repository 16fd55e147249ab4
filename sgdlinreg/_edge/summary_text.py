"""A summary as text of 80 columns, and as HTML."""

from html import escape
from typing import Any

import numpy as np

WIDTH = 80
NAME, NUMBERS = 17, (11, 11, 9, 10, 11, 11)
"""Widths of the columns: 80 together."""
HALF = 38
COV_TYPES = {
    "nonrobust": "nonrobust",
    **{name: f"{name}, robust" for name in ("HC0", "HC1", "HC2", "HC3")},
}


def as_text(summary: Any) -> str:
    """Return a summary as text."""
    lines = []
    n_targets = len(np.atleast_2d(summary.coef))
    for target in range(n_targets):
        title = "Least squares" + (f", target {target}" if summary.coef.ndim == 2 else "")
        lines += [title.center(WIDTH).rstrip(), "=" * WIDTH]
        lines += [f"{_pair(*left)}    {_pair(*right)}" for left, right in _facts(summary, target)]
        names = (name.rjust(width) for name, width in zip(_header(summary), NUMBERS, strict=True))
        lines += ["-" * WIDTH, " " * NAME + "".join(names), "-" * WIDTH]
        for name, *numbers in _rows(summary, target):
            fitting = name if len(name) < NAME else f"{name[:5]}...{name[9 - NAME :]}"  # both ends tell names apart
            cells = (number.rjust(width) for number, width in zip(numbers, NUMBERS, strict=True))
            lines.append(fitting.ljust(NAME) + "".join(cells))
        lines += ["=" * WIDTH]
    return "\n".join(lines)


def as_html(summary: Any) -> str:
    """Return a summary as HTML: two tables for each target."""
    parts = []
    for target in range(len(np.atleast_2d(summary.coef))):
        title = "Least squares" + (f", target {target}" if summary.coef.ndim == 2 else "")
        facts = [_html_row("td", [*left, *right]) for left, right in _facts(summary, target)]
        rows = [_html_row("td", row) for row in _rows(summary, target)]
        header = _html_row("th", ["", *_header(summary)])
        parts.append(
            f"<table><caption>{title}</caption><tbody>{''.join(facts)}</tbody></table>"
            f"<table><thead>{header}</thead><tbody>{''.join(rows)}</tbody></table>"
        )
    return "<div>" + "".join(parts) + "</div>"


def _html_row(tag: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _pair(label: str, value: str) -> str:
    return label + value.rjust(HALF - len(label))


def _facts(summary: Any, target: int) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Return what is known of the fit, in lines of two labels and values."""

    def number(name):
        return f"{np.atleast_1d(getattr(summary, name))[target]:.6g}"

    cov_type = summary.cov_type if summary.n_groups is None else f"cluster ({summary.n_groups} groups)"
    df = " and ".join(map(str, summary.f_df))
    return [
        (("Rows", str(summary.n_samples)), ("R2", number("r2"))),
        (("Residual DF", str(summary.df_residual)), ("Adjusted R2", number("adjusted_r2"))),
        (("Residual std", number("residual_std")), (f"F on {df} DF", number("f_statistic"))),
        (("Log-likelihood", number("log_likelihood")), ("p of F", _p_value(np.atleast_1d(summary.f_pvalue)[target]))),
        (("AIC", number("aic")), ("Condition number", f"{summary.condition_number:.3g}")),
        (("BIC", number("bic")), ("Covariance", cov_type)),
    ]


def _header(summary: Any) -> list[str]:
    letter = "t" if summary.cov_type == "nonrobust" else "z"
    tail = 0.5 - 0.5 * summary.confidence_level
    return ["coef", "std error", letter, f"P>|{letter}|", f"[{tail:.4g}", f"{1.0 - tail:.4g}]"]


def _rows(summary: Any, target: int) -> list[list[str]]:
    """Return the name and the numbers of each coefficient."""
    columns = [np.atleast_2d(getattr(summary, name))[target] for name in ("coef", "std_error", "t")]
    p_value, low, high = (np.atleast_2d(getattr(summary, name))[target] for name in ("p_value", "ci_low", "ci_high"))
    return [
        [str(name), _number(coef), _number(error), _ratio(t), _p_value(p), _number(lower), _number(upper)]
        for name, coef, error, t, p, lower, upper in zip(
            summary.feature_names, *columns, p_value, low, high, strict=True
        )
    ]


def _number(value: float) -> str:
    text = f"{value:.4g}"
    return text if len(text) < NUMBERS[0] else f"{value:.3g}"


def _ratio(t: float) -> str:
    return f"{t:.2f}" if abs(t) < 1e4 else f"{t:.1e}"


def _p_value(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}" if p > 0.0 or np.isnan(p) else "<1e-300"
