"""The Triton kernels on any device: the interpreter takes tensors of the CPU."""

from sgdlinreg._solvers.sgd_torch.kernel import TorchKernel


class TritonKernel(TorchKernel):
    shared = False

    def _plan(self, problem):
        from sgdlinreg._solvers.sgd_torch.triton_plan import TritonPlan

        return TritonPlan(self.torch, problem, n_programs=3, shared=self.shared)


class SharedKernel(TritonKernel):
    shared = True
