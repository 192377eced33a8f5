"""Best-of-N search: make a picture, judge it, try again with better luck or better words, keep the best.

Sketches, calibrated thresholds and levels belong to it. Knows a generator and a judge by two protocols, and nothing of
pages, people's votes or records.
"""

from sdxl_lora.search.attempts import Attempt, Begun, Finished, Generator, Judge, Policy, Sketching
from sdxl_lora.search.best_of_n import best_of_n

__all__ = ["Attempt", "Begun", "Finished", "Generator", "Judge", "Policy", "Sketching", "best_of_n"]
