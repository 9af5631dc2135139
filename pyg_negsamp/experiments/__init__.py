"""From a configuration to a tested model, to tables and searches: one protocol for all methods."""

from pyg_negsamp.experiments.arguments import ConfigError
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.data import load_data
from pyg_negsamp.experiments.parts import PROTOCOLS
from pyg_negsamp.experiments.run import Outcome, run, train

__all__ = ["PROTOCOLS", "Config", "ConfigError", "Outcome", "load_data", "run", "train"]
