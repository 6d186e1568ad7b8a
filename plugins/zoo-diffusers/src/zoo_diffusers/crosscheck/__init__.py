r"""Whole trajectories of our samplers beside those of diffusers: same network, same noise, same times.

Any Gaussian path is a noise schedule of diffusers once its state is divided by √(α² + σ²): its ᾱ is α²/(α² + σ²), and
x̂ and ε̂ stay as they are.  So every table scheduler checks every path model.  Score-SDE, flow-matching and consistency
schedulers have paths of their own, and check models on those.

Where diffusers differs by convention, both are brought to one:

- its float32 tables are replaced by ours in float64 (1 − ᾱ_0 is otherwise wrong by up to 5e-4);
- the number of steps divides the table (its DDIM takes t − T/steps for the next time whatever the grid), and the grid
  is ``trailing``; ``leading`` for schedulers whose state is x/α, which begins too large for float32 otherwise;
- its DDPM asks whether the index is 0, not whether the step is the last, and adds noise to the sample itself on grids
  that end elsewhere: x̂ is compared there;
- Euler, Heun, DPM-Solver++, UniPC and the flow schedulers round the state to float32 at every step: agreement ends at
  about 1e-6;
- score-SDE VE's predictor reads a rounded table of σ: ours is put in its place;
- score-SDE VP's dt is 1/N on a grid whose spacing is not: it is given a grid with that spacing;
- DPM-Solver++ of order 3 lacks a factor of 2 and has order 2 (`zoo_core.samplers.dpm_solver`): ours is compared with
  ``published=true``, which lacks it too;
- the consistency scheduler adds √(σ² − σ_min²)·z, we add σ·z: our z is scaled by the ratio.

Not compared, because they are wrong there: DDPM ``fixed_large_log`` (NaN), flow matching with a shift (applied twice),
UniPC ``bh1`` ending at σ = 0 (NaN).
"""
