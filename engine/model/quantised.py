"""Linear layers that keep their weights in eight bits and compute in the type of their input.

FP8. E4M3 has a sign, four exponent bits and three mantissa bits: +-448 at most, no infinities, and half a step is
1/16 of a number down to 2**-6 and 2**-10 below. One scale for each tensor lets its largest weight use the whole range;
the official files hold such weights, and the same conversion is done here.

INT8. Whole numbers from -127 to 127 with one scale for each output row, so half a step is 1/254 of the largest weight
of the row: finer than FP8 for the large weights of a row, coarser for the small ones, and quick to unpack on any
processor.

Both unpack their weight whenever they are used, and the product is that of `Linear` on the unpacked weight, bit for
bit: eight bits here save memory and the time to fetch them, not arithmetic. Only where the GPU multiplies E4M3 by
itself, and the file says the step of the layer's input, is the input rounded to FP8 too.

The scale of an FP8 layer is a Python number: multiplying bf16 by one is done in fp32 and rounded once on every device,
while a scale that is a tensor on a GPU would first be rounded to bf16. INT8 scales are numbers that bf16 holds
exactly, for the same reason.

Source of the FP8 product: Lightricks/LTX-2, commit 400fd31. Shapes: O outputs, I inputs.
"""

from functools import cache

import torch
from torch import Tensor, nn

from engine.model.linear import Linear, linear

E4M3_MAX = 448.0
INT8_MAX = 127
QUANTISED_DTYPES = frozenset({torch.float8_e4m3fn, torch.int8})
UNPACKED_DTYPES = frozenset({torch.bfloat16, torch.float32})  # that weights in eight bits are computed with
# E4M3's exponent is biased by 7 and bf16's by 127: the same bits in bf16 mean 2**120 times less.
_EXPONENT_SHIFT = 2.0**120
_E4M3_BITS_IN_BF16 = -30736  # 0x87F0 as int16: the sign, and seven bits from bit 4 up
_LARGEST_FOLDED_SCALE = 2.0**7  # whose product with _EXPONENT_SHIFT is still a number in fp32
_FP8_MATMUL_CAPABILITY = (8, 9)  # CUDA: Ada, Hopper and later
_FP8_MATMUL_MULTIPLE = 16  # of both sides of a weight, asked for by `torch._scaled_mm`


def quantise_fp8(weight: Tensor) -> tuple[Tensor, float]:
    """E4M3 values of a weight, and the number that they are multiplied by."""
    largest = weight.abs().max().item()
    scale = torch.tensor(largest / E4M3_MAX).item() or 1.0  # as fp32 holds it, which is what a file can say
    return (weight.float() / scale).to(torch.float8_e4m3fn), scale


def quantise_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers (O, I) of a weight, and what each row is multiplied by: (O,) fp32, exact in bf16."""
    scale = (weight.float().abs().amax(dim=1) / INT8_MAX).bfloat16().float()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    # A scale that bf16 rounded down sends the largest weight to at most 127.25, still less than half a step away.
    return (weight.float() / scale[:, None]).round_().clamp_(-INT8_MAX, INT8_MAX).to(torch.int8), scale


def unpack_fp8(values: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
    """E4M3 values times their scale, rounded once to bf16 or fp32.

    On the CPU, torch converts E4M3 one number at a time; moving its bits into those of a bf16 is three times as fast.
    """
    if not values.is_cpu or scale > _LARGEST_FOLDED_SCALE:
        return values.to(dtype).mul_(scale)
    bits = values.view(torch.int8).to(torch.int16).bitwise_left_shift_(4).bitwise_and_(_E4M3_BITS_IN_BF16)
    return bits.view(torch.bfloat16).to(dtype).mul_(scale * _EXPONENT_SHIFT)


class QuantisedLinear(Linear):
    """A linear layer in eight bits, in the place and with the keys of an ordinary one; its weight is loaded later."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)  # not that of `nn.Linear`, which makes and fills a weight
        self.in_features = layer.in_features
        self.out_features = layer.out_features
        self.weight = nn.Parameter(torch.empty_like(layer.weight, dtype=dtype), requires_grad=False)
        self.bias = layer.bias

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """The weight (O, I) that this layer multiplies by."""
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name nn.Linear gives it
        return linear(input, self.unpacked(input.dtype), self.bias)


class Fp8Linear(QuantisedLinear):
    """A weight in E4M3 with one scale; `input_scale` is the step of the input, where the file states one."""

    def __init__(self, layer: nn.Linear, *, weight_scale: float = 1.0, input_scale: float | None = None) -> None:
        super().__init__(layer, torch.float8_e4m3fn)
        self.weight_scale = weight_scale
        self.input_scale = input_scale

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        return unpack_fp8(self.weight, self.weight_scale, dtype)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        if self.input_scale is not None and self._can_multiply_fp8(input):
            return scaled_product(input, self.weight, self.bias, self.input_scale, self.weight_scale)
        return super().forward(input)

    def _can_multiply_fp8(self, x: Tensor) -> bool:
        sides_fit = self.in_features % _FP8_MATMUL_MULTIPLE == self.out_features % _FP8_MATMUL_MULTIPLE == 0
        return x.is_cuda and x.dtype == torch.bfloat16 and sides_fit and _multiplies_fp8(x.device)


class Int8Linear(QuantisedLinear):
    """A weight in INT8 with one scale for each row, which is part of the state."""

    weight_scale: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer, torch.int8)
        scale = torch.empty(layer.out_features, dtype=torch.float32, device=layer.weight.device)
        self.register_buffer("weight_scale", scale)

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        return self.weight.to(dtype).mul_(self.weight_scale.to(dtype)[:, None])


def scaled_product(x: Tensor, weight: Tensor, bias: Tensor | None, input_scale: float, weight_scale: float) -> Tensor:
    """x W' + b in bf16, with x rounded to E4M3 in steps of `input_scale`.

    What lies beyond E4M3's range is clamped: converted, it would become NaN, and the picture black.
    """
    steps = (x / input_scale).clamp_(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn).reshape(-1, x.shape[-1])
    scale_a, scale_b = (torch.full((), scale, device=x.device) for scale in (input_scale, weight_scale))
    product = torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage] - PyTorch's only product in FP8
        steps, weight.t(), scale_a, scale_b, bias=bias, out_dtype=torch.bfloat16, use_fast_accum=True
    )
    return product.view(*x.shape[:-1], weight.shape[0])


@cache
def _multiplies_fp8(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= _FP8_MATMUL_CAPABILITY
