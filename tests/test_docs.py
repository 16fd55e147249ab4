"""Every code block of the documentation is run by something."""

import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MADE = {"gallery", "generated", "_build"}
PAGES = {
    str(page.relative_to(ROOT / "docs")): page.read_text()
    for page in sorted((ROOT / "docs").rglob("*.rst"))
    if not MADE & set(page.parts) and "_templates" not in page.parts
}
BLOCK = re.compile(
    r"^( *)\.\. (?:code-block|code|sourcecode|parsed-literal):: *(\S*)\n((?:\1 +.*\n|\n)*)", re.MULTILINE
)
SHOWN = {"text"}
"""Languages of blocks that are no code."""
PROGRAMS = [
    textwrap.dedent(block)
    for text in PAGES.values()
    for _, language, block in BLOCK.findall(text)
    if language == "python" and 'if __name__ == "__main__":' in block
]
"""Files of their own: their workers import them."""
CONDITIONS = {"no_torch", "no_cuda", "no_dispatch", 'importlib.util.find_spec("dask") is None'}
"""Why a block may be skipped; only CUDA is not there in .ci/run."""


def test_python_is_written_so_that_it_runs():
    """Lines that begin with ">>>" run in the builder "doctest", which plots and pages of the API pass through, too."""
    assert len(PAGES) > 30
    languages = {page: [language for _, language, _ in BLOCK.findall(text)] for page, text in PAGES.items()}
    assert {page for page, found in languages.items() if set(found) - SHOWN - {"console", "python"}} == set()
    assert sum(found.count("python") for found in languages.values()) == len(PROGRAMS)
    assert [
        page for page, text in PAGES.items() if re.search(r"^(?! *\.\. ).*::$|doctest: .*SKIP", text, re.MULTILINE)
    ] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_run(program, tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "program.py"], cwd=tmp_path, timeout=300, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_blocks_are_skipped_for_known_reasons():
    conditions = {condition for text in PAGES.values() for condition in re.findall(r":skipif: (.+)", text)}
    assert "no_torch" in conditions
    assert conditions <= CONDITIONS


def test_commands_install_extras_or_run_the_demonstration():
    """The README has the same commands, and .ci/run runs those."""
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    blocks = [block for text in PAGES.values() for _, language, block in BLOCK.findall(text) if language == "console"]
    commands = re.findall(r"^ *\$ (.*?)(?:\s+#.*)?$", "".join(blocks), flags=re.MULTILINE)
    assert len(commands) > 5
    for command in commands:
        install = re.fullmatch(r'pip install (?:\.|"\.\[([\w,]+)\]")', command)
        assert install or command == "python -m sgdlinreg", command
        assert install is None or set((install[1] or "plot").split(",")) <= extras


def test_gallery_has_a_place_for_every_example():
    examples = {example.name for example in (ROOT / "examples").rglob("plot_*.py")}
    assert len(examples) > 10
    assert set(re.findall(r'"(plot_\w+\.py)"', (ROOT / "docs" / "conf.py").read_text())) == examples


def test_pictures_have_an_alt_text():
    pictures = {
        page: re.findall(r"^ *\.\. (?:image|figure|plot)::.*\n((?: +:.*\n)(?: +\S.*\n)*)?", text, flags=re.MULTILINE)
        for page, text in PAGES.items()
    }
    assert sum(map(len, pictures.values())) > 10
    assert [page for page, options in pictures.items() if not all(":alt: " in option for option in options)] == []
