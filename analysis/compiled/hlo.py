"""Operations and collectives of a compiled program, read from its optimised HLO text.

XLA's cost analysis gives one sum of FLOPs. Here matrix products are split by the part of the
network they come from, and everything else by kind. Products are exact; other operations are
counted one per element written, and their sum is within 5 % of what XLA counts for them.
Collectives are counted by kind and by the bytes of their results.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from spactor.errors import UserError

_INSTRUCTION = re.compile(
    r"^\s*(?:ROOT )?%(?P<name>[\w.\-]+) = \w+\[(?P<shape>[\d,]*)\]\S* (?P<operation>[\w\-]+)"
    r"\((?:%(?P<first>[\w.\-]+))?(?:, %(?P<second>[\w.\-]+))?"
)
_WINDOW = re.compile(r"window=\{size=(?P<size>[\dx]+)[^}]*_dilate=")
_ORIGIN = re.compile(r'op_name="(?P<path>[^"]*)"')
_COMPUTATION = re.compile(r"^(?:ENTRY )?%(?P<name>[\w.\-]+) \(.*\{$")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%([\w.\-]+)"
    r"|(?:branch_computations|called_computations)=\{([^}]*)\}"
)
_LOOP_BODY = re.compile(r" while\(.*body=%([\w.\-]+)")
_COLLECTIVE = re.compile(
    r"^\s*(?:ROOT )?%[\w.\-]+ = (?P<shape>.*?) (?P<kind>all-gather|all-reduce|all-to-all"
    r"|collective-broadcast|collective-permute|ragged-all-to-all|reduce-scatter)"
    r"(?P<start>-start)?\("
)
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")

_RANDOM = {"shift-left", "shift-right-logical", "shift-right-arithmetic", "xor", "or", "and"}
_OTHER = {
    *("add", "subtract", "multiply", "divide", "maximum", "minimum", "negate", "abs", "sign"),
    *("compare", "select", "clamp", "not", "is-finite", "floor", "remainder"),
}

# An operation's path names the modules it was traced in, outermost first.
_PARTS = (
    ("relpos_bias", "position_biases"),
    ("Network.embed", "embedding"),
    ("Network.generate", "generator"),
    ("Network.detect", "rtd_head"),
    # T5X's own network looks tokens up inside its stacks.
    ("/token_embedder/", "embedding"),
    ("Network.encode", "encoder"),
    ("Network.decode", "decoder"),
    ("Transformer.encode", "encoder"),
    ("Transformer.decode", "decoder"),
)
_TERMS = (
    (re.compile(r"_logits/|/projection/|token_embedder\.attend/"), "logits"),
    (re.compile(r"/mlp/|/rtd_head/"), "mlp"),
    (re.compile(r"/b\w+,b\w+->b\w+/"), "scores"),
    (re.compile(r"/(query|key|value|out)/"), "projections"),
)


@dataclass(frozen=True, kw_only=True)
class Operations:
    """FLOPs of a program on one device, by kind of operation.

    Attributes:
      products: FLOPs of matrix products by the terms of ``analysis.flops``; all embedding lookups
        are one term ``embedding``, all relative position biases one term ``position_biases``.
      conversions: conversions between float32 and bfloat16, one FLOP per element.
      random_bits: shifts and logical operations; nearly all generate dropout's random numbers.
      elementwise: all other operations, including the additions of reductions.
    """

    products: dict[str, float]
    conversions: float
    random_bits: float
    elementwise: float

    @property
    def total(self) -> float:
        """Sum of all kinds."""
        others = self.conversions + self.random_bits + self.elementwise
        return sum(self.products.values()) + others


def _elements(shape: str) -> int:
    return math.prod(int(size) for size in shape.split(",") if size)


def _lines(text: str, runs: int) -> Iterator[tuple[str, int]]:
    """Yields each line of a program with the number of times it runs in one step.

    Args:
      text: optimised HLO.
      runs: number of iterations of the program's only loop; 0 for a program without a loop.

    Raises:
      UserError: ``runs`` is 0 and the program has a loop, or ``runs`` is given and the program does
        not have exactly one loop.
    """
    bodies = _LOOP_BODY.findall(text)
    if bodies and not runs:
        raise UserError(
            "the compiled program has a loop, and XLA counts a loop's body once: unroll the loop, "
            "or give the number of its iterations"
        )
    if runs and len(bodies) != 1:
        raise UserError(
            f"the compiled program has {len(bodies)} loops, but microbatches make exactly one: "
            "its FLOPs can't be counted"
        )
    computations: dict[str, list[str]] = {}
    lines = computations.setdefault("", [])
    for line in text.splitlines():
        if header := _COMPUTATION.match(line):
            lines = computations.setdefault(header["name"], [])
        lines.append(line)
    inside: set[str] = set()
    while bodies:
        name = bodies.pop()
        if name not in inside:
            inside.add(name)
            for one, several in _CALLED.findall("\n".join(computations.get(name, ()))):
                bodies += [
                    called.strip().removeprefix("%") for called in (one or several).split(",")
                ]
    for name, lines in computations.items():
        for line in lines:
            yield line, runs if name in inside else 1


def term_of(path: str) -> str:
    """Returns the term of ``analysis.flops`` that a matrix product belongs to.

    Args:
      path: the operation's ``op_name``: the modules it was traced in, outermost first.

    >>> term_of("jit(train_step)/jvp(Network.encode)/encoder/layers_3/mlp/wi/dot_general")
    'encoder/mlp'
    >>> term_of("transpose(jvp(Network.decode))/decoder/layers_0/self_attention/query/dot_general")
    'decoder/self_attention_projections'
    >>> term_of("jvp(Transformer.decode)/decoder/token_embedder.attend/dot_general")
    'decoder/logits'
    >>> term_of("somewhere/else")
    'other'
    """
    part = next((name for key, name in _PARTS if key in path), "other")
    if part in ("position_biases", "embedding", "other"):
        return part
    term = next((name for pattern, name in _TERMS if pattern.search(path)), "other")
    if term in ("scores", "projections"):
        kind = {"self_attention/": "self_", "encoder_decoder_attention/": "cross_"}
        prefix = next((short for key, short in kind.items() if f"/{key}" in path), "")
        term = f"{prefix}attention_{term}"
    return f"{part}/{term}"


def operations(text: str, runs: int = 0) -> Operations:
    """Counts the operations of an optimised program by kind.

    A product of b matrices m × k and k × n has operands of bmk and bkn elements and a result of
    bmn, so its 2·bmnk FLOPs are 2·√(bmk · bkn · bmn ÷ b). TPUs run products as convolutions; b is
    then the size of the dilated window.

    Args:
      text: HLO as returned by ``compiled.as_text()``.
      runs: number of iterations of the program's only loop, over microbatches; 0 for a program
        without a loop.

    Raises:
      UserError: the number of loops in the program does not fit ``runs``.

    >>> operations(
    ...     '''
    ...   %a = bf16[32,48]{1,0} parameter(0)
    ...   %b = bf16[48,8]{1,0} parameter(1)
    ...   %c = bf16[32,8]{1,0} convolution(%a, %b), dim_labels=bf_io->bf, metadata={op_name="x"}
    ...   ROOT %d = f32[32,8]{1,0} convert(%c)
    ... '''
    ... )
    Operations(products={'other': 24576.0}, conversions=256.0, random_bits=0.0, elementwise=0.0)
    """
    instructions = [
        (match, line, times)
        for line, times in _lines(text, runs)
        if (match := _INSTRUCTION.match(line))
    ]
    sizes = {match["name"]: _elements(match["shape"]) for match, *_ in instructions}
    products: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for match, line, times in instructions:
        operation, written = match["operation"], sizes[match["name"]]
        if operation in ("convolution", "dot"):
            window = _WINDOW.search(line)
            batch = math.prod(map(int, window["size"].split("x"))) if window else 1
            volume = sizes[match["first"]] * sizes[match["second"]] * written
            origin = _ORIGIN.search(line)
            term = term_of(origin["path"] if origin else "")
            products[term] += times * 2 * math.isqrt(volume // batch)
        elif operation == "convert":
            others["conversions"] += times * written
        elif operation in _RANDOM:
            others["random_bits"] += times * written
        elif operation in _OTHER:
            others["elementwise"] += times * written
        elif operation == "reduce":
            others["elementwise"] += times * (sizes.get(match["first"], written) - written)
    return Operations(
        products={name: float(count) for name, count in sorted(products.items())},
        conversions=float(others["conversions"]),
        random_bits=float(others["random_bits"]),
        elementwise=float(others["elementwise"]),
    )


@dataclass(kw_only=True)
class Collective:
    """The collective operations of one kind in a program.

    Attributes:
      count: number of operations; one in a loop counts once per iteration.
      bytes_by_type: bytes of the results by element type; those in a loop count once per iteration.
      largest_bytes: bytes of the largest array among the results.
    """

    count: int = 0
    bytes_by_type: dict[str, int] = field(default_factory=dict)
    largest_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Bytes of all element types."""
        return sum(self.bytes_by_type.values())


