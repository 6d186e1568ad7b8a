"""Takes the steps of a recursion over time on one thread.

A step is a product of a few thousand numbers, of some microseconds.  Threads that share it wait for one another, which
takes longer than the step, and milliseconds where another process has one of their cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets the operations within use one thread, and as many as before after it; also a decorator."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
