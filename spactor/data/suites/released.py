"""Tables of the benchmarks read from the files of their releases: Rainbow, MMLU and BBH."""

from __future__ import annotations

from collections.abc import Mapping

from spactor.data.suites.suite import FileTask, Metric, Release, Suite

_ACCURACY = (Metric("accuracy"),)
LETTERS = tuple(f"({letter})" for letter in "ABCDEFGHIJKLMNOPQR")
"""Names of options, as many as an item of any benchmark has."""


def _rainbow(
    name: str,
    labels: str,
    train: tuple[int, str],
    validation: tuple[int, str],
    release: Release,
    reference_name: str = "",
) -> FileTask:
    """A row of Rainbow (Table 10), in the form of Lourie et al. (2021).

    Args:
      labels: of the choices, as released; the answers.
      train, validation: rows as released, and names of the files.
      reference_name: what Lourie et al. call the task, if not by ``name``; prompts begin with it.
    """
    splits = {"train": train, "validation": validation}
    return FileTask(
        name=name,
        metrics=_ACCURACY,
        labels=tuple(labels),
        files={
            split: tuple(f"rainbow/{name}/{file}" for file in files.split())
            for split, (_, files) in splits.items()
        },
        counts={split: rows for split, (rows, _) in splits.items()},
        reader="rainbow:read",
        release=release,
        prompt=f"[{reference_name or name}]:\n",
    )


_RAINBOW = (
    _rainbow(
        "alpha_nli",
        "12",
        (169_654, "train.jsonl train-labels.lst"),
        (1_532, "dev.jsonl dev-labels.lst"),
        Release(
            "Bhagavatula et al. (2020), Abductive commonsense reasoning",
            "the αNLI page of the Allen Institute for AI's leaderboards",
        ),
        reference_name="anli",
    ),
    _rainbow(
        "cosmosqa",
        "0123",
        (25_262, "train.csv"),
        (2_985, "valid.csv"),
        Release("Huang et al. (2019), Cosmos QA", "the authors' repository, folder data"),
    ),
    _rainbow(
        "hellaswag",
        "0123",
        (39_905, "hellaswag_train.jsonl"),
        (10_042, "hellaswag_val.jsonl"),
        Release("Zellers et al. (2019), HellaSwag", "the authors' repository, folder data"),
    ),
    _rainbow(
        "piqa",
        "01",
        (16_113, "train.jsonl train-labels.lst"),
        (1_838, "valid.jsonl valid-labels.lst"),
        Release("Bisk et al. (2020), PIQA", "the authors' project page, section data"),
        reference_name="physicaliqa",
    ),
    _rainbow(
        "socialiqa",
        "123",
        (33_410, "train.jsonl train-labels.lst"),
        (1_954, "dev.jsonl dev-labels.lst"),
        Release(
            "Sap et al. (2019), Social IQa",
            "the Social IQa page of the Allen Institute for AI's leaderboards",
        ),
    ),
    _rainbow(
        "winogrande",
        "12",
        (40_398, "train_xl.jsonl"),
        (1_267, "dev.jsonl"),
        Release(
            "Sakaguchi et al. (2020), WinoGrande",
            "the Allen Institute for AI's repository, version 1.1",
        ),
    ),
)

_SUBJECTS: Mapping[str, int] = {
    "abstract_algebra": 11,
    "anatomy": 14,
    "astronomy": 16,
    "business_ethics": 11,
    "clinical_knowledge": 29,
    "college_biology": 16,
    "college_chemistry": 8,
    "college_computer_science": 11,
    "college_mathematics": 11,
    "college_medicine": 22,
    "college_physics": 11,
    "computer_security": 11,
    "conceptual_physics": 26,
    "econometrics": 12,
    "electrical_engineering": 16,
    "elementary_mathematics": 41,
    "formal_logic": 14,
    "global_facts": 10,
    "high_school_biology": 32,
    "high_school_chemistry": 22,
    "high_school_computer_science": 9,
    "high_school_european_history": 18,
    "high_school_geography": 22,
    "high_school_government_and_politics": 21,
    "high_school_macroeconomics": 43,
    "high_school_mathematics": 29,
    "high_school_microeconomics": 26,
    "high_school_physics": 17,
    "high_school_psychology": 60,
    "high_school_statistics": 23,
    "high_school_us_history": 22,
    "high_school_world_history": 26,
    "human_aging": 23,
    "human_sexuality": 12,
    "international_law": 13,
    "jurisprudence": 11,
    "logical_fallacies": 18,
    "machine_learning": 11,
    "management": 11,
    "marketing": 25,
    "medical_genetics": 11,
    "miscellaneous": 86,
    "moral_disputes": 38,
    "moral_scenarios": 100,
    "nutrition": 33,
    "philosophy": 34,
    "prehistory": 35,
    "professional_accounting": 31,
    "professional_law": 170,
    "professional_medicine": 31,
    "professional_psychology": 69,
    "public_relations": 12,
    "security_studies": 27,
    "sociology": 22,
    "us_foreign_policy": 11,
    "virology": 18,
    "world_religions": 19,
}
"""Rows of each subject's validation file."""


