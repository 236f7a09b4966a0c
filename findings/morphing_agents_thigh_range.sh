#!/usr/bin/env bash
# morphing-agents 1.5.1, the robots of Design-Bench's DKittyMorphology: `thigh_range`, four of the 56
# numbers of a design, is not in the model that MuJoCo is given. A thigh's joint and its motor have
# limits by `hip_range`. Nothing of it is documented.
# Seen: the model file of the usual design and that of one whose thigh ranges are four fifths are
# equal, as text; of one with other hip ranges, eight joints and eight motors have other limits, of
# hips and of thighs. (Its classes need mujoco-py, which MuJoCo 2.0 needs: here what they inherit
# from only notes the file that they write.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q setuptools==80.9.0 wheel==0.45.1 numpy==2.4.6
"$folder/venv/bin/pip" install -q --no-deps --no-build-isolation morphing-agents==1.5.1 robel==0.1.2
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.util
import sys
import types
import xml.etree.ElementTree as ET
from pathlib import Path
from unittest.mock import MagicMock

site = Path(importlib.util.find_spec("robel").origin).parent.parent
written = []


class Noting:
    def __init__(self, path, **_):
        written.append(Path(path).read_text())


gym = types.ModuleType("gym")
gym.Wrapper, gym.utils = type("Wrapper", (), {}), types.SimpleNamespace(EzPickle=type("E", (), {}))
sys.modules["gym"] = gym
for name in ("robel.dkitty", "robel.components.robot", "robel.components.tracking",
             "robel.simulation.randomize", "robel.utils.configurable", "robel.utils.math_utils",
             "robel.utils.resources", "robel.components", "robel.simulation", "robel.utils"):
    sys.modules[name] = MagicMock()
base = types.ModuleType("robel.dkitty.base_env")
base.BaseDKittyEnv, base.DEFAULT_DKITTY_CALIBRATION_MAP = Noting, {}
sys.modules["robel.dkitty.base_env"] = base
for name in ("morphing_agents", "morphing_agents.mujoco", "morphing_agents.mujoco.dkitty"):
    # Without what these import of other robots.
    package = types.ModuleType(name)
    package.__path__ = [str(site.joinpath(*name.split(".")))]
    sys.modules[name] = package

from morphing_agents.mujoco.dkitty.designs import DEFAULT_DESIGN
from morphing_agents.mujoco.dkitty.env import DKittyEnv

model = str(next(site.rglob("dkitty_walk-v0.xml")))


def limits(**changed):
    DKittyEnv(model, design=[leg._replace(**changed) for leg in DEFAULT_DESIGN])
    root = ET.fromstring(written[-1])
    joints = {j.get("name"): j.get("range") for j in root.iter("joint") if j.get("name")}
    motors = {m.get("name"): m.get("ctrlrange") for m in root.iter("position")}
    return joints, motors


usual = limits()
narrow = limits(thigh_range=0.8 * DEFAULT_DESIGN[0].thigh_range)
print("equal with narrower thigh ranges:", written[0] == written[1])
assert written[0] == written[1]
wide = limits(hip_range=0.8 * DEFAULT_DESIGN[0].hip_range)
for before, after in zip(usual, wide):
    changed = sorted(name for name in before if before[name] != after[name])
    print("other limits with other hip ranges:", *changed)
    assert len(changed) == 8
    assert {name.split("J")[1][-1] for name in changed} == {"0", "1"}
PYTHON
