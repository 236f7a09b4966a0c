#!/usr/bin/env bash
# gymnasium 1.4.0 (mujoco 4.0.0), Hopper-v5: an action beyond its space, [-1, 1], moves the robot as
# the nearest one within does, to the last bit, and is paid for as it was given. A policy with a
# linear last layer, as those of Design-Bench's Hopper, so has a return that says how large its
# outputs are beside what it does. Nothing warns of it.
# Seen: after one step of (50, -50, 50) and of (1, -1, 1) equal observations, and rewards that differ
# by 7.497 = 0.001 · 3 · (50² - 1).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 'gymnasium[mujoco]==1.4.0' mujoco==4.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import warnings

import gymnasium
import numpy as np

warnings.simplefilter("error")
seen = []
for size in (1.0, 50.0):
    env = gymnasium.make("Hopper-v5", reset_noise_scale=0.0).unwrapped
    env.reset(seed=0)
    observation, reward, *_ = env.step(size * np.array([1.0, -1.0, 1.0]))
    seen.append((observation, reward))
(within, reward), (beyond, less) = seen
print("the same observation:", np.array_equal(within, beyond), "less by", round(reward - less, 6))
assert np.array_equal(within, beyond)
assert abs(reward - less - 1e-3 * 3 * (50**2 - 1)) < 1e-9
PYTHON
