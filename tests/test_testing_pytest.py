"""The kit's pytest plugin: what it costs, its fixtures, and a run of a suite that uses it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from zoo_core import plugins
from zoo_core.fetching import download
from zoo_core.interfaces import SampleSpace
from zoo_core.testing.comparing import same

PLUGIN = """
    from zoo_core.plugins.hookspecs import hookimpl

    ZOO_API = (1, 0)

    @hookimpl
    def zoo_register(catalogue):
        catalogue.sampler("toy", "zoo_toy.parts:Toy", "a toy", needs=["Denoiser"])
"""

SUITE = """
from zoo_core.testing import parametrize_with_checks

@parametrize_with_checks(
    "zoo-core",
    expected_failures={
        "check_sampler_draws_what_is_asked[direct]": "it does, and that is an error here",
        "check_sampler_lets_no_batch_mate_matter[direct]": "it lets none, and that is an error too",
    },
)
def test_conformance(check):
    if "batch_mate" in check.key:
        raise AssertionError("as expected")
    check()
"""


def test_every_pytest_of_the_machine_pays_nothing_for_it():
    """pytest imports the plugin in every project: neither torch nor numpy nor a plugin of the zoo comes with it."""
    code = (
        "import sys; before = set(sys.modules); import zoo_core.testing.pytest_plugin, zoo_core.testing; "
        "print([m for m in set(sys.modules) - before if m.split('.')[0] in ('torch', 'numpy')], "
        "sorted(m for m in set(sys.modules) - before if m.startswith('zoo_core')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] ['zoo_core', 'zoo_core.testing', 'zoo_core.testing.pytest_plugin']"


def test_a_plugin_is_installed_and_forgotten(zoo_install, zoo_site):
    assert zoo_install("zoo-toy", PLUGIN, modules={"parts": "Toy = 1"}) == "zoo_toy"
    assert plugins.load().catalogue.get("sampler", "toy").plugin == "zoo-toy"
    assert (zoo_site / "zoo_toy" / "parts.py").read_text(encoding="utf-8") == "Toy = 1"
    assert "zoo_toy.plugin" in sys.modules


def test_and_is_gone_afterwards():
    assert "toy" not in [c.name for c in plugins.load().catalogue.all("sampler")]
    assert not [name for name in sys.modules if name.startswith("zoo_toy.")]


def test_the_hub_is_the_one_that_this_process_talks_to(zoo_hub):
    commit = zoo_hub.add_repo("org/toy", {"config.json": b"{}"})
    path = download("org/toy", "config.json", commit, name="hf:org/toy")
    assert path.read_bytes() == b"{}"
    assert len(zoo_hub.downloads()) >= 1


SPACES = [
    SampleSpace("image", (1, 8, 8), 0.0, 1.0),
    SampleSpace("points", (2,)),
    SampleSpace("sequence", (None, 3)),
    SampleSpace("tokens", (12,), vocabulary=5),
    SampleSpace("audio", (1, 32), -1.0, 1.0, rate=8000),
]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.kind)
def test_tiny_data_for_every_space(zoo_tiny_data, space):
    few, many = zoo_tiny_data(space, 4), zoo_tiny_data(space, 9)
    assert len(many) == 9
    assert same(few.x, many.x[:4])
    assert all(size in (None, found) for size, found in zip(space.shape, few.x.shape[1:], strict=True))
    assert not same(few.x, zoo_tiny_data(space, 4, seed=1).x)
    if space.kind == "image":
        assert few.x.dtype == torch.uint8
    elif space.low is not None:
        assert space.low <= few.x.min()
        assert few.x.max() <= space.high


@pytest.mark.slow
def test_a_suite_of_an_author(tmp_path):
    """Items have readable ids; a failure that was expected is an xfail, one that did not come is a failure."""
    (tmp_path / "test_conformance.py").write_text(SUITE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rxf", "-k", "direct", "-p", "no:cacheprovider", "--strict-markers"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "XFAIL test_conformance.py::test_conformance[check_sampler_lets_no_batch_mate_matter[direct]]" in done.stdout
    assert "XPASS(strict)" in done.stdout
    assert "1 failed, 2 passed" in done.stdout
