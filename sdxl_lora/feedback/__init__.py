"""Make a picture, judge it, try again with better luck or better words; learn from people's votes.

Knows a generator and a judge by two protocols, and nothing of pages or records.
"""

from sdxl_lora.feedback.attempts import Attempt, Begun, Finished, Generator, Judge, Policy, Sketching
from sdxl_lora.feedback.loop import improve

__all__ = ["Attempt", "Begun", "Finished", "Generator", "Judge", "Policy", "Sketching", "improve"]
