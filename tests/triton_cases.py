"""The Triton kernels on any device: the interpreter takes tensors of the CPU."""

from sgdlinreg._solvers.sgd_torch import TorchKernel


class TritonKernel(TorchKernel):
    shared = False

    def _plan(self, problem):
        from sgdlinreg._solvers.sgd_triton import TritonPlan

        return TritonPlan(self.torch, problem, n_programs=3, shared=self.shared)


class SharedKernel(TritonKernel):
    shared = True
