"""Replays the calls of networks from CUDA graphs, so that a call costs one launch in place of hundreds.

Small networks keep a GPU waiting for the processor: a U-Net of 28×28 images launches 700 kernels in a step, each of a
few microseconds.  A graph holds all kernels of a call, with the memory that they use.  Calls are recorded after a few
plain ones, one graph for each shape of the arguments; values are copied into the graph's memory and read from it.

Networks are recorded, not whole steps, since everything around them (times, noise, couplings, solvers) may look at
values and decide.  A graph's backward pass can be differentiated no further.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.interfaces import Model

__all__ = ["replayed"]

PLAIN = 3
"""Calls of one shape before it is recorded; shapes that come seldom, such as those of pictures, are not worth it."""

MOST = 4
"""Greatest number of graphs of one network, each of which keeps the activations of a batch."""


@contextmanager
def replayed(model: Model, device: torch.device) -> Iterator[str]:
    """Replays the networks of a model inside of the ``with`` block.

    Yields:
        A sentence that says what was chosen, and where nothing can be replayed, why.
    """
    networks = model.networks if device.type == "cuda" else ()
    if not networks:
        why = f"{type(model).__name__} names no networks" if device.type == "cuda" else f"{device.type} has no graphs"
        yield f"steps are taken as without --fast: {why}"
        return
    for network in networks:
        network.forward = _Replay(network)
    try:
        yield "the networks' calls are replayed from CUDA graphs"
    finally:
        for network in networks:
            del network.forward


class _Replay:
    """Stands in for the ``forward`` of a network, and calls it or replays it."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.plain = network, network.forward
        self.graphs: dict[Any, Callable[..., Tensor]] = {}
        self.calls: Counter[Any] = Counter()
        self.waiting = False
        """Whether a replayed call has not been differentiated yet: another would overwrite its activations.  After one
        that never is, calls with gradients are plain."""

    def __call__(self, *args: Any) -> Any:
        grad = torch.is_grad_enabled()
        if not all(isinstance(arg, Tensor) and arg.is_cuda for arg in args) or (grad and self.waiting):
            return self.plain(*args)
        shapes = tuple((arg.shape, arg.dtype, arg.requires_grad) for arg in args)
        key = (grad, torch.is_autocast_enabled("cuda"), self.network.training, shapes)
        if key not in self.graphs:
            self.calls[key] += 1
            if self.calls[key] <= PLAIN or len(self.graphs) >= MOST:
                return self.plain(*args)
            self.graphs[key] = self._with_gradient(args) if grad else self._without_gradient(args)
        out = self.graphs[key](*args)
        if grad:
            self.waiting = True
            out.register_hook(self._done)  # type: ignore[no-untyped-call]
        return out

    def _done(self, gradient: Tensor) -> None:
        self.waiting = False

    def _with_gradient(self, args: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        """Records a forward and a backward pass; the module's own ``forward`` is in place meanwhile."""
        mine = self.network.__dict__.pop("forward")
        try:
            sample = tuple(arg.detach().clone().requires_grad_(arg.requires_grad) for arg in args)
            torch.cuda.make_graphed_callables(self.network, sample, allow_unused_input=True)
            recorded: Callable[..., Tensor] = self.network.forward
        finally:
            self.network.forward = mine
        return recorded

    def _without_gradient(self, args: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        """Records a forward pass; its output is copied, since the next call overwrites it."""
        inside = [arg.clone() for arg in args]
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            out = self.plain(*inside)

        def replay(*args: Tensor) -> Tensor:
            for place, arg in zip(inside, args, strict=True):
                place.copy_(arg)
            graph.replay()
            return out.clone()

        return replay
