"""The network beside diffusers' ``UNet2DModel``, on random weights and inputs: every key that changes the function.

Both are float32 and differ in the order of sums: 1e-6 of answers of order 0.1 to 1.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from zoo_diffusers.unet import UNet2D, make_unet

diffusers = pytest.importorskip("diffusers")

PLAIN: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
}
NCSNPP = {  # as google/ncsnpp-* have it, smaller
    "sample_size": 16,
    "block_out_channels": [32, 64],
    "down_block_types": ["SkipDownBlock2D", "AttnSkipDownBlock2D"],
    "up_block_types": ["AttnSkipUpBlock2D", "SkipUpBlock2D"],
    "layers_per_block": 2,
    "norm_num_groups": None,
    "norm_eps": 1e-6,
    "time_embedding_type": "fourier",
    "mid_block_scale_factor": 1.414,
}
NOT_SQUARE = {"sample_size": [8, 12]}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "not square": NOT_SQUARE,
    "scale and shift": {"resnet_time_scale_shift": "scale_shift"},
    "scale and shift, norm in the middle": {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 2},
    "another norm in the middle": {"attn_norm_num_groups": 8},
    "classes": {"num_class_embeds": 5},
    "classes, scale and shift": {"num_class_embeds": 3, "resnet_time_scale_shift": "scale_shift", "act_fn": "mish"},
    "one head": {"attention_head_dim": None},
    "heads that leave channels over": {"attention_head_dim": 3},
    "attention on one side": {"down_block_types": ["AttnDownBlock2D", "DownBlock2D"]},
    "steps by residual blocks": {
        "down_block_types": ["AttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D"],
        "downsample_type": "resnet",
        "upsample_type": "resnet",
    },
    "stages that step by residual blocks": {
        "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["ResnetUpsampleBlock2D", "UpBlock2D"],
    },
    "names of long ago": {
        "down_block_types": ["UNetResDownBlock2D", "UNetResAttnDownBlock2D"],
        "up_block_types": ["UNetResAttnUpBlock2D", "UNetResUpBlock2D"],
    },
    "nothing in the middle": {"mid_block_type": None},
    "no attention in the middle": {"add_attention": False},
    "a scaled middle": {"mid_block_scale_factor": 1.414},
    "images of [0, 1]": {"center_input_sample": True},
    "mish": {"act_fn": "mish"},
    "gelu": {"act_fn": "gelu"},
    "relu": {"act_fn": "ReLU"},
    "of the first DDPMs": {"flip_sin_to_cos": False, "freq_shift": 1, "downsample_padding": 0, "norm_eps": 1e-6},
    "odd widths": {"block_out_channels": [9, 15], "norm_num_groups": 3, "attention_head_dim": None},
    "a wide embedding": {"time_embedding_dim": 20},
    "learned times": {"time_embedding_type": "learned", "num_train_timesteps": 100},
    "fourier": {"time_embedding_type": "fourier"},
    "NCSN++": NCSNPP,
    "NCSN++, not square": NCSNPP | NOT_SQUARE,
    "NCSN++ with groups": NCSNPP | {"norm_num_groups": 8},
    "NCSN++, sines of time": NCSNPP | {"time_embedding_type": "positional"},
    "NCSN++, classes, scale and shift": NCSNPP | {"resnet_time_scale_shift": "scale_shift", "num_class_embeds": 2},
    "NCSN++ of three levels": NCSNPP
    | {
        "block_out_channels": [32, 64, 32],
        "down_block_types": ["AttnSkipDownBlock2D", "SkipDownBlock2D", "AttnSkipDownBlock2D"],
        "up_block_types": ["SkipUpBlock2D", "AttnSkipUpBlock2D", "AttnSkipUpBlock2D"],
        "layers_per_block": 1,
    },
    "NCSN++ of narrow stages": NCSNPP
    | {
        "block_out_channels": [8, 24],
        "down_block_types": ["SkipDownBlock2D", "SkipDownBlock2D"],
        "up_block_types": ["SkipUpBlock2D", "SkipUpBlock2D"],
        "norm_num_groups": 4,
    },
    "skips at first": NCSNPP
    | {
        "norm_num_groups": 8,
        "down_block_types": ["SkipDownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "AttnSkipUpBlock2D"],
    },
    "one level of skips": NCSNPP
    | {
        "block_out_channels": [32],
        "down_block_types": ["AttnSkipDownBlock2D"],
        "up_block_types": ["SkipUpBlock2D"],
    },
}


def pair(change: dict[str, Any]) -> tuple[Any, UNet2D, Tensor, Tensor, Tensor | None]:
    """diffusers' network, ours with its weights, and what to show them."""
    config = PLAIN | change
    source = torch.Generator().manual_seed(0)
    theirs = diffusers.UNet2DModel(**config).eval()
    for name, p in theirs.named_parameters():
        p.data = (16.0 if name == "time_proj.weight" else 0.1) * torch.randn(p.shape, generator=source)
    ours = make_unet(dict(theirs.config)).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    size = config["sample_size"]
    height, width = size if isinstance(size, list) else (size, size)
    x = torch.randn(2, 3, height, width, generator=source)
    classes = config.get("num_class_embeds")
    return theirs, ours, x, torch.tensor([7.0, 41.0]), None if classes is None else torch.tensor([0, classes - 1])


@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_that_of_diffusers(case: str):
    theirs, ours, x, t, label = pair(CASES[case])
    told = t.long() if CASES[case].get("time_embedding_type") == "learned" else t
    with torch.no_grad():
        expected, found = theirs(x, told, class_labels=label).sample, ours(x, t, label)
    assert expected.abs().max() > 0.01
    assert (found - expected).abs().max() < 1e-6


@pytest.mark.parametrize("case", ["plain", "classes, scale and shift", "mish", "NCSN++", "steps by residual blocks"])
def test_gradients_are_those_of_diffusers(case: str):
    """What is overwritten in place, no gradient needs: sums of 10³ terms in float32, 1e-5 of the largest."""
    theirs, ours, x, t, label = pair(CASES[case])
    theirs(x, t, class_labels=label).sample.square().sum().backward()
    ours(x, t, label).square().sum().backward()
    mine = dict(ours.named_parameters())
    for name, p in theirs.named_parameters():
        if p.requires_grad:
            assert (mine[name].grad - p.grad).abs().max() <= 1e-5 * (1.0 + p.grad.abs().max()), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", ["plain", "classes, scale and shift", "NCSN++"])
def test_half_types_are_as_near_to_float32_as_diffusers(case: str, dtype: torch.dtype):
    """Each rounds where it will; the error of ours is at most twice that of theirs, and 1e-3 of the answer."""
    theirs, ours, x, t, label = pair(CASES[case])
    with torch.no_grad():
        exact = ours(x, t, label)
        found = ours.to(dtype)(x.to(dtype), t, label)
        other = theirs.to(dtype)(x.to(dtype), t, class_labels=label).sample
    error, of_theirs = ((a.float() - exact).abs().max() for a in (found, other))
    assert error <= 2.0 * of_theirs + 1e-3 * exact.abs().max()


def test_one_time_holds_for_all():
    """Products of one row and of two round differently."""
    _, ours, x, t, _ = pair(NCSNPP)
    with torch.no_grad():
        assert (ours(x, t[:1]) - ours(x, t[:1].expand(2))).abs().max() < 1e-6
