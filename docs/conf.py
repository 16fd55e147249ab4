"""Configuration of Sphinx. Build with ``python -m sphinx -W --keep-going -b html docs docs/_build/html``."""

import pathlib
import tomllib

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx_gallery.sorting import ExplicitOrder
from threadpoolctl import threadpool_limits

import sgdlinreg

project = "sgdlinreg"
author = "The sgdlinreg developers"
copyright = author
version = release = sgdlinreg.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.doctest", "numpydoc"]
extensions += ["matplotlib.sphinxext.plot_directive", "myst_parser", "sphinx_copybutton", "sphinx_design"]
extensions += ["sphinx_gallery.gen_gallery"]
source_suffix = {".rst": "restructuredtext"}  # Markdown files are included by pages
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "literal"
smartquotes = False  # values are typed with straight quotes
maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
autosummary_generate = True
doctest_global_setup = """
import importlib.util, os
no_torch = importlib.util.find_spec("torch") is None
no_cuda = no_torch or not __import__("torch").cuda.is_available()
no_dispatch = no_torch or os.environ.get("SCIPY_ARRAY_API") != "1"
"""  # what :skipif: asks

numpydoc_show_class_members = False
autodoc_typehints = "none"  # the docstrings have them
pyproject = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())
numpydoc_validation_checks = set(pyproject["tool"]["numpydoc_validation"]["checks"])

plot_include_source = True
plot_html_show_formats = plot_html_show_source_link = False
plot_formats = [("png", 100)]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

threadpool_limits(1)  # for the small fits of the examples, threads of BLAS cost more than they gain on a busy machine
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("sgdlinreg",),
    "gallery_dirs": "gallery",
    "subsection_order": ["../examples/recipes", "../examples/real_data"],
    "within_subsection_order": ExplicitOrder(
        [
            "plot_from_scratch.py",
            "plot_concise.py",
            "plot_one_feature.py",
            "plot_numpy_batches.py",
            "plot_gradient_descent.py",
            "plot_three_ways.py",
            "plot_weight_decay.py",
            "plot_save_and_load.py",
            "plot_house_prices.py",
            "plot_births.py",
            "plot_weights_and_intervals.py",
            "plot_diamonds.py",
            "plot_heavy_tails.py",
            "plot_text.py",
            "plot_out_of_core.py",
            "plot_early_stopping.py",
            "plot_schedules_and_batch_sizes.py",
            "plot_divergence.py",
            "*",
        ]
    ),
    "capture_repr": ("_repr_html_", "__repr__"),
    "download_all_examples": False,
    "image_srcset": ["2x"],
    "min_reported_time": 60,
    "remove_config_comments": True,
    "reset_modules": ("matplotlib",),
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = project
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {page: [] for page in ("index", "get_started", "changelog", "search", "genindex")}
html_theme_options = {
    "header_links_before_dropdown": 8,
    "navbar_end": ["theme-switcher"],
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "show_nav_level": 2,
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


def visit_math(writer, node):
    """Write a formula as MathML, which browsers draw themselves: pages need no script and no network."""
    is_block = isinstance(node, nodes.math_block)
    formula = tex2mathml(node.astext(), as_block=is_block)
    writer.body.append(f'<div class="math">{formula}</div>' if is_block else formula)
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
    app.connect("missing-reference", link_scikit_learn)
