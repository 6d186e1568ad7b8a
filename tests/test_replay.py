"""Networks that are replayed from CUDA graphs: on a GPU the same training, elsewhere a sentence that says why not."""

import pytest
import torch

from zoo_core import registry
from zoo_core.interfaces import Batch, Condition, Streams
from zoo_core.loading import build
from zoo_core.plugins.catalogue import resolve
from zoo_core.training.replay import MOST, PLAIN, replayed

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need an NVIDIA GPU")

OBJECTIVES = {
    "cfm-mnist-cond": "zoo_flow_matching.objective:FlowMatchingLoss",
    "ddpm-mnist": "zoo_ddpm.objective:Simple",
    "meanflow-mnist": "zoo_flow_matching.mean_flow_objective:MeanFlowLoss",
}


def trained(name, fast, steps=12):
    """Trains for a few steps on noise; returns the losses and the parameters."""
    model = build(registry.load().get(name), 0).cuda()
    objective = resolve(OBJECTIVES[name])()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    losses = []
    label = Condition(label=torch.arange(8) % 10).to("cuda") if model.conditions else None

    def step(i):
        x = Streams(0, f"x{i}", 0, 8, device="cuda").uniform(*model.space.sizes) * 2 - 1
        (loss,) = list(objective.losses(model, Batch(x, label, step=i), Streams(0, f"train/{i}", 0, 8, device="cuda")))
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
        losses.append(loss.value.item())

    if fast:
        with replayed(model, torch.device("cuda")) as chosen:
            assert "CUDA graphs" in chosen
            for i in range(steps):
                step(i)
            graphs = len(model.network.forward.graphs)
        assert steps > PLAIN
        assert 1 <= graphs <= MOST
    else:
        for i in range(steps):
            step(i)
    return torch.tensor(losses), torch.cat([p.detach().flatten() for p in model.parameters()])


@needs_cuda
@pytest.mark.parametrize("name", OBJECTIVES)
def test_replayed_training_is_the_same_training(name):
    was, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        (plain, weights), (fast, replayed_weights) = trained(name, False), trained(name, True)
    finally:
        torch.backends.cudnn.allow_tf32 = was
    # The kernels are the same, but cuDNN may choose another algorithm, and Adam divides rounding errors by themselves.
    assert torch.allclose(plain, fast, rtol=1e-3)
    assert (weights - replayed_weights).abs().mean() < 1e-4


@needs_cuda
def test_the_network_is_as_before_afterwards():
    model = build(registry.load().get("cfm-mnist-cond"), 0).cuda()
    with pytest.raises(KeyboardInterrupt), replayed(model, torch.device("cuda")):
        raise KeyboardInterrupt
    assert "forward" not in vars(model.network)


def test_without_a_gpu_it_says_why():
    model = build(registry.load().get("cfm-moons"), 0)
    with replayed(model, torch.device("cpu")) as chosen:
        assert chosen == "steps are taken as without --fast: cpu has no graphs"
        assert "forward" not in vars(model.network)