def collectives(text: str, runs: int = 0) -> dict[str, Collective]:
    """Counts the collective operations of an optimised program by kind, for one device and step.

    Args:
      text, runs: see :func:`operations`.

    Raises:
      UserError: see :func:`operations`.

    >>> found = collectives(
    ...     '''
    ...   %a = (f32[8]{0}, bf16[4,2]{1,0}) all-reduce(%x, %y), to_apply=%add
    ...   %b = (s32[2]{0}, s32[8]{0}) all-gather-start(%z), dimensions={0}
    ...   %c = s32[8]{0} all-gather-done(%b)
    ... '''
    ... )
    >>> found["all-reduce"]
    Collective(count=1, bytes_by_type={'f32': 32, 'bf16': 16}, largest_bytes=32)
    >>> found["all-gather"]
    Collective(count=1, bytes_by_type={'s32': 32}, largest_bytes=32)
    """
    found: dict[str, Collective] = {}
    for line, times in _lines(text, runs):
        match = _COLLECTIVE.match(line)
        if not match:
            continue
        arrays = _ARRAY.findall(match["shape"])
        # The start of an asynchronous gather or permutation lists its operands before its results.
        if match["start"] and match["kind"] != "all-reduce":
            arrays = arrays[len(arrays) // 2 :]
        one = found.setdefault(match["kind"], Collective())
        one.count += times
        for kind, shape in arrays:
            size = _elements(shape) * _item_bytes(kind)
            one.bytes_by_type[kind] = one.bytes_by_type.get(kind, 0) + times * size
            one.largest_bytes = max(one.largest_bytes, size)
    return dict(sorted(found.items()))


def _item_bytes(kind: str) -> int:
    bits = re.match(r"[a-z]+(\d+)", kind)
    return int(bits[1]) // 8 if bits else 1  # Type names such as "pred" have no number of bits.
