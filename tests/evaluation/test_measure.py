"""What is measured survives the cache."""

from sdxl_lora.evaluation.measure import decode, encode
from sdxl_lora.scoring.lettering import OcrLine


def test_words_survive_the_cache() -> None:
    found = [OcrLine("NIKE", 0.5, ((1.0, 2.0), (3.0, 2.0), (3.0, 4.0), (1.0, 4.0)))]
    assert decode(encode(found)) == found
    assert decode(encode([])) == []
