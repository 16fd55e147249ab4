"""Fitted state as dictionaries, lists, arrays and numbers: files of models ask to trust the estimator alone."""

from dataclasses import fields
from typing import Any

from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.contract import Iterate
from sgdlinreg._core.measurement import Measurement
from sgdlinreg._core.sampling import Reservoir, SampledRows
from sgdlinreg._core.standard_errors import Inference
from sgdlinreg._core.statistics import ColumnStatistics
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble
from sgdlinreg._solvers.closed_form.kept_rows import KeptRows
from sgdlinreg._solvers.closed_form.moments import Moments
from sgdlinreg._solvers.closed_form.sum_moments import SumMoments
from sgdlinreg._solvers.sgd.averaging import Mark, Tail
from sgdlinreg._solvers.sgd.state import State

OBJECTS = ("_state", "_inference")
"""Attributes of the estimator that hold objects of ours."""
CLASSES: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        *(Block, CSR, ColumnStatistics, DoubleDouble, Inference, KeptRows),
        *(Iterate, Mark, Measurement, Moments, Reservoir, SampledRows, State, SumMoments, Tail),
    )
}


def to_plain(value: Any) -> Any:
    """Return a value with every object of ours as the dictionary of its fields."""
    name = type(value).__name__
    if CLASSES.get(name) is type(value):
        fields_of: Any = value
        names = fields_of._fields if isinstance(value, tuple) else [field.name for field in fields(value) if field.init]
        return {"class": name} | {field: to_plain(getattr(value, field)) for field in names}
    return [to_plain(item) for item in value] if isinstance(value, list) else value


def from_plain(value: Any) -> Any:
    """Return the value that `to_plain` was given."""
    if isinstance(value, dict):
        items = {field: from_plain(item) for field, item in value.items() if field != "class"}
        return CLASSES[value["class"]](**items)
    return [from_plain(item) for item in value] if isinstance(value, list) else value
