"""The first phase: rows are kept while they are fewer than columns, because they are smaller than moments."""

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlinreg._core.blocks import Block, join_rows
from sgdlinreg._core.contract import Model
from sgdlinreg._solvers.closed_form.constrained import solve_rows
from sgdlinreg._solvers.closed_form.dual import solve_dual
from sgdlinreg._solvers.closed_form.phase import BIASED, DEPENDENT, Phase, Solved, attributes_of
from sgdlinreg._solvers.closed_form.sum_moments import SumMoments


@dataclass(frozen=True)
class KeptRows(Phase):
    """All rows so far, None before any; ``precise`` is for the `SumMoments` that follow."""

    precise: bool = True
    block: Any = None

    def add(self, block):
        """Keep the rows of a block, or sum up moments once there are no fewer rows than columns."""
        n_rows = block.n_rows + (0 if self.block is None else self.block.n_rows)
        if n_rows >= block.n_features:
            return self._moments(block).add(block)
        block = block.on_host()
        return replace(self, block=block if self.block is None else join_rows(self.block, block))

    def merge(self, other):
        """Add the rows, or the moments, of another phase."""
        return self.add(other.block) if isinstance(other, KeptRows) else other.merge(self)

    def next(self, objective, again):
        """Solve the dual problem."""
        block = self.block
        kept = KeptRows(block=block if again else _copy_of(block))  # after fit no row stays
        if not objective.is_smooth:
            constrained, mean = solve_rows(block, objective)
            return constrained.solved(objective, block.n_rows, kept, mean)
        found = solve_dual(block, objective.l2 * block.total_weight, objective.fit_intercept)
        model = Model(
            found.coef,
            attributes_of(found.coef, block.n_rows, found),
            kept,
            found.mean if objective.fit_intercept else None,
            BIASED if objective.l2 > 0.0 else DEPENDENT,
        )
        return Solved(model, found.squares / block.total_weight)

    def _moments(self, block) -> SumMoments:
        """Return the moments of the rows; raise a ValueError if those of a block like this do not fit into memory."""
        needed, available = 4 * 8 * (block.n_features + block.n_targets) ** 2, _memory_bytes()
        if needed > available:
            raise ValueError(
                f"solver='normal_equation' needs about {needed / 2**30:.1f} GiB for the moments of {block.n_features} "
                f"features, and this machine has {available / 2**30:.1f} GiB. Use solver='numba'."
            )
        moments = SumMoments(self.precise)
        return moments if self.block is None else moments.add(self.block)


def _copy_of(block: Block) -> Block:
    X, weight = block.X, block.sample_weight
    X = X._replace(data=X.data.copy(), indices=X.indices.copy()) if block.is_sparse else np.array(X)
    return Block(X, block.y.copy(), None if weight is None else weight.copy(), block.weight_exponent)


def _memory_bytes() -> float:
    """Return the size of the physical memory; inf where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return np.inf
