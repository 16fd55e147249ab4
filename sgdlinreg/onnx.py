"""Conversion of models to ONNX."""

from typing import Any

import numpy as np

from sgdlinreg._core.optional import import_optional
from sgdlinreg._estimator import MiniBatchSGDRegressor


def register() -> None:
    """Register MiniBatchSGDRegressor with skl2onnx.

    Then `to_onnx` and `convert_sklearn` of skl2onnx can convert it, alone and as a step of other estimators. Call this
    function once in a process. It needs the extra `onnx`.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Notes
    -----
    Like `predict`, the graph computes in float64 and returns predictions of the type of the input. For integers and
    booleans they are float32, as those of other regressors in skl2onnx. Predictions have shape (n_samples, n_targets),
    also for one target. The conversion of an estimator that is not fitted raises a NotFittedError.

    The graph only predicts. It has no standard errors, and `partial_fit` cannot go on from it.

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
