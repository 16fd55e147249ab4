"""Predictions as a Parquet file."""

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.sources import write_parquet

from ..helpers import make_problem

parquet = pytest.importorskip("pyarrow.parquet")


@pytest.mark.parametrize("columns", [None, ["a", "b"]])
def test_predictions_are_written_block_by_block(tmp_path, columns):
    X, y, _ = make_problem(0, weighted=False)
    y = np.column_stack([y, -y])
    model = MiniBatchSGDRegressor().fit(X, y)
    blocks = [(X[:100].tolist(), None), (X[100:].tolist(), None)]  # lists are not joined
    file = tmp_path / "predictions.parquet"
    assert write_parquet(model.predict_source(blocks), file, columns) == len(X)
    table = parquet.read_table(file)
    assert table.column_names == (columns or ["prediction_0", "prediction_1"])
    np.testing.assert_allclose(np.column_stack(table.columns), model.predict(X), rtol=1e-12)
    assert parquet.ParquetFile(file).num_row_groups == 2


def test_a_broken_source_leaves_the_file_as_it_was(tmp_path):
    X, y, _ = make_problem(0, weighted=False)
    model, file = MiniBatchSGDRegressor().fit(X, y), tmp_path / "predictions.parquet"
    write_parquet(model.predict_source([(X, None)]), file)
    before = file.read_bytes()
    broken = [(X, None), (np.full_like(X, np.nan), None)]
    with pytest.raises(ValueError, match="Block 1 of the source"):
        write_parquet(model.predict_source(broken), file)
    with pytest.raises(ValueError, match="There are no predictions to write"):
        write_parquet(model.predict_source([]), file)
    with pytest.raises(ValueError, match="columns should be a sequence of 1 names"):
        write_parquet(model.predict_source([(X, None)]), file, ["a", "b"])
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
