"""Draws docs/images/strip.png, the strip at the head of the README: six models, eight digits each, one seed.

python docs/strip.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

import zoo_core

TARGET = Path(__file__).parent / "images" / "strip.png"
MODELS = {
    "vae-mnist": "VAE",
    "wgan-gp-mnist": "GAN",
    "glow-mnist": "normalizing flow",
    "ddpm-mnist": "DDPM",
    "cfm-mnist": "flow matching",
    "consistency-mnist": "consistency model",
}
"""The models, in the order in which they are read, and what they are."""
DIGITS, SEED = 8, 0
SCALE, COLUMNS = 2, 2
LABEL, GAP = 24, 16
"""Pixels above a row of digits, and between two of them."""


def label(name: str) -> str:
    """What a model is, its name, and the steps in which it draws."""
    [entry] = (entry for entry in zoo_core.find(name) if entry.id == name)
    steps = entry.sampler.options.get("steps") if entry.sampler else None
    return f"{MODELS[name]}: {name}" + (f", {steps} steps" if steps else "")


def row(name: str) -> Image.Image:
    """The first digits of a model, one beside the other, black on white."""
    digits = zoo_core.sample(name, DIGITS, seed=SEED)
    grey = (255 * (1 - torch.cat(list(digits[:, 0]), dim=1))).round().to(torch.uint8)
    image = Image.fromarray((grey // 16 * 17).numpy())  # sixteen levels: half of the bytes, and no eye sees it
    return image.resize((SCALE * image.width, SCALE * image.height), Image.Resampling.NEAREST)


def strip() -> Image.Image:
    """All rows with their labels, in columns."""
    rows = {name: row(name) for name in MODELS}
    width, height = next(iter(rows.values())).size
    lines = -(-len(rows) // COLUMNS)
    size = (COLUMNS * (width + GAP) + GAP, lines * (LABEL + height + GAP) + GAP // 2)
    page = Image.new("L", size, 255)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for i, (name, image) in enumerate(rows.items()):
        left, top = GAP + i % COLUMNS * (width + GAP), GAP // 2 + i // COLUMNS * (LABEL + height + GAP)
        draw.text((left, top), label(name), fill=0, font=font)
        page.paste(image, (left, top + LABEL))
    return page


def main() -> None:
    """The command line."""
    strip().save(TARGET, optimize=True)
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
