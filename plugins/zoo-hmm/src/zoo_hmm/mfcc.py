r"""Mel-frequency cepstral coefficients (Davis & Mermelstein 1980): what a front end of speech recognition sees.

    s_t ← s_t − 0.97 s_{t−1};   windows of 25 ms each 10 ms, times Hamming's;   P = |FFT_256|²;
    E_k = Σ_f H_k(f) P(f), 26 triangles of equal width in mel(f) = 2595 log₁₀(1 + f/700) from 0 Hz to rate/2;
    c = orthonormal DCT-II of log(E + 1e-10), of which c_0 … c_12 are kept;
    Δc_t = Σ_{k=1,2} k (c_{t+k} − c_{t−k}) / 10, the ends repeated.

The constants are for signals in [−1, 1) at 8 kHz; the last, incomplete window is filled with zeros.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

__all__ = ["COEFFICIENTS", "RATE", "mfcc"]

RATE = 8000
WINDOW, HOP, FFT = 200, 80, 256
FILTERS, COEFFICIENTS = 26, 13
EMPHASIS, LEAST = 0.97, 1e-10


def mfcc(signal: Tensor) -> Tensor:
    """Computes c_0 … c_12 and their differences over time, ``(time, 26)``.

    Args:
        signal: mono recording at 8 kHz in [−1, 1), ``(samples,)``; at least one sample.
    """
    signal = signal.double()
    signal = torch.cat([signal[:1], signal[1:] - EMPHASIS * signal[:-1]])
    frames = 1 + max(0, math.ceil((len(signal) - WINDOW) / HOP))
    padded = torch.nn.functional.pad(signal, (0, (frames - 1) * HOP + WINDOW - len(signal)))
    window = torch.hamming_window(WINDOW, periodic=False, dtype=torch.float64)
    power = torch.fft.rfft(padded.unfold(0, WINDOW, HOP) * window, FFT).abs().square()
    cepstra = (power @ _filters() + LEAST).log() @ _cosines()
    return torch.cat([cepstra, _differences(cepstra)], 1)


def _differences(c: Tensor) -> Tensor:
    """Computes Δc, ``(time, 13)``."""
    ends = torch.cat([c[:1], c[:1], c, c[-1:], c[-1:]])
    n = len(c)
    return (ends[3 : 3 + n] - ends[1 : 1 + n] + 2.0 * (ends[4 : 4 + n] - ends[:n])) / 10.0


@cache
def _filters() -> Tensor:
    """Returns the triangles H, ``(129, 26)``."""
    top = 2595.0 * math.log10(1.0 + RATE / 2 / 700.0)
    corners = 700.0 * (10.0 ** (torch.linspace(0.0, top, FILTERS + 2, dtype=torch.float64) / 2595.0) - 1.0)
    hertz = torch.linspace(0.0, RATE / 2, FFT // 2 + 1, dtype=torch.float64)[:, None]
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    return torch.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre)).clamp_min(0.0)


@cache
def _cosines() -> Tensor:
    """Returns the first columns of the orthonormal DCT-II, ``(26, 13)``."""
    k, j = torch.arange(FILTERS, dtype=torch.float64)[:, None], torch.arange(COEFFICIENTS, dtype=torch.float64)
    scale = torch.full((COEFFICIENTS,), math.sqrt(2.0 / FILTERS), dtype=torch.float64)
    scale[0] = math.sqrt(1.0 / FILTERS)
    return torch.cos(math.pi / FILTERS * (k + 0.5) * j) * scale
