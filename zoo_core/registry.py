"""The catalogue of models: ``registry.toml``, plugins' fragments, the user's overlay.  Data only; imports no plugin."""

from __future__ import annotations
