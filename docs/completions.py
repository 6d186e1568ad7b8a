"""Draws docs/images/fill.png: three digits, what is known of them, and six completions of each.

python docs/completions.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

import zoo_core
from zoo_core.filling import fill
from zoo_core.filling.masks import known_part

TARGET = Path(__file__).parent / "images" / "fill.png"
MASKS = ("left", "top", "around=8,8,12,12")
TIMES, STEPS, SEED, SCALE = 6, 20, 1, 4
UNKNOWN = 0.35
"""Grey level of what is not known."""


def main() -> None:
    model = zoo_core.load("ddpm-mnist")
    digits = zoo_core.sample(model, len(MASKS), seed=SEED)
    rows = []
    for digit, mask in zip(digits, MASKS, strict=True):
        known = known_part(digit[None], mask, model.space.user)
        made = fill(model, digit[None], known, n=TIMES, seed=SEED, steps=STEPS)
        drawn = [picture for each in made if isinstance(each, torch.Tensor) for picture in each]
        rows.append(torch.cat([digit, torch.where(known[0], digit, UNKNOWN), *drawn], dim=2))
    picture = (torch.cat(rows, dim=1)[0] * 255).round().to(torch.uint8).numpy()
    image = Image.fromarray(picture)
    image.resize((image.width * SCALE, image.height * SCALE), Image.Resampling.NEAREST).save(TARGET, optimize=True)
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
