import importlib.metadata
import re
from email.message import Message
from html.parser import HTMLParser

import pytest
import sklearn
from sklearn.utils.fixes import parse_version

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._edge.documentation import page_template

from ..helpers import make_problem


@pytest.fixture
def metadata(monkeypatch):
    """What the installed package says of itself; two URLs."""
    page_template.cache_clear()
    found = Message()
    found["Project-URL"] = "Source, https://source.example"
    found["Project-URL"] = "Documentation, https://docs.example/stable/"
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: {"sgdlinreg": found}[name])
    yield found
    page_template.cache_clear()


class Help(HTMLParser):
    """Text of the help of each parameter and attribute, by its name, and the addresses that are linked to."""

    def __init__(self, html):
        super().__init__()
        self.help, self.links, self._name, self._inside = {}, [], None, False
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "a":
            self.links.append(attributes.get("href"))
        style = re.search(r"position-anchor: --doc-link-(\w+);", attributes.get("style") or "")
        if style:
            self._name = style.group(1)
            self.help[self._name] = ""
        elif tag == "br" and self._name:
            self.help[self._name] += "\n"

    def handle_endtag(self, tag):
        if tag == "span":
            self._name = None

    def handle_data(self, data):
        if self._name:
            self.help[self._name] += data


def documented(section, following):
    """Name -> type and description in the class docstring."""
    text = MiniBatchSGDRegressor.__doc__.split(f"    {section}\n    ---")[1].split(f"\n\n    {following}\n")[0]
    return dict(re.findall(r"^    (\w+) : (.+(?:\n(?:        .*)?)*)", text, flags=re.MULTILINE))


def test_the_link_follows_from_the_metadata(metadata):
    page = "https://docs.example/stable/generated/sgdlinreg.MiniBatchSGDRegressor.html"
    assert MiniBatchSGDRegressor()._get_doc_link() == page
    assert page in Help(MiniBatchSGDRegressor()._repr_html_()).links


def test_without_an_address_there_is_no_link(metadata, monkeypatch):
    del metadata["Project-URL"]
    assert MiniBatchSGDRegressor()._get_doc_link() == ""
    page_template.cache_clear()

    def not_installed(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "metadata", not_installed)
    assert MiniBatchSGDRegressor()._get_doc_link() == ""
    assert "MiniBatchSGDRegressor" in MiniBatchSGDRegressor()._repr_html_()


@pytest.mark.skipif(parse_version(sklearn.__version__) < parse_version("1.9"), reason="scikit-learn shows no help")
def test_parameters_and_fitted_attributes_have_their_help(metadata):
    X, y, _ = make_problem(0)
    model = MiniBatchSGDRegressor().fit(X, y)
    shown = Help(model._repr_html_()).help
    expected = documented("Parameters", "Attributes") | documented("Attributes", "See Also")
    fitted = {name for name in expected if name.endswith("_") and hasattr(model, name)}
    assert set(shown) == set(model.get_params()) | fitted
    for name, text in shown.items():
        assert f"{name}: {expected[name]}".split() == text.split(), name
