"""`nn.Linear` with the CPU's faster fp32 kernel.

PyTorch multiplies fp32 matrices on the CPU with MKL, which takes its slow path on processors other than Intel's:
oneDNN, in the same PyTorch, does LTX-2.3's shapes 2.2 times as fast on an AMD EPYC with AVX-512 (230 instead of
103 Gflop/s on one thread, torch 2.13), with the same rounding error. PyTorch reaches it for lower precisions by
itself; for fp32 only through the operator that its compiler emits, which has no gradient.
"""

import torch.nn.functional as F
from torch import Tensor, is_grad_enabled, nn, ops
from torch import float32 as fp32
from torch.backends import mkldnn  # PyTorch's old name of oneDNN

_HAS_ONEDNN = mkldnn.is_available() and hasattr(ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W' + b, by the fastest kernel that serves; contiguous."""
    wants_gradient = is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in (x, weight, bias)
    )
    is_fp32_on_cpu = weight.is_cpu and x.dtype == weight.dtype == fp32
    if _HAS_ONEDNN and is_fp32_on_cpu and not wants_gradient and x.numel():
        return ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """x W' + b; keys, shapes and initialisation of `nn.Linear`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name nn.Linear gives it
        return linear(input, self.weight, self.bias)
