"""Configuration of Sphinx. Build with ``python -m sphinx -W --keep-going -b html docs docs/_build/html``."""

import pathlib
import tomllib

from docutils import nodes

import sgdlinreg

project = "sgdlinreg"
author = "The sgdlinreg developers"
copyright = author
version = release = sgdlinreg.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.doctest", "numpydoc"]
extensions += ["matplotlib.sphinxext.plot_directive"]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "literal"
smartquotes = False  # values are typed with straight quotes
maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
autosummary_generate = True
doctest_global_setup = "import importlib.util"  # what :skipif: asks

numpydoc_show_class_members = False
autodoc_typehints = "none"  # the docstrings have them
pyproject = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())
numpydoc_validation_checks = set(pyproject["tool"]["numpydoc_validation"]["checks"])

plot_include_source = True
plot_html_show_formats = plot_html_show_source_link = False
plot_formats = [("png", 100)]

html_theme = "pydata_sphinx_theme"
html_title = project
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"**": []}
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def link_scikit_learn(app, env, node, contnode):
    """Resolve references to scikit-learn by the address of its API pages: a build needs no network."""
    target = node.get("reftarget", "")
    if not target.startswith("sklearn."):
        return None
    address = f"https://scikit-learn.org/stable/modules/generated/{target}.html"
    return nodes.reference("", "", contnode, internal=False, refuri=address)


def setup(app):
    app.connect("missing-reference", link_scikit_learn)
