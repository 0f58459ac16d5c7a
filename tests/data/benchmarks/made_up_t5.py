"""Made-up rows of T5's tasks, what becomes of them, and what some answers to them score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Case(NamedTuple):
    """One scored split of a task.

    Attributes:
      rows: as released.
      examples: prompt and target of each.
      answers: what a model might answer.
      scores: of these answers, by hand, with the use of the labels in a classification.
    """

    rows: Sequence[Any]
    examples: Sequence[tuple[str, str]]
    answers: Sequence[str]
    scores: Mapping[str, float]


def label_use(invalid: float, classes: int, ending: str = "") -> dict[str, float]:
    """What is measured of a classification's labels, under the records' names."""
    return {f"invalid_rate{ending}": invalid, f"predicted_classes{ending}": float(classes)}


def _texts(
    name: str,
    fields: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    answers: Sequence[str],
    scores: Mapping[str, float],
    **others: Any,
) -> Case:
    """A case of texts with a label; T5's prompt names the fields in alphabetical order.

    Args:
      fields: names of the texts.
      rows: texts, number of the label, and target of each example.
      others: fields with one value in all rows.
    """
    released, examples = [], []
    for number, (*texts, label, target) in enumerate(rows):
        named = dict(zip(fields, texts, strict=True))
        released.append({**named, **others, "label": label, "idx": number})
        examples.append((" ".join([name, *(f"{f}: {named[f]}" for f in sorted(fields))]), target))
    return Case(released, examples, answers, scores)


_MNLI = _texts(
    "mnli",
    ("premise", "hypothesis"),
    [
        ("Dough rose.", "It grew.", 0, "entailment"),
        ("Dough rose.", "It was rye.", 1, "neutral"),
        ("Dough rose.", "It fell.", 2, "contradiction"),
    ],
    ["entailment", "contradiction", "maybe"],
    {},
)


def _similar(name: str, first: str, second: str, no: str, yes: str) -> Case:
    # Four answers to labels 1 1 0 0: right, wrong, right, and no label at all, which T5's F1 counts
    # as the other label. One true positive, one false negative, one false positive: F1 is 1/2.
    return _texts(
        name,
        (first, second),
        [("Bake.", f"Heat {i}.", int(i < 2), yes if i < 2 else no) for i in range(4)],
        [yes, no, no, "perhaps"],
        {"f1": 50.0, "accuracy": 50.0, **label_use(25.0, 3)},
    )


def _rte(first: str, second: str, answer: str, scores: Mapping[str, float]) -> Case:
    rows = [
        ("Dough rose.", "It grew.", 0, "entailment"),
        ("Dough rose.", "It fell.", 1, "not_entailment"),
    ]
    return _texts("rte", (first, second), rows, [answer, "not_entailment"], scores)


TFDS: dict[tuple[str, str], Case] = {
    ("glue", "cola"): _texts(
        "cola",
        ["sentence"],
        [
            ("Bread rises.", 1, "acceptable"),
            ("Dough rests.", 1, "acceptable"),
            ("Rises bread.", 0, "unacceptable"),
            ("Rests the.", 0, "unacceptable"),
        ],
        ["acceptable", "unacceptable", "unacceptable", "unacceptable"],
        # tp 1, fn 1, tn 2: (1·2 − 0) / √(1·2·2·3).
        {"matthews_corrcoef": 100 / 3**0.5, **label_use(0.0, 2)},
    ),
    ("glue", "mnli"): _MNLI,
    ("glue", "mnli_matched"): _MNLI._replace(
        scores={"accuracy_matched": 100 / 3, **label_use(100 / 3, 3, "_matched")}
    ),
    ("glue", "mnli_mismatched"): _MNLI._replace(
        answers=["entailment", "neutral", "x"],
        scores={"accuracy_mismatched": 200 / 3, **label_use(100 / 3, 3, "_mismatched")},
    ),
    ("glue", "mrpc"): _similar("mrpc", "sentence1", "sentence2", "not_equivalent", "equivalent"),
    ("glue", "qnli"): _texts(
        "qnli",
        ("question", "sentence"),
        [("Who?", "A baker did.", 0, "entailment"), ("Who?", "It rained.", 1, "not_entailment")],
        ["entailment", "entailment"],
        {"accuracy": 50.0, **label_use(0.0, 1)},
    ),
    ("glue", "qqp"): _similar("qqp", "question1", "question2", "not_duplicate", "duplicate"),
    ("glue", "rte"): _rte(
        *("sentence1", "sentence2", "not_entailment"), {"accuracy": 50.0, **label_use(0.0, 1)}
    ),
    ("glue", "sst2"): _texts(
        "sst2",
        ["sentence"],
        [("lovely crust", 1, "positive"), ("stale", 0, "negative")],
        ["positive", "good"],
        {"accuracy": 50.0, **label_use(50.0, 2)},
    ),
    ("glue", "stsb"): _texts(
        "stsb",
        ("sentence1", "sentence2"),
        [("a", "b", 1.0, "1.0"), ("a", "c", 2.04, "2.0"), ("a", "d", 4.0, "4.0")],
        # No number counts as -1: (1, 2, 4) against (2, -1, 5). Deviations (-4, -1, 5)/3 and
        # (0, -3, 3): products 18/3, squares 42/9 and 18. Ranks 1 2 3 against 2 1 3.
        ["2.0", "two", "5.0"],
        {"pearson_corrcoef": 600 / (42 / 9 * 18) ** 0.5, "spearman_corrcoef": 50.0},
    ),
    ("superglue", "boolq"): _texts(
        "boolq",
        ("passage", "question"),
        [
            ("Rye is a grain.", "is rye a grain", 1, "True"),
            ("Rye is a grain.", "is rye a fish", 0, "False"),
        ],
        ["True", "true"],
        {"accuracy": 50.0, **label_use(50.0, 2)},
    ),
    ("superglue", "cb"): _texts(
        "cb",
        ("premise", "hypothesis"),
        [
            ("Dough rose.", "It grew.", 0, "entailment"),
            ("Dough rose.", "It was rye.", 2, "neutral"),
            ("Dough rose.", "It fell.", 1, "contradiction"),
        ],
        # Entailment: precision 1/2, recall 1, F1 2/3; contradiction 1; neutral 0.
        ["entailment", "entailment", "contradiction"],
        {
            "mean_3class_f1": 100 * (2 / 3 + 1 + 0) / 3,
            "accuracy": 200 / 3,
            **label_use(0.0, 2),
        },
    ),
    ("superglue", "copa"): _texts(
        "copa",
        ("premise", "question", "choice1", "choice2"),
        [
            ("It rose.", "effect", "It grew.", "It shrank.", 0, "choice1"),
            ("It burnt.", "cause", "Cold.", "Heat.", 1, "choice2"),
        ],
        ["choice1", "choice1"],
        {"accuracy": 50.0, **label_use(0.0, 1)},
    ),
    ("superglue", "multirc"): Case(
        [
            {
                "paragraph": "<b>Sent 1: </b>Dough rose.<br>",
                "question": f"Question {question}?",
                "answer": f"Answer {answer}",
                "label": label,
                "idx": {"paragraph": 0, "question": question, "answer": answer},
            }
            for question, answer, label in ((0, 0, 1), (0, 1, 0), (1, 2, 1), (1, 3, 1))
        ],
        [
            (
                f"multirc question: Question {question}? answer: Answer {answer} "
                "paragraph: Sent 1: Dough rose. ",
                target,
            )
            for question, answer, target in (
                (0, 0, "True"),
                (0, 1, "False"),
                (1, 2, "True"),
                (1, 3, "True"),
            )
        ],
        # All of question 0 is right, not all of question 1. Two of three found, none wrongly.
        ["True", "False", "True", "False"],
        {"f1": 80.0, "exact_match": 50.0, **label_use(0.0, 2)},
    ),
    ("superglue", "record"): Case(
        [
            {
                "passage": "Ada met Bob.\n@highlight\nThey baked",
                "query": "@placeholder bakes.",
                "entities": ["Ada", "Bob"],
                "answers": ["Ada", "Ada Lee"],
                "idx": {"passage": 0, "query": 0},
            },
            {
                "passage": "Cem left",
                "query": "@placeholder went.",
                "entities": ["Cem"],
                "answers": ["Cem Kaya"],
                "idx": {"passage": 1, "query": 1},
            },
        ],
        # One example per answer; only the first of a query is scored.
        [
            (
                "record query: @placeholder bakes. entities: Ada, Bob "
                "passage: Ada met Bob. They baked",
                "Ada",
            ),
            (
                "record query: @placeholder bakes. entities: Ada, Bob "
                "passage: Ada met Bob. They baked",
                "Ada Lee",
            ),
            ("record query: @placeholder went. entities: Cem passage: Cem left", "Cem Kaya"),
        ],
        # "the Ada" is Ada once articles are dropped; "Cem" is one of two words: F1 2/3.
        ["the Ada", "nobody", "Cem"],
        {"em": 50.0, "f1": 100 * (1 + 2 / 3) / 2},
    ),
    ("superglue", "rte"): _rte(
        *("premise", "hypothesis", "entailment"), {"accuracy": 100.0, **label_use(0.0, 2)}
    ),
    ("superglue", "wic"): _texts(
        "wic",
        ("sentence1", "sentence2", "word"),
        [
            ("Roll it.", "Roll on.", "roll", 1, "True"),
            ("Roll it.", "Eat a roll.", "roll", 0, "False"),
        ],
        ["False", "False"],
        {"accuracy": 50.0, **label_use(0.0, 1)},
        **{"start1": 0, "end1": 4, "start2": 0, "end2": 4},
    ),
    ("superglue", "wsc"): Case(
        [
            {
                "text": "Ada told the old baker that she was late",
                "span1_index": index,
                "span1_text": referent,
                "span2_index": 6,
                "span2_text": "she",
                "label": label,
                "idx": i,
            }
            for i, (index, referent, label) in enumerate(((0, "Ada", 1), (2, "the old baker", 0)))
        ],
        [
            ("wsc: Ada told the old baker that *she* was late", "Ada"),
            ("wsc: Ada told the old baker that *she* was late", "the old baker"),
        ],
        # Right; then a part of a referent that is the wrong one: wrong.
        ["Ada", "baker"],
        {"accuracy": 50.0},
    ),
    ("superglue", "dpr"): Case(
        [
            {
                "sentence": "Ada fed Bob as he was tired.",
                "pronoun": "he",
                "candidates": ["Ada", "Bob"],
                "label": 1,
            }
        ],
        [("wsc: Ada fed Bob as *he* was tired.", "Bob")],
        [],
        {},
    ),
    ("squad", "squad"): Case(
        [
            {
                "id": "a",
                "title": "Bread",
                "context": "Ada bakes rye bread.",
                "question": "Who bakes?",
                "answers": {"text": ["Ada", "Ada Lee"], "answer_start": [0, 0]},
            },
            {
                "id": "b",
                "title": "Bread",
                "context": "Ada bakes rye bread.",
                "question": "What?",
                "answers": {"text": ["rye bread"], "answer_start": [10]},
            },
        ],
        # T5 puts blanks around punctuation.
        [
            ("question: Who bakes ? context: Ada bakes rye bread . ", "Ada"),
            ("question: What ? context: Ada bakes rye bread . ", "rye bread"),
        ],
        # The best of all answers counts; one of two words: F1 2/3.
        ["Ada Lee.", "bread"],
        {"em": 50.0, "f1": 100 * (1 + 2 / 3) / 2},
    ),
    ("cnndm", "cnn_dailymail"): Case(
        [
            {
                "article": "Ada bakes. Bob eats.",
                "highlights": "Ada bakes bread .\nBob eats it .",
                "id": "a",
                "publisher": "cnn",
            }
        ],
        [("summarize: Ada bakes. Bob eats.", "Ada bakes bread .\nBob eats it .")],
        # Sentence by sentence all but "it" are found, in any order of sentences: 5 of 6 words and 5
        # of 5. As one sequence only three would stand in order. Pairs: 2+1 of 5 and of 4.
        ["Bob eats .\nAda bakes bread ."],
        {"rouge1": 1000 / 11, "rouge2": 600 / 9, "rougeL": 1000 / 11},
    ),
}
TFDS["superglue", "wsc_train"] = Case(
    TFDS["superglue", "wsc"].rows, TFDS["superglue", "wsc"].examples[:1], [], {}
)
