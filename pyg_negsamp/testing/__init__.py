"""The sampler contract as tests to inherit, for this library's samplers and for yours.

Needs pytest, which the extra `test` installs.
"""

from pyg_negsamp.testing.contract import SamplerContract
from pyg_negsamp.testing.toy_problem import Toy, toy

__all__ = ["SamplerContract", "Toy", "toy"]