_MMLU_RELEASE = Release(
    "Hendrycks et al. (2021), Measuring massive multitask language understanding",
    "the authors' repository; the archive's folder val",
)


def _mmlu(subject: str, rows: int) -> FileTask:
    """A row of MMLU (Tables 14 to 17)."""
    return FileTask(
        name=subject,
        metrics=_ACCURACY,
        labels=LETTERS[:4],
        files={"validation": (f"mmlu/val/{subject}_val.csv",)},
        counts={"validation": rows},
        reader="mmlu:read",
        release=_MMLU_RELEASE,
        prompt=f"Answer this question about {subject.replace('_', ' ')}.\n\n",
    )


_OBJECTS = "Work out the order of the objects from what is said of them."
_SWAPS = "Keep track of who has what after every swap."

_YES_NO = ("No", "Yes")
_FREE: tuple[str, ...] = ()

_BBH_TASKS: Mapping[str, tuple[int, tuple[str, ...], str]] = {
    "boolean_expressions": (250, ("False", "True"), "Evaluate this expression."),
    "causal_judgement": (187, _YES_NO, "Say what most people would answer about the cause."),
    "date_understanding": (250, LETTERS[:6], "Work out the date."),
    "disambiguation_qa": (250, LETTERS[:4], "Say whom or what the pronoun stands for."),
    "dyck_languages": (250, _FREE, "Close all brackets that are open."),
    "formal_fallacies": (250, ("invalid", "valid"), "Judge this argument by logic alone."),
    "geometric_shapes": (250, LETTERS[:11], "Name the shape that this path draws."),
    "hyperbaton": (250, LETTERS[:2], "Find the usual order of adjectives."),
    "logical_deduction_five_objects": (250, LETTERS[:5], _OBJECTS),
    "logical_deduction_seven_objects": (250, LETTERS[:7], _OBJECTS),
    "logical_deduction_three_objects": (250, LETTERS[:3], _OBJECTS),
    "movie_recommendation": (250, LETTERS[:5], "Recommend a film to someone who likes these."),
    "multistep_arithmetic_two": (250, _FREE, "Calculate."),
    "navigate": (250, _YES_NO, "Follow these steps to where they end."),
    "object_counting": (250, _FREE, "Count the objects."),
    "penguins_in_a_table": (146, LETTERS[:5], "Answer from the table."),
    "reasoning_about_colored_objects": (250, LETTERS[:18], "Answer from what is described."),
    "ruin_names": (250, LETTERS[:11], "Find the edit that makes a joke of the name."),
    "salient_translation_error_detection": (
        250,
        LETTERS[:6],
        "Find the kind of error in this translation.",
    ),
    "snarks": (178, LETTERS[:2], "Find the sarcastic statement."),
    "sports_understanding": (250, ("no", "yes"), "Judge whether this could be said of sports."),
    "temporal_sequences": (250, LETTERS[:4], "Find the time that is left."),
    "tracking_shuffled_objects_five_objects": (250, LETTERS[:5], _SWAPS),
    "tracking_shuffled_objects_seven_objects": (250, LETTERS[:7], _SWAPS),
    "tracking_shuffled_objects_three_objects": (250, LETTERS[:3], _SWAPS),
    "web_of_lies": (250, _YES_NO, "Work out who tells the truth."),
    "word_sorting": (250, _FREE, "Put the words in alphabetical order."),
}
"""Rows, possible answers (none: free text) and instruction of each task of BBH."""
_BBH_RELEASE = Release(
    "Suzgun et al. (2022), Challenging BIG-Bench tasks and whether chain-of-thought can solve them",
    "the authors' repository BIG-Bench-Hard, folder bbh",
)


def _bbh(name: str, rows: int, labels: tuple[str, ...], instruction: str) -> FileTask:
    """A row of BBH (Tables 12 and 13)."""
    return FileTask(
        name=name,
        metrics=_ACCURACY,
        labels=labels,
        files={"validation": (f"bbh/{name}.json",)},
        counts={"validation": rows},
        reader="bbh:read",
        release=_BBH_RELEASE,
        prompt=instruction,
    )


SUITES = (
    Suite(name="rainbow", title="Rainbow", tasks=_RAINBOW, target_length=16),
    Suite(
        name="mmlu",
        title="MMLU",
        tasks=tuple(_mmlu(subject, rows) for subject, rows in _SUBJECTS.items()),
        target_length=16,
    ),
    Suite(
        name="bbh",
        title="BBH",
        tasks=tuple(_bbh(name, *facts) for name, facts in _BBH_TASKS.items()),
        target_length=128,
    ),
)
