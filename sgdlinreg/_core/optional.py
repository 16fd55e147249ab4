"""Optional dependencies: imported on first use, with an error that names the extra."""

import importlib
from types import ModuleType


def import_optional(name: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional library.

    Parameters
    ----------
    name : str
        Name of the module.
    extra : str
        The extra of sgdlinreg that installs it.
    purpose : str
        What needs it, the subject of the error's sentence.

    Raises
    ------
    ImportError
        If the library is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.split(".")[0]:
            raise
        raise ImportError(
            f"{purpose} needs {name!r}, which is not installed. Install it with: pip install 'sgdlinreg[{extra}]'"
        ) from error
