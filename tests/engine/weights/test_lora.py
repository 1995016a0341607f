"""LoRAs at run time against weights with the same LoRA folded in."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.errors import CheckpointError
from engine.weights.lora import attach
from engine.weights.lora_file import LoraFile

TOLERANCE = 1e-5  # fp32; sums in another order


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.blocks = nn.ModuleList([nn.Linear(8, 8)])

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks[0](torch.tanh(self.first(x)))


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network().requires_grad_(False)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(5))


def matrices(rank: int = 2, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "diffusion_model.first.lora_A.weight": torch.randn(rank, 6, generator=generator),
        "diffusion_model.first.lora_B.weight": torch.randn(8, rank, generator=generator),
        "diffusion_model.blocks.0.lora_A.weight": torch.randn(rank, 8, generator=generator),
        "diffusion_model.blocks.0.lora_B.weight": torch.randn(8, rank, generator=generator),
    }


def lora_of(folder: Path, tensors: dict[str, Tensor], name: str = "lora", **metadata: str) -> LoraFile:
    save_file(tensors, folder / f"{name}.safetensors", metadata)
    return LoraFile.open(folder / f"{name}.safetensors")


def fused(network: Network, *changes: tuple[dict[str, Tensor], float]) -> Network:
    copy = Network().requires_grad_(False)
    copy.load_state_dict(network.state_dict())
    for tensors, strength in changes:
        for layer in ("first", "blocks.0"):
            a, b = (tensors[f"diffusion_model.{layer}.lora_{part}.weight"] for part in "AB")
            copy.get_parameter(f"{layer}.weight").add_(strength * b @ a)
    return copy


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_header_tells_layers_rank_and_size(tmp_path: Path) -> None:
    lora = lora_of(tmp_path, matrices(rank=3))

    assert set(lora.pairs) == {"first", "blocks.0"}
    assert lora.rank == 3
    assert lora.num_elements == 3 * (6 + 8 + 8 + 8)
    assert lora.ignored == ()


@pytest.mark.parametrize("prefix", ["diffusion_model.", "model.diffusion_model.", "transformer.", ""])
@pytest.mark.parametrize(
    ("down", "up"), [("lora_A", "lora_B"), ("lora_down", "lora_up"), ("lora_A.default", "lora_B.default")]
)
def test_other_trainers_names_are_understood(tmp_path: Path, prefix: str, down: str, up: str) -> None:
    lora = lora_of(
        tmp_path, {f"{prefix}first.{down}.weight": torch.zeros(2, 6), f"{prefix}first.{up}.weight": torch.zeros(8, 2)}
    )

    assert set(lora.pairs) == {"first"}


def test_tensors_of_another_kind_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    strays = {"diffusion_model.first.diff_b": torch.zeros(8), "diffusion_model.last.lora_A.weight": torch.zeros(2, 6)}

    lora = lora_of(tmp_path, matrices() | strays)

    assert set(lora.ignored) == strays.keys()
    assert "diff_b" in caplog.text


def test_a_file_without_a_pair_of_matrices_is_not_a_lora(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a LoRA"):
        lora_of(tmp_path, {"diffusion_model.first.weight": torch.zeros(8, 6)})


@pytest.mark.parametrize("up_shape", [(8, 3), (8, 2, 1)])
def test_matrices_that_do_not_multiply_are_refused(tmp_path: Path, up_shape: tuple[int, ...]) -> None:
    tensors = {"first.lora_A.weight": torch.zeros(2, 6), "first.lora_B.weight": torch.zeros(up_shape)}

    with pytest.raises(CheckpointError, match="do not form a product"):
        lora_of(tmp_path, tensors)


def test_reference_factors_come_from_the_metadata(tmp_path: Path) -> None:
    lora = lora_of(tmp_path, matrices(), reference_downscale_factor="2", reference_temporal_scale_factor="4")

    assert (lora.reference_downscale_factor, lora.reference_temporal_scale_factor) == (2, 4)
    assert lora.states_reference_factors


@pytest.mark.parametrize("metadata", [{}, {"reference_downscale_factor": "half"}, {"reference_downscale_factor": "0"}])
def test_absent_or_unreadable_reference_factors_are_one_and_said_to_be_unstated(
    tmp_path: Path, metadata: dict[str, str]
) -> None:
    lora = lora_of(tmp_path, matrices(), **metadata)

    assert (lora.reference_downscale_factor, lora.reference_temporal_scale_factor) == (1, 1)
    assert not lora.states_reference_factors


# --- run time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [1.0, 0.4, -0.7])
def test_an_attached_lora_equals_fused_weights(tmp_path: Path, network: Network, x: Tensor, strength: float) -> None:
    tensors = matrices()
    expected = fused(network, (tensors, strength))(x)

    attach(network, lora_of(tmp_path, tensors), strength=strength)

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_strength_changes_between_two_passes(tmp_path: Path, network: Network, x: Tensor) -> None:
    tensors = matrices()
    expected = fused(network, (tensors, 0.25))(x)
    handle = attach(network, lora_of(tmp_path, tensors), strength=0.5)
    network(x)

    handle.strength = 0.25

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_strength_zero_is_exactly_the_base_model(tmp_path: Path, network: Network, x: Tensor) -> None:
    base = network(x)

    attach(network, lora_of(tmp_path, matrices()), strength=0)

    assert torch.equal(network(x), base)


def test_several_loras_add_up(tmp_path: Path, network: Network, x: Tensor) -> None:
    one, two = matrices(rank=2, seed=1), matrices(rank=3, seed=2)
    expected = fused(network, (one, 0.5), (two, 0.3))(x)

    attach(network, lora_of(tmp_path, one, "one"), strength=0.5)
    attach(network, lora_of(tmp_path, two, "two"), strength=0.3)

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_detaching_leaves_exactly_what_was_there(tmp_path: Path, network: Network, x: Tensor) -> None:
    base, keys = network(x), list(network.state_dict())
    handle = attach(network, lora_of(tmp_path, matrices()))
    assert list(network.state_dict()) == keys
    assert not torch.equal(network(x), base)

    handle.detach()

    assert torch.equal(network(x), base)
    assert handle.num_layers == 0


def test_detaching_one_of_two_keeps_the_other(tmp_path: Path, network: Network, x: Tensor) -> None:
    one, two = matrices(seed=1), matrices(seed=2)
    expected = fused(network, (two, 1.0))(x)
    first = attach(network, lora_of(tmp_path, one, "one"))
    attach(network, lora_of(tmp_path, two, "two"))

    first.detach()

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_alpha_scales_by_its_ratio_to_the_rank(tmp_path: Path, network: Network, x: Tensor) -> None:
    tensors = matrices(rank=2)
    expected = fused(network, (tensors, 0.5))(x)
    alphas = {f"diffusion_model.{layer}.alpha": torch.tensor(1.0) for layer in ("first", "blocks.0")}

    attach(network, lora_of(tmp_path, tensors | alphas))

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_matrices_take_the_type_of_the_weights(tmp_path: Path, network: Network, x: Tensor) -> None:
    tensors = {key: tensor.to(torch.bfloat16) for key, tensor in matrices().items()}
    expected = fused(network, ({key: tensor.float() for key, tensor in tensors.items()}, 1.0))(x)

    attach(network, lora_of(tmp_path, tensors))

    assert torch.allclose(network(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_layers_the_model_does_not_have_are_reported(
    tmp_path: Path, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    strays = {
        "diffusion_model.last.lora_A.weight": torch.zeros(2, 6),
        "diffusion_model.last.lora_B.weight": torch.zeros(8, 2),
    }

    handle = attach(network, lora_of(tmp_path, matrices() | strays))

    assert handle.unmatched == ("last",)
    assert handle.num_layers == 2
    assert "last" in caplog.text


def test_a_lora_for_another_model_is_refused(tmp_path: Path, network: Network) -> None:
    tensors = {key.replace("first", "last").replace("blocks", "layers"): value for key, value in matrices().items()}

    with pytest.raises(CheckpointError, match="fits no layer of this model"):
        attach(network, lora_of(tmp_path, tensors))


def test_a_lora_for_a_larger_model_is_refused_before_anything_is_attached(
    tmp_path: Path, network: Network, x: Tensor
) -> None:
    base = network(x)
    tensors = matrices() | {"diffusion_model.first.lora_A.weight": torch.zeros(2, 12)}

    with pytest.raises(CheckpointError, match="another size"):
        attach(network, lora_of(tmp_path, tensors))

    assert torch.equal(network(x), base)
