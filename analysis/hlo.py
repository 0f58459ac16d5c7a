"""What a compiled program computes, read from XLA's text of it after optimisation.

XLA's cost analysis gives one sum. This splits it: matrix products by the part of the network they
come from, and everything else by kind. Products are exact; the others are counted as XLA counts
them, an operation per element written, which comes within 5 % of the rest of XLA's sum.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from spactor.errors import UserError

_INSTRUCTION = re.compile(
    r"^\s*(?:ROOT )?%(?P<name>[\w.\-]+) = \w+\[(?P<shape>[\d,]*)\]\S* (?P<operation>[\w\-]+)"
    r"\((?:%(?P<first>[\w.\-]+))?(?:, %(?P<second>[\w.\-]+))?"
)
_WINDOW = re.compile(r"window=\{size=(?P<size>[\dx]+)[^}]*_dilate=")
_ORIGIN = re.compile(r'op_name="(?P<path>[^"]*)"')
_LOOP = re.compile(r" while\(")

_RANDOM = {"shift-left", "shift-right-logical", "shift-right-arithmetic", "xor", "or", "and"}
_OTHER = {
    *("add", "subtract", "multiply", "divide", "maximum", "minimum", "negate", "abs", "sign"),
    *("compare", "select", "clamp", "not", "is-finite", "floor", "remainder"),
}

# The path of an operation is that of the modules it was traced in, outermost first.
_PARTS = (
    ("relpos_bias", "position_biases"),
    ("Network.embed", "embedding"),
    ("Network.generate", "generator"),
    ("Network.detect", "rtd_head"),
    ("Network.encode", "encoder"),
    ("Network.decode", "decoder"),
)
_TERMS = (
    (re.compile(r"_logits/|/projection/"), "logits"),
    (re.compile(r"/mlp/|/rtd_head/"), "mlp"),
    (re.compile(r"/b\w+,b\w+->b\w+/"), "scores"),
    (re.compile(r"/(query|key|value|out)/"), "projections"),
)


@dataclass(frozen=True, kw_only=True)
class Operations:
    """FLOPs of a program on one device.

    Attributes:
      products: of matrix products, by term as ``analysis.flops`` names it; lookups of all parts
        are together in ``embedding``, biases by distance in ``position_biases``.
      conversions: between float32 and bfloat16, one per element.
      random_bits: shifts and logical operations, nearly all of them dropout's generator.
      elementwise: everything else, the reductions' additions included.
    """

    products: dict[str, float]
    conversions: float
    random_bits: float
    elementwise: float

    @property
    def total(self) -> float:
        """All of them."""
        others = self.conversions + self.random_bits + self.elementwise
        return sum(self.products.values()) + others


def _elements(shape: str) -> int:
    return math.prod(int(size) for size in shape.split(",") if size)


def _instructions(text: str) -> Iterator[tuple[re.Match[str], str]]:
    for line in text.splitlines():
        match = _INSTRUCTION.match(line)
        if match:
            yield match, line


def term_of(path: str) -> str:
    """The analytic term that a matrix product belongs to, by where it was traced.

    >>> term_of("jit(train_step)/jvp(Network.encode)/encoder/layers_3/mlp/wi/dot_general")
    'encoder/mlp'
    >>> term_of("transpose(jvp(Network.decode))/decoder/layers_0/self_attention/query/dot_general")
    'decoder/self_attention_projections'
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


def operations(text: str) -> Operations:
    """Counts the operations of an optimised program.

    A product of b matrices m × k and k × n has operands of bmk and bkn and a result of bmn
    elements, so 2·bmnk is 2·√(product of the three ÷ b). TPUs run products as convolutions;
    b is then the size of the dilated window.

    Args:
      text: HLO as ``compiled.as_text()`` gives it.

    Raises:
      UserError: the program has a loop, whose body XLA counts once.

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
    if _LOOP.search(text):
        raise UserError(
            "the compiled program has a loop, whose body XLA counts once: unroll it before "
            "its FLOPs are read"
        )
    sizes = {match["name"]: _elements(match["shape"]) for match, _ in _instructions(text)}
    products: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for match, line in _instructions(text):
        operation, written = match["operation"], sizes[match["name"]]
        if operation in ("convolution", "dot"):
            window = _WINDOW.search(line)
            batch = math.prod(map(int, window["size"].split("x"))) if window else 1
            volume = sizes[match["first"]] * sizes[match["second"]] * written
            origin = _ORIGIN.search(line)
            products[term_of(origin["path"] if origin else "")] += 2 * math.isqrt(volume // batch)
        elif operation == "convert":
            others["conversions"] += written
        elif operation in _RANDOM:
            others["random_bits"] += written
        elif operation in _OTHER:
            others["elementwise"] += written
        elif operation == "reduce":
            others["elementwise"] += sizes.get(match["first"], written) - written
    return Operations(
        products={name: float(count) for name, count in sorted(products.items())},
        conversions=float(others["conversions"]),
        random_bits=float(others["random_bits"]),
        elementwise=float(others["elementwise"]),
    )
