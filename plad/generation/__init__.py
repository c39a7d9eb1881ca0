"""Who answers prompts, and how."""

from plad.generation.base import Generator, Sampling
from plad.generation.hf import HFGenerator

GENERATORS = {"hf": HFGenerator}

__all__ = ["GENERATORS", "Generator", "HFGenerator", "Sampling"]
