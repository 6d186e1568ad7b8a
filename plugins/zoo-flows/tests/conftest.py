"""What the tests of flows share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def same_starts() -> Iterator[None]:
    """Fresh networks draw their first weights from torch's generator: each test begins with the same ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
