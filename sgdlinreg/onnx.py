"""Models in ONNX: `register` teaches skl2onnx what a MiniBatchSGDRegressor is."""

from typing import Any

import numpy as np

from sgdlinreg._core.optional import import_optional
from sgdlinreg._estimator import MiniBatchSGDRegressor


def register() -> None:
    """Register MiniBatchSGDRegressor with skl2onnx, alone and as a step of other estimators.

    Needs the extra `onnx`. Call it once in a process, before skl2onnx's `to_onnx` or `convert_sklearn`; further calls
    change nothing.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Notes
    -----
    The graph computes what `predict` does: products and sums in float64, predictions of the type of the input. Integers
    and booleans give float32, as all regressors of skl2onnx do. Predictions have the shape (n_samples, n_targets),
    also for one target. An estimator that is not fitted is a NotFittedError of the conversion.

    Only predictions are converted: no standard errors, nothing that `partial_fit` could go on from.

    Examples
    --------
    >>> import numpy as np
    >>> import sgdlinreg.onnx
    >>> from onnxruntime import InferenceSession
    >>> from skl2onnx import to_onnx
    >>> from sgdlinreg import MiniBatchSGDRegressor
    >>> from sgdlinreg.datasets import make_linear
    >>> X, y = make_linear(n_samples=1000, random_state=0)
    >>> model = MiniBatchSGDRegressor().fit(X, y)
    >>> sgdlinreg.onnx.register()
    >>> session = InferenceSession(to_onnx(model, X[:1]).SerializeToString())
    >>> predictions = session.run(None, {"X": X})[0]
    >>> predictions.shape, np.allclose(predictions[:, 0], model.predict(X), rtol=1e-12)
    ((1000, 1), True)
    """
    skl2onnx = import_optional("skl2onnx", "onnx", "sgdlinreg.onnx.register")
    shapes = import_optional("skl2onnx.common.shape_calculator", "onnx", "sgdlinreg.onnx.register")
    skl2onnx.update_registered_converter(
        MiniBatchSGDRegressor,
        "SgdlinregMiniBatchSGDRegressor",
        shapes.calculate_linear_regressor_output_shapes,
        _convert,
    )


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of one estimator to a graph."""
    from skl2onnx.algebra.onnx_ops import OnnxAdd, OnnxCast, OnnxMatMul
    from skl2onnx.common.data_types import guess_proto_type
    from skl2onnx.proto import TensorProto

    model, version = operator.raw_operator.to_sklearn(), container.target_opset
    rows = OnnxCast(operator.inputs[0], to=TensorProto.DOUBLE, op_version=version)
    products = OnnxMatMul(rows, np.atleast_2d(model.coef_).T, op_version=version)
    sums = OnnxAdd(products, np.atleast_1d(model.intercept_), op_version=version)
    dtype = guess_proto_type(operator.outputs[0].type)
    OnnxCast(sums, to=dtype, op_version=version, output_names=operator.outputs[:1]).add_to(scope, container)
