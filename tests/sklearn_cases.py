"""Cases of scikit-learn's own tests, for another estimator to be put in the place of theirs."""

import inspect
import itertools

import pytest


def cases(module, mentions, replaced, reason_of, fixtures=None):
    """Parameters (name, function, arguments) of the tests in a module that are about some estimators.

    Parameters
    ----------
    module : module
        One of scikit-learn's test modules.
    mentions : str
        A test counts if its source or the chosen arguments mention this name.
    replaced : dict
        Callables among the arguments -> what stands in for them.
    reason_of : callable(name, arguments) -> str or None
        Why a case is not meant to pass; it is then expected to fail.
    fixtures : dict of str to dict, optional
        Values, by a label, of arguments that are fixtures in their module.
    """
    found = []
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        by_class = False
        choices = []
        for mark in getattr(function, "pytestmark", []):
            if mark.name == "parametrize":
                names, values = mark.args[:2]
                names = [one.strip() for one in names.split(",")] if isinstance(names, str) else list(names)
                choices.append([_named(names, value) for value in values])
                by_class |= any(_known(value, replaced) for one in choices[-1] for value in one.values())
        for fixture, values in (fixtures or {}).items():
            if fixture in inspect.signature(function).parameters:
                choices.append([{fixture: _Labelled(label, value)} for label, value in values.items()])
        for chosen in itertools.product(*choices):
            arguments = {key: value for one in chosen for key, value in one.items()}
            about = any(_known(value, replaced) for value in arguments.values())
            if not about and (by_class or mentions not in inspect.getsource(function)):
                continue
            label = "-".join(getattr(value, "__name__", str(value)) for value in arguments.values())
            arguments = {key: getattr(value, "labelled", value) for key, value in arguments.items()}
            reason = reason_of(name, arguments)
            arguments = {key: replaced[value] if _known(value, replaced) else value for key, value in arguments.items()}
            if "global_random_seed" in inspect.signature(function).parameters:
                arguments["global_random_seed"] = 42
            marks = [pytest.mark.xfail(reason=reason)] if reason else []
            marks += [mark for mark in getattr(function, "pytestmark", []) if mark.name == "skipif"]
            found.append(pytest.param(name, function, arguments, id=f"{name}[{label}]", marks=marks))
    return found


class _Labelled:
    def __init__(self, label, value):
        self.__name__, self.labelled = label, value


def _named(names, value):
    value = getattr(value, "values", value) if type(value).__name__ == "ParameterSet" else (value,)
    value = value[0] if len(value) == 1 and len(names) > 1 else value
    return dict(zip(names, value, strict=True))


def _known(value, replaced):
    return callable(value) and value in replaced
