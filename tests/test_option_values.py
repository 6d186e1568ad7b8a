"""Options of samplers: what is no value of the type that a parameter is annotated with is refused, of every sampler."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

import zoo_core
from zoo_core import plugins
from zoo_core.errors import IncompatibleError, ZooError
from zoo_core.plugins.catalogue import resolve
from zoo_core.plugins.option_values import wrong_option
from zoo_core.sampling import make_sampler

if TYPE_CHECKING:
    from decimal import Decimal

MOONS, RING, COND, CGAN = "ddpm-moons", "gmm-eight-gaussians", "ddpm-mnist-cond", "cgan-mnist"


class Made:
    def __init__(
        self,
        steps: int | None = None,
        eta: float = 0.0,
        clip: bool | None = None,
        kind: Literal["small", "large"] = "small",
        mask: str | Sequence[float] = "left",
        options: Mapping[str, int] | None = None,
        anything=None,
    ) -> None: ...


@pytest.mark.parametrize(
    "right",
    [
        {"steps": 3}, {"steps": None}, {"steps": np.int64(3)}, {"eta": 1}, {"eta": np.float32(0.5)}, {"clip": False},
        {"kind": "large"}, {"mask": [0, 1.0]}, {"mask": "a.png"}, {"mask": ()}, {"options": {"a": "b"}},
        {"anything": object()}, {"no such": 1},
    ],
)  # fmt: skip
def test_what_an_option_may_be(right):
    assert wrong_option(Made, right) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"steps": 1.5}, "steps = 1.5; expected an integer or null"),
        ({"steps": True}, "steps = True; expected an integer or null"),
        ({"steps": "3"}, "steps = '3'; expected an integer or null"),
        ({"eta": "nan"}, "eta = 'nan'; expected a finite number"),
        ({"eta": float("nan")}, "eta = NaN; expected a finite number"),
        ({"eta": float("inf")}, "eta = inf; expected a finite number"),
        ({"eta": False}, "eta = False; expected a finite number"),
        ({"eta": None}, "eta = None; expected a finite number"),
        ({"clip": 1}, "clip = 1; expected true or false or null"),
        ({"clip": "yes"}, "clip = 'yes'; expected true or false or null"),
        ({"kind": "medium"}, "kind = 'medium'; expected small or large"),
        ({"mask": 3}, r"mask = 3; expected a word or a list, \[…\]"),
        ({"mask": [0, "x"]}, r"mask = \[0, 'x'\]; expected a word or a list"),
        ({"mask": {"a": 1}}, r"mask = {'a': 1}; expected a word or a list"),
        ({"options": [1]}, r"options = \[1\]; expected a table, {…} or null"),
        ({"eta": 0.5, "steps": [3]}, r"steps = \[3\]; expected an integer or null"),
    ],
)
def test_what_it_may_not_be(wrong, words):
    with pytest.raises(AssertionError, match=f"^{words}"):
        raise AssertionError(wrong_option(Made, wrong))


def test_annotations_that_cannot_be_read_take_anything():
    def make(x: Decimal = 3, y: int = 1) -> None: ...

    assert wrong_option(make, {"x": 1, "y": 1.5}) is None
    assert wrong_option(make, {"y": 10**400}) is None


VALUES = [1.5, "a", True, None, [1], {}, float("nan"), float("inf"), -1]


def test_every_sampler_refuses_what_its_options_cannot_be():
    """Each option of each sampler with each of nine values: a sampler, or one line with the option's name in it."""
    models = [zoo_core.load(name) for name in (MOONS, RING, "nsf-moons")]
    tried, unclear = 0, []
    for component in plugins.load().catalogue.all("sampler"):
        names = [p for p in inspect.signature(resolve(component.target)).parameters if p != "self"]
        for model in models:
            try:
                make_sampler(model, component.name)
            except ZooError:
                continue
            for name in names:
                for value in VALUES:
                    try:
                        make_sampler(model, component.name, **{name: value})
                    except ZooError as err:
                        if "\n" in str(err) or "supported between" in str(err):
                            unclear.append(f"{component.name} {name} = {value!r}: {err}")
                    tried += 1
    assert not unclear
    assert tried > 500


