"""Questions as people type them, and passages about them, written by a small language model.

Nothing is asked of them but to be about as many things as the web is: which passage answers, the teacher says.
"""

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from training.pairs import Judged
from training.settings import WrittenSettings

# Writes what follows each prompt: prompts, tokens at most, temperature, seed.
Write = Callable[[Sequence[str], int, float, int], Iterable[str]]
# A question with its passages.
Written = tuple[str, list[str]]

# How web searches begin, as everybody knows them.
# fmt: off
_OPENINGS = (
    "what is", "what is the", "what are the", "what does", "what causes", "what county is",
    "what is the difference between", "what year did", "what time does", "what kind of", "what happens if",
    "what type of", "how much does", "how much is a", "how many", "how long does it take to", "how long is",
    "how long do", "how old is", "how to", "how do you", "how does", "how far is", "how big is", "who is",
    "who was the", "who wrote", "who invented", "who plays", "who owns", "where is", "where was", "where do",
    "where can i find", "when is", "when did", "when was", "why is", "why do", "why did", "which", "is it",
    "is there", "is a", "can you", "can a", "do you need", "does", "are", "define", "definition of", "meaning of",
    "symptoms of", "side effects of", "causes of", "treatment for", "cost of", "average cost of",
    "average salary of a", "average temperature in", "population of", "weather in", "best time to", "types of",
    "benefits of", "difference between", "example of", "recipe for", "phone number for", "name of the", "largest",
    "foods that", "medicine for", "history of", "capital of", "distance from", "reviews of", "cheap",
    "requirements for", "should i",
)
# fmt: on
_EXAMPLES = 8
# A prompt goes on with more searches than the one that it begins; only whole lines are taken.
_LINES = 3
_QUESTION_TOKENS, _PASSAGE_TOKENS = 40, 104
_QUESTION_TEMPERATURE, _PASSAGE_TEMPERATURE = 1.0, 0.8
_REQUESTS = (
    "{}",
    "Answer in two or three sentences: {}",
    "Write a short encyclopedia paragraph that tells about: {}",
)
_CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
_WORDS_OF_A_QUESTION = range(2, 17)
_WORDS_OF_A_PASSAGE = range(8, 200)
_SENTENCE = re.compile(r"(?<=[.!?])\s")


def write_texts(write: Write, examples: Sequence[str], judged: Judged, settings: WrittenSettings) -> list[Written]:
    """Write questions and passages.

    Args:
        write: The language model.
        examples: Questions that people typed, which a prompt shows some of.
        judged: What the model is judged on: nothing of it is kept.
        settings: How much to write.
    """
    generator = np.random.default_rng(settings.seed)
    questions = _questions(write, examples, judged, settings, generator)
    asked = [question for question in questions for _ in range(settings.passages)]
    prompts = [_CHAT.format(_REQUESTS[generator.integers(len(_REQUESTS))].format(question)) for question in asked]
    by_question: dict[str, list[str]] = {question: [] for question in questions}
    for question, text in zip(asked, write(prompts, _PASSAGE_TOKENS, _PASSAGE_TEMPERATURE, settings.seed), strict=True):
        passage = whole_sentences(text)
        if len(passage.split()) in _WORDS_OF_A_PASSAGE and not judged.has_passage(passage):
            by_question[question].append(passage)
    return [(question, list(dict.fromkeys(passages))) for question, passages in by_question.items() if passages]


def _questions(
    write: Write, examples: Sequence[str], judged: Judged, settings: WrittenSettings, generator: np.random.Generator
) -> list[str]:
    openings = [_OPENINGS[generator.integers(len(_OPENINGS))] for _ in range(settings.prompts)]
    shown = (generator.choice(len(examples), _EXAMPLES, replace=False) for _ in openings)
    prompts = [
        "\n".join([*(examples[place] for place in places), opening])
        for places, opening in zip(shown, openings, strict=True)
    ]
    found: dict[str, None] = {}
    texts = write(prompts, _QUESTION_TOKENS, _QUESTION_TEMPERATURE, settings.seed)
    for opening, text in zip(openings, texts, strict=True):
        for line in (opening + text).split("\n")[:-1][:_LINES]:
            question = " ".join(line.split())
            if len(question.split()) in _WORDS_OF_A_QUESTION and not judged.has_question(question):
                found[question.lower()] = None
    return list(found)[: settings.questions]


def whole_sentences(text: str) -> str:
    """Put a text on one line, without a last sentence that was broken off.

    Examples:
        >>> whole_sentences("Eggs boil.  They take ten")
        'Eggs boil.'
    """
    line = " ".join(text.split())
    if line.endswith((".", "!", "?")):
        return line
    sentences = _SENTENCE.split(line)
    return " ".join(sentences[:-1]) or line
