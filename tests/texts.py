"""Texts that several tests rank."""

import random

from tests.tiny_models import WORDS

QUERY = "who wrote hamlet"
DOCUMENTS = [
    "bread is baked in the capital of germany",
    "shakespeare wrote hamlet",
    "plants turn sunlight into sugar by photosynthesis",
    "aspirin relieves headache",
    "paris is the capital of france",
    "",
    "entanglement",
]

PHOTOSYNTHESIS = "How does photosynthesis work in plants?"
ASPIRIN = "What are the side effects of aspirin?"
TRAPS = [
    "Photosynthesis uses sunlight to convert CO2 and water into glucose.",
    "Aspirin can cause stomach irritation and bleeding in some patients.",
    "Plants have green leaves due to chlorophyll pigment.",
    "Photosynthesis produces oxygen as a byproduct.",
]
APPLE = "What AI features has Apple just released?"
APPLE_DOCUMENTS = [
    "Apple Intelligence brings writing tools, image generation and a smarter Siri to iPhone, iPad and Mac.",
    "Apple's latest event presents a new iPhone and health features.",
]
ENTANGLEMENT = "Explain quantum entanglement"
ENTANGLEMENT_DOCUMENTS = [
    "Quantum entanglement is a phenomenon where particles remain connected regardless of distance.",
    "Entangled states collapse upon measurement, revealing non-local correlations.",
    "Classical physics explains motion using Newton's laws.",
]


def mixed_lengths(count: int, *, seed: int = 0, longest: int = 60) -> list[str]:
    """Seeded documents of one to `longest` words."""
    chooser = random.Random(seed)
    return [" ".join(chooser.choices(WORDS, k=chooser.randint(1, longest))) for _ in range(count)]