CASES = {
    (MOONS, "--guidance", "3"): "guidance = 3; this model is unconditional: there is nothing to follow",
    (MOONS, "--guidance", "nan"): "guidance = nan; expected a finite number",
    (COND, "--label", "3", "--guidance", "nan"): "guidance = nan; expected a finite number",
    (COND, "--label", "3", "--guidance", "inf"): "guidance = inf; expected a finite number",
    (COND, "--guidance", "3"): "guidance = 3 follows a condition; give one of label",
    (RING, "--guidance", "3"): "guidance = 3; sampler 'direct' does not guide: leave it out",
    (MOONS, "--steps", "10", "--set", "steps=20"): "--steps 10 and --set steps=20 are one setting; leave one out",
    (MOONS, "--steps", "10", "--nfe", "20"): "--nfe 20 and --steps 10 both say how many steps to take",
    (MOONS, "--set", "steps=10", "--nfe", "20"): "--nfe 20 and --set steps=10 both say how many steps to take",
    (MOONS, "--set", "nfe=20"): "nfe is no option of a sampler; use --nfe 20",
    (RING, "--nfe", "20"): "sampler 'direct' takes no steps, so nfe = 20 cannot set them",
    (MOONS, "--sampler", "annealed-langevin", "--nfe", "1"): "nfe = 1; one step of 'annealed-langevin' costs",
    (MOONS, "--set", "steps=1.5"): "sampler 'ancestral' has steps = 1.5; expected an integer",
    (MOONS, "--set", "steps=ten"): "sampler 'ancestral' has steps = 'ten'; expected an integer",
    (MOONS, "--set", "steps=0"): "steps = 0",
    (MOONS, "--set", "clip=1"): "sampler 'ancestral' has clip = 1; expected true or false",
    (MOONS, "--set", "name=ddim"): "sampler 'ancestral' has no option 'name'",
    (MOONS, "--set", "model=ddim"): "sampler 'ancestral' has no option 'model'",
    (MOONS, "--set", "self=1"): "sampler 'ancestral' has no option 'self'",
    (MOONS, "--sampler", "ddim", "--set", "eta=NaN"): "sampler 'ddim' has eta = NaN; expected a finite number",
    (RING, "--sampler", "langevin", "--set", "step_size=big"): "step_size = 'big'; expected a finite number",
    ("nsf-moons", "--sampler", "tempered", "--set", "temperature=[1]"): "temperature = [1]; expected a finite number",
    (CGAN, "--condition", "label=true"): "condition 'label' = true is a truth value; expected an integer 0 … 9",
    (CGAN, "--condition", "label=[1,true]"): "is a truth value; expected an integer 0 … 9",
    (CGAN, "--condition", "label=three"): "condition 'label' = 'three' is unknown",
    (CGAN, "--condition", "label=3.5"): "condition 'label' = 3.5 is out of range; expected 0 … 9",
    (CGAN, "--condition", "label=10"): "condition 'label' = 10 is out of range; expected 0 … 9",
    (CGAN, "--condition", "label=null"): "condition 'label' = None cannot be read; expected an integer 0 … 9",
    (CGAN, "--condition", "label=[]"): "condition 'label' is empty",
    (CGAN, "--condition", "label={}"): "condition 'label' = {} cannot be read",
    (CGAN, "--condition", "label=[[1,2]]"): "condition 'label' is (2,) for each sample",
    (CGAN, "--condition", "label=1", "--label", "2"): "--label 2 and --condition label=1 are one setting",
    (CGAN, "--condition", "lable=1"): "this model has no condition 'lable'; it can be conditioned on label",
    (MOONS, "--condition", "label=1"): "it can be conditioned on nothing: it is unconditional",
    ("ddpm-mnist", "--sampler", "inpaint", "--set", "image=a.png", "--set", "mask=3"): "mask = 3; expected",
    ("ddpm-mnist", "--sampler", "inpaint", "--set", "image=a.png"): "cannot use 'a.png'",
    ("ddpm-mnist", "--sampler", "inpaint", "--set", "image=3"): "image = 3; expected a word or null",
    (MOONS, "--sampler", "inpaint", "--set", "clip=true"): "cannot clip: this sample space has no bounds",
    (MOONS, "--sampler", "sdedit", "--set", "sampler=3"): "sampler = 3; expected a word",
    (MOONS, "--sampler", "sdedit", "--set", 'options={"eta":"x"}'): "eta = 'x'; expected a finite number",
}


@pytest.mark.parametrize("arguments", CASES, ids=" ".join)
def test_a_wrong_option_is_one_line_with_the_exit_code_of_wrong_usage(run, arguments):
    code, out, err = run("sample", *arguments, "-n", "2")
    assert (code, out) == (2, "")
    assert CASES[arguments] in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1 or "Usage:" in err


def test_a_mapping_of_what_a_user_writes_is_a_condition():
    """Lists, arrays and tensors alike; a list goes round."""
    import torch

    model = zoo_core.load(CGAN)
    wanted = zoo_core.sample(model, 4, condition={"label": torch.tensor([3, 7, 3, 7])})
    for value in ([3, 7], (3, 7), np.array([3, 7]), torch.tensor([3, 7]), [3, 7, 3, 7]):
        assert torch.equal(zoo_core.sample(model, 4, condition={"label": value}), wanted)
    one = zoo_core.sample(model, 2, condition={"label": np.int64(3)})
    assert torch.equal(one, zoo_core.sample(model, 2, condition={"label": 3}))
    for value in (np.array([3.0, 7.0]), np.array([True, False]), np.array(["3", "7"]), [[3], [7]]):
        with pytest.raises(ZooError, match="condition 'label'"):
            zoo_core.sample(model, 4, condition={"label": value})


def test_a_budget_of_evaluations_sets_the_steps(run, tmp_path):
    """31 evaluations of Heun are 16 steps, the last of which is Euler's."""
    import safetensors.torch

    for name, arguments in (("a", ["--nfe", "31"]), ("b", ["--steps", "16"]), ("c", ["--steps", "17"])):
        assert run("sample", MOONS, "-n", "3", "--sampler", "heun", *arguments, "--out", f"{name}.safetensors")[0] == 0
    a, b, c = (safetensors.torch.load_file(tmp_path / f"{name}.safetensors")["samples"] for name in "abc")
    assert a.equal(b)
    assert not a.equal(c)


def test_a_name_may_be_that_of_an_argument():
    with pytest.raises(IncompatibleError, match="has no option 'name'"):
        make_sampler(zoo_core.load(MOONS), "ddim", **json.loads('{"name": 1}'))
