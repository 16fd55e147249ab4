"""The Triton kernels on any device: the interpreter takes tensors of the CPU."""

from typing import ClassVar
from unittest.mock import patch

import numpy as np

from sgdlinreg._solvers.sgd_torch.kernel import TorchKernel


class TritonKernel(TorchKernel):
    """Every batch is that of one program."""

    settings: ClassVar = {"SHARED_BYTES": np.inf}

    def _make_plan(self, *args, **options):
        from sgdlinreg._solvers.sgd_torch import triton_plan

        with patch.multiple(triton_plan, **self.settings):
            return triton_plan.TritonPlan(self.torch, *args, **options)


class SharedKernel(TritonKernel):
    """Three programs share every batch."""

    settings: ClassVar = {"SHARED_BYTES": 0, "MAX_PROGRAMS": 3}
