"""What ``sample`` is asked for means one thing, or is refused in a line: seeds, counts, batch sizes, guidance."""

import numpy as np
import pytest
import torch

import zoo_core
from zoo_core.errors import ConditionError, IncompatibleError
from zoo_core.sampling import default_batch_size

RING = "gmm-eight-gaussians"


@pytest.fixture(scope="module")
def ring():
    return zoo_core.load(RING)


@pytest.mark.parametrize("seed", [None, "a", 1.5, True, 2.0, [1]], ids=repr)
def test_a_seed_is_an_integer(ring, seed):
    with pytest.raises(IncompatibleError, match=r"seed = .*; expected an integer"):
        zoo_core.sample(ring, 4, seed=seed)


@pytest.mark.parametrize("seed", [7, np.int64(7), np.uint8(7), torch.tensor(7)], ids=repr)
def test_integers_of_every_kind_are_the_same_seed(ring, seed):
    assert torch.equal(zoo_core.sample(ring, 4, seed=seed), zoo_core.sample(ring, 4, seed=7))


@pytest.mark.parametrize("seed", [-1, 2**31, 2**64 + 1, 10**30])
def test_a_seed_may_be_of_any_size(ring, seed):
    assert not torch.equal(zoo_core.sample(ring, 4, seed=seed), zoo_core.sample(ring, 4, seed=0))


@pytest.mark.parametrize(("n", "batch_size"), [(0, None), (-3, None), (1.0, None), (4, 0), (4, 2.5)])
def test_counts_are_integers_from_one(ring, n, batch_size):
    with pytest.raises(IncompatibleError, match=r"n = |batch_size = "):
        zoo_core.sample(ring, n, batch_size=batch_size)


def test_the_chosen_batch_size_changes_no_sample(ring):
    assert default_batch_size(ring) > 1000
    assert torch.equal(zoo_core.sample(ring, 3000), zoo_core.sample(ring, 3000, batch_size=64))


@pytest.mark.parametrize(
    ("guidance", "words"),
    [(3.0, "does not guide"), (float("nan"), "finite number"), ("2", "finite number"), (True, "finite number")],
)
def test_guidance_that_means_nothing_is_refused(ring, guidance, words):
    with pytest.raises(IncompatibleError, match=words):
        zoo_core.sample(ring, 4, guidance=guidance)


def test_guidance_of_an_unconditional_path_model_is_refused():
    with pytest.raises(IncompatibleError, match="this model is unconditional: there is nothing to follow"):
        zoo_core.sample("ddpm-moons", 4, guidance=3.0, steps=2)


def test_a_mapping_of_arrays_is_a_condition():
    model = zoo_core.load("cgan-mnist")
    one = zoo_core.sample(model, 2, condition={"label": [3, 3]})
    for same in ({"label": 3}, {"label": np.array([3, 3])}, {"label": torch.tensor([3])}):
        assert torch.equal(one, zoo_core.sample(model, 2, condition=same))
    for wrong in ({"label": True}, {"label": "seven"}, {"label": 10}, {"label": 2.5}, {"speaker": 1}, {"label": []}):
        with pytest.raises(ConditionError):
            zoo_core.sample(model, 2, condition=wrong)
