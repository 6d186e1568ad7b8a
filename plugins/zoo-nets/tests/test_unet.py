"""The U-Net: patches are channels inside, and sizes that do not fit are refused before the first step."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from zoo_nets.timed_model import TimedModel, make_network
from zoo_nets.unet import UNet

OPTIONS = {"widths": [8, 16], "attention": [1], "head_width": 8}


def filled(network: UNet) -> UNet:
    """Every parameter drawn, so that nothing is hidden by a head of zeros."""
    source = torch.Generator().manual_seed(0)
    for p in network.parameters():
        p.data.normal_(std=0.2, generator=source)
    return network.double()


@pytest.fixture
def images():
    source = torch.Generator().manual_seed(1)
    x = torch.randn(3, 2, 12, 8, dtype=torch.float64, generator=source)
    return x, torch.tensor([0.0, 400.0, 999.0], dtype=torch.float64), torch.tensor([0, 2, 3])


def test_patches_of_one_pixel_change_nothing(images):
    plain, one = (filled(UNet(2, 4, **OPTIONS, **more)) for more in ({}, {"patch": 1}))
    assert {k: v.shape for k, v in plain.state_dict().items()} == {k: v.shape for k, v in one.state_dict().items()}
    one.load_state_dict(plain.state_dict())
    x, t, _ = images
    assert torch.equal(plain(x, t), one(x, t))


def test_a_fresh_network_draws_the_same_numbers_with_patches_of_one_pixel():
    torch.manual_seed(0)
    plain = UNet(1, 1, **OPTIONS)
    torch.manual_seed(0)
    one = UNet(1, 1, **OPTIONS, patch=1)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), one.parameters(), strict=True))


@pytest.mark.parametrize("patch", [2, 4])
@pytest.mark.parametrize("classes", [None, 3])
def test_patches_are_the_network_of_the_rearranged_image(patch, classes):
    """Exactly: pixel (r·i + a, r·j + b) of channel c is place (i, j) of channel c·r² + r·a + b, in and out."""
    source = torch.Generator().manual_seed(1)
    x = torch.randn(3, 2, 16, 8, dtype=torch.float64, generator=source)
    t, label = torch.tensor([0.0, 400.0, 999.0], dtype=torch.float64), torch.tensor([0, 2, 3])
    told = () if classes is None else (label,)
    whole = filled(UNet(2, 4, **OPTIONS, classes=classes, patch=patch))
    inside = filled(UNet(2 * patch**2, 4 * patch**2, **OPTIONS, classes=classes))
    inside.load_state_dict(whole.state_dict())
    rows, columns = 16 // patch, 8 // patch
    cut = x.view(3, 2, rows, patch, columns, patch).permute(0, 1, 3, 5, 2, 4).reshape(3, 2 * patch**2, rows, columns)
    expected = inside(cut, t, *told).view(3, 4, patch, patch, rows, columns).permute(0, 1, 4, 2, 5, 3)
    answer = whole(x, t, *told)
    assert answer.shape == (3, 4, 16, 8)
    assert torch.equal(answer, expected.reshape(3, 4, 16, 8))


def test_gradients_reach_every_parameter_through_patches(images):
    network = filled(UNet(2, 2, **OPTIONS, classes=3, patch=2))
    x, t, label = images
    network(x, t, label).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert network.stem.weight.grad.abs().sum() > 0.0


def test_features_of_the_input_come_after_its_own_patches():
    """Weights of a network that is shown the image alone fit the first channels of one that is shown more."""
    plain, more = filled(UNet(1, 1, **OPTIONS, patch=2)), filled(UNet(3, 1, **OPTIONS, patch=2))
    state = plain.state_dict()
    state["stem.weight"] = F.pad(state["stem.weight"], (0, 0, 0, 0, 0, 8))
    more.load_state_dict(state)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.zeros(2, dtype=torch.float64)
    # The products are of other sizes, and their sums in another order.
    assert torch.allclose(plain(x[:, :1], t), more(x, t), atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ([3, 17, 31], {}, "17×31 cannot be cut by patch = 1 and halved 1 times; .* multiples of 2"),
        ([1, 28, 28], {"widths": [8, 8, 8, 8]}, "28×28 .* halved 3 times; .* multiples of 8"),
        ([1, 28, 28], {"widths": [8, 8, 8], "patch": 2}, "28×28 .* by patch = 2 and halved 2 times; .* multiples of 8"),
        ([1, 28, 27], {"widths": [8], "attention": [], "patch": 2}, "28×27 .* multiples of 2"),
        ([1, 8, 8], {"patch": 0}, "patch = 0; expected at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_at_once(shape, options, message):
    spec = {"kind": "unet", **OPTIONS, **options}
    for make in (lambda: TimedModel(shape, spec), lambda: make_network(spec, shape)):
        with pytest.raises(ValueError, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("patch", [1, 2, 7])
def test_sizes_that_fit_are_taken(patch):
    network = make_network({"kind": "unet", **OPTIONS, "patch": patch}, [1, 28, 28])
    assert network(torch.zeros(1, 1, 28, 28), torch.zeros(1)).shape == (1, 1, 28, 28)
