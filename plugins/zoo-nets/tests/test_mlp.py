"""The perceptron: its Jacobian by forward mode is autograd's."""

from __future__ import annotations

import pytest
import torch

from zoo_nets.mlp import TimeMLP


@pytest.mark.parametrize("classes", [None, 3])
def test_forward_mode_is_autograd(classes):
    """To 1e-12 in float64; so are the derivatives of the trace with respect to the parameters."""
    network = TimeMLP(3, 2, width=16, depth=3, time_width=8, classes=classes).double()
    source = torch.Generator().manual_seed(0)
    for p in network.parameters():
        p.data.normal_(std=0.4, generator=source)
    x = torch.randn(5, 3, dtype=torch.float64, generator=source)
    t, label = torch.full((1,), 0.3, dtype=torch.float64), None if classes is None else torch.tensor([0, 1, 2, 3, 0])
    answer, jacobian = network.with_jacobian(x, t, label)
    assert torch.allclose(answer, network(x, t, label), atol=1e-12)
    whole = torch.func.jacrev(lambda y: network(y, t, label))(x)  # (n, out, n, in)
    theirs = torch.stack([whole[i, :, i].T for i in range(5)])
    assert torch.allclose(jacobian, theirs, atol=1e-12)
    one, two = (
        torch.autograd.grad(j.square().sum(), list(network.layers.parameters()), retain_graph=True)
        for j in (jacobian, theirs)
    )
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(one, two, strict=True))
