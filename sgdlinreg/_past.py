"""What a stream remembers of rows that are gone, and how it conditions steps on new ones.

For the squared error the objective of earlier rows is a parabola around their best model w0: its gradient is
``A (w - w0)``, with A the second moment of those rows. Steps on new rows add it, weighted by the number of rows, so
that they move towards the best model of all rows. The second moment of all rows, inverted, is the preconditioner. A
block of one batch then takes the step of recursive least squares.
"""

from typing import NamedTuple

import numpy as np

from sgdlinreg._blocks import Block
from sgdlinreg._conditioning import MAX_WHITENED, Conditioning, rows_and_step, whitener_of
from sgdlinreg._coordinates import (
    SAMPLE_MARGIN,
    Coordinates,
    measured_rows,
    norms_and_moment,
    sample_of,
    scaled_coordinates,
)
from sgdlinreg._objective import Objective


class Memory(NamedTuple):
    """What joins every batch: the gradient ``curvature @ (coef - anchor)``, in scaled coordinates.

    curvature is (n_features + 1, n_features + 1), or (0, 0) where nothing joins; anchor is (n_targets, n_features + 1).
    """

    curvature: np.ndarray
    anchor: np.ndarray


class Past(NamedTuple):
    """Second moment of the rows so far.

    Attributes
    ----------
    weight : float
        Sum of the weights, as the user gave them.
    centre, scale : ndarray of shape (n_features,)
        Coordinates that the moment is in.
    moment : ndarray of shape (n_features + 1, n_features + 1)
        Weighted mean of the products of [z, 1], where there is an intercept; else the last row and column are 0.
    complete : bool
        Whether it is that of all rows rather than an estimate from samples.
    """

    weight: float
    centre: np.ndarray
    scale: np.ndarray
    moment: np.ndarray
    complete: bool

    def moment_in(self, coordinates: Coordinates) -> np.ndarray:
        """Give the moment in other coordinates."""
        change = np.diag(np.append(self.scale / coordinates.scale, 1.0))
        change[:-1, -1] = (self.centre - coordinates.centre) / coordinates.scale
        return change @ self.moment @ change.T


def can_remember(block: Block, objective: Objective) -> bool:
    """Whether a second moment says what earlier rows want, at a cost that is in proportion."""
    return (
        not block.is_sparse and block.n_features <= MAX_WHITENED and objective.is_least_squares and objective.is_smooth
    )


def condition_with_past(
    block, statistics, objective, batch_size, rng, past: Past | None, weight: float, in_order: bool
) -> tuple[Conditioning, np.ndarray, Past]:
    """Measure a block that is seen once, after others.

    Parameters
    ----------
    block : Block
        With weights of mean one.
    statistics : ColumnStatistics
        Of all rows so far.
    objective : Objective
    batch_size : int
    rng : numpy.random.Generator
    past : Past or None
        Of the rows before this block.
    weight : float
        Sum of the weights of the block, in the unit of the weight of the past.
    in_order : bool
        Whether batches are neighbouring rows.

    Returns
    -------
    conditioning : Conditioning
    curvature : ndarray of shape (n_features + 1, n_features + 1)
        Of the earlier rows, for each row of the block; (0, 0) where there are none.
    past : Past
        Of all rows, those of the block among them.

    Notes
    -----
    Costs two passes over the block and O(n_features**3) operations.
    """
    n_features = block.n_features
    coordinates = scaled_coordinates(statistics, objective)
    _, _, Z, complete = measured_rows(block, coordinates, rng)
    new = _moment(block, Z)
    penalty = np.diag(np.append(coordinates.penalty, 0.0))
    earlier, before = np.zeros_like(new), 0.0
    if past is not None:
        earlier, before = past.moment_in(coordinates), past.weight
    share = weight / (before + weight)
    moment = (1.0 - share) * earlier + share * new
    known = complete and (past is None or past.complete)
    values, vectors = np.linalg.eigh((moment + penalty)[:-1, :-1])
    whitener = whitener_of(values, vectors, known)

    norms, _ = norms_and_moment(block, coordinates, whitener)
    again = new if complete else _moment(block, sample_of(block, norms, coordinates, rng)[0])
    metric = np.zeros((n_features + 1, whitener.shape[1] + 1))
    metric[:-1, :-1], metric[-1, -1] = whitener, 1.0
    others = metric.T @ ((1.0 - share) * earlier + penalty) @ metric
    eigenvalue = np.linalg.eigvalsh(others + share * metric.T @ again @ metric)[-1]
    eigenvalue = (1.0 if complete else SAMPLE_MARGIN) * max(float(eigenvalue), 1.0)
    of_rows = rows_and_step(share * norms, eigenvalue, batch_size, in_order, eigenvalue)
    of_rows = of_rows._replace(step=share * of_rows.step)
    conditioning = Conditioning(coordinates.centre, coordinates.scale, whitener, *of_rows)
    curvature = np.zeros((0, 0)) if past is None else (before / weight) * (earlier + penalty)
    return conditioning, curvature, Past(before + weight, coordinates.centre, coordinates.scale, moment, known)


def _moment(block, Z) -> np.ndarray:
    """Second moment of [z, 1], from rows times the roots of their weights."""
    moment = np.zeros((block.n_features + 1, block.n_features + 1))
    moment[: Z.shape[1], : Z.shape[1]] = Z.T @ Z
    return moment
