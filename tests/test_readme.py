"""What the README shows runs as it is copied."""

import re
from pathlib import Path

import pytest

from sgdlinreg import MiniBatchSGDRegressor

README = Path(__file__).parents[1] / "README.md"


def test_python_blocks_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(block, names)
    assert isinstance(names["model"], MiniBatchSGDRegressor)
    assert names["model"].coef_ == pytest.approx([2.0, -3.4], abs=0.01)
    assert "std error" in capsys.readouterr().out


def test_local_files_that_it_names_exist():
    text = README.read_text()
    files = re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r"`([\w./]+\.(?:md|rst|cff|txt))`", text)
    assert files
    assert [file for file in files if not (README.parent / file).exists()] == []
