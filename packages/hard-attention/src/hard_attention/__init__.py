"""Simulating Hard Attention Using Soft Attention: formulas as softmax transformers, with certificates."""

from hard_attention.alphabet import Alphabet, all_strings
from hard_attention.automata import Automaton, Monoid, automaton_of, monoid, require_star_free
from hard_attention.brasp import from_brasp, to_brasp
from hard_attention.certificate import Certificate, Reason, certify
from hard_attention.corpora import PartResult, run_corpus
from hard_attention.datasets import Corpus, Part, generated_corpus
from hard_attention.definition import by_definition
from hard_attention.exhaustive import evaluate_all
from hard_attention.explanation import explain_page
from hard_attention.formulas import Formula, Term, formula, integer, letter, term
from hard_attention.fragments import Fragment, fragment
from hard_attention.languages import LANGUAGES, Language, language
from hard_attention.maps import attention_maps
from hard_attention.networks import ExactRun, GivenHead, GivenLayer, Network, exact_run, soft_run
from hard_attention.parsing import FormulaError, parse
from hard_attention.printing import infix, prefix
from hard_attention.randomised import random_formula
from hard_attention.recurrence import evaluate
from hard_attention.samplers import blocks
from hard_attention.searching import search
from hard_attention.simplification import simplify
from hard_attention.softening import Softened, decided, error_recursion, every_input, soften
from hard_attention.transformer import BeyondCertificate, FormulaTransformer, compile_formula
from hard_attention.verification import Verified, verify

__all__ = [
    "LANGUAGES",
    "Alphabet",
    "Automaton",
    "BeyondCertificate",
    "Certificate",
    "Corpus",
    "ExactRun",
    "Formula",
    "FormulaError",
    "FormulaTransformer",
    "Fragment",
    "GivenHead",
    "GivenLayer",
    "Language",
    "Monoid",
    "Network",
    "Part",
    "PartResult",
    "Reason",
    "Softened",
    "Term",
    "Verified",
    "all_strings",
    "attention_maps",
    "automaton_of",
    "blocks",
    "by_definition",
    "certify",
    "compile_formula",
    "decided",
    "error_recursion",
    "evaluate",
    "evaluate_all",
    "every_input",
    "exact_run",
    "explain_page",
    "formula",
    "fragment",
    "from_brasp",
    "generated_corpus",
    "infix",
    "integer",
    "language",
    "letter",
    "monoid",
    "parse",
    "prefix",
    "random_formula",
    "require_star_free",
    "run_corpus",
    "search",
    "simplify",
    "soft_run",
    "soften",
    "term",
    "to_brasp",
    "verify",
]
