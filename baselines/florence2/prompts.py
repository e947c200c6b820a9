"""The prompts of the three tasks, as the paper's code gives them to Florence-2's processor.

Sources: arXiv 2511.04384 for the task tokens and the wording of the explanation prompt; the processor of
``florence-community/Florence-2-base`` for the layout (image tokens, begin, prompt, end) and for the sentence
into which it turns ``<REFERRING_EXPRESSION_SEGMENTATION>``.
"""

from __future__ import annotations

ANSWER_TOKEN = "<MedVQA>"
EXPLAIN_TOKEN = "<MedVQA_EXPLAIN>"
GROUND_TOKEN = "<REFERRING_EXPRESSION_SEGMENTATION>"
TASK_TOKENS = (ANSWER_TOKEN, EXPLAIN_TOKEN, GROUND_TOKEN)

# What a model trained with negatives says to a phrase that nothing in the image fits.
NOTHING_THERE = "none"

CAPTION_PROMPT = "What does the image describe?"
DETECTION_PROMPT = "Locate the objects with category name in the image."


def answer_prompt(question: str) -> str:
    """Prompt for an answer."""
    return f"{ANSWER_TOKEN} {question}"


def explain_prompt(question: str) -> str:
    """Prompt for an explanation; as in the paper, the answer is not part of it."""
    return f"{EXPLAIN_TOKEN} {question} Explain in Detail."


def ground_prompt(phrase: str, *, microsoft: bool = False) -> str:
    """Prompt for the region of a phrase: what the processor makes of ``GROUND_TOKEN phrase``.

    Args:
        microsoft: as the processor of ``microsoft/Florence-2-base`` does, which takes the task token out of the text
            and leaves the space behind it: two spaces before the phrase.
    """
    gap = "  " if microsoft else " "
    return f"Locate{gap}{phrase.strip()} in the image with mask"


def told(*, microsoft: bool = False) -> dict[str, str]:
    """The prompt of every task with a place for what is asked, as a manifest keeps it."""
    return {
        "answer": answer_prompt("{question}"),
        "explain": explain_prompt("{question}"),
        "ground": ground_prompt("{phrase}", microsoft=microsoft),
    }
