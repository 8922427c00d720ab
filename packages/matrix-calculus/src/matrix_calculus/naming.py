"""Which of the paper's rules differentiates an operation, in its words."""

from __future__ import annotations

from matrix_calculus.derive import Derivation
from matrix_calculus.functions import ELEMENTWISE
from matrix_calculus.inference import Typed


def rule_of(typed: Typed, local: Derivation, operand: str) -> tuple[str, str, str]:
    """Name, section and reason of the rule that differentiates an operation by one of its operands.

    Args:
        typed: the operation.
        local: its derivative.
        operand: declaration of the operand.
    """
    scalar_operand, scalar_result = operand.endswith("scalar"), typed.shape.kind == "scalar"
    name = typed.name if typed.op == "call" else typed.op
    if typed.op == "*" and not any(one.shape.kind == "scalar" for one in typed.args):
        return (
            "matrix product",
            "",
            "each element is a dot product: what multiplies the operand is its derivative",
        )
    if scalar_operand and scalar_result:
        return _scalar_rule(typed, name)
    elementwise = typed.op in ("add", "neg", ".*", "./", ".^", ">", "*") or name in (
        *ELEMENTWISE,
        "sqrt",
        "max",
        "min",
    )
    if elementwise and scalar_operand:
        return (
            "scalar expansion",
            "Scalar expansion",
            "the scalar stands at every place, and each element moves with it",
        )
    if elementwise and typed.shape.kind in ("column", "row"):
        return (
            "element-wise diagonal condition", "Element-wise binary operators",
            "element i of the result depends on element i of the operand alone, so that the Jacobian is diagonal",
        )  # fmt: skip
    if elementwise:
        return "element by element", "", "each element of the matrix depends on the one at its place alone"
    if name in ("sum", "mean", "norm1", "norm2", "frobenius", "logsumexp", "tr"):
        return "vector sum reduction", "Vector sum reduction", "the derivative goes into the sum"
    if name == "kron":
        return (
            "Kronecker product",
            "",
            "each element is a product of one of each factor, and so linear in both",
        )
    if typed.op == "transpose":
        return "transpose", "", "the elements stay, their places turn"
    return f"derivative of {name}", "", "a rule of its own, beyond the paper"


_SCALAR = "Review: scalar derivative rules"


def _scalar_rule(typed: Typed, name: str) -> tuple[str, str, str]:
    if name in ("max", "relu"):
        return "max(0, z)", "The gradient of neuron activation", "0 up to z = 0 and 1 beyond"
    rules = {
        "add": ("sum rule", "the derivative goes into the sum"), "neg": ("multiplication by a constant", "-1 is pulled out"),
        "*": ("product rule", "f g' + f' g; a constant factor is pulled out"), ".*": ("product rule", "f g' + f' g"),
        "./": ("quotient as a product with a power", "f/g is f g^(-1)"), ".^": ("power rule", "n x^(n-1)"),
        "sqrt": ("power rule", "the root is the power 1/2"),
    }  # fmt: skip
    rule, reason = rules.get(name, (f"derivative of {name}", "one of the scalar rules"))
    return rule, _SCALAR, reason
