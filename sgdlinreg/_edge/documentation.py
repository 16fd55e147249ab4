"""Where the documentation is: what scikit-learn's HTML of an estimator links to."""

import importlib.metadata
from functools import cache


@cache
def page_template() -> str:
    """Return the address of a page, with the fields that scikit-learn fills in.

    The address is the URL with the label "Documentation" of the installed package, so that it stands in pyproject.toml
    alone. Without one there is no link: "".
    """
    try:
        urls = importlib.metadata.metadata("sgdlinreg").get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:  # not installed, but on the path
        return ""
    for label, _, address in (url.partition(", ") for url in urls):
        if label == "Documentation":
            return address.rstrip("/") + "/generated/{estimator_module}.{estimator_name}.html"
    return ""
