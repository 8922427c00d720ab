"""A sentence, its entities and its lattice as HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lattice_lstm.tagger import Entity, Explanation

_STYLE = """
body { font: 16px/1.6 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #22303c }
mark { background: #cfe3f3; border-radius: .3em; padding: .1em .2em } mark small { color: #2f6f9f; margin-left: .3em }
table { border-collapse: collapse; margin: 1rem 0; overflow-x: auto; display: block }
th, td { padding: .15em .4em; text-align: center; font-weight: normal; font-size: .9rem; min-width: 1.6em }
td.word { border-bottom: 3px solid #d98324 } th { color: #66727a; text-align: right; white-space: nowrap }
textarea { width: 100%; box-sizing: border-box; font: inherit; padding: .5em } button { font: inherit; padding: .2em 1.2em }
"""
_ABOUT = (
    "<p>Weights of the words that end at a character, and of the character's own candidate, in its cell; read forwards, mean over all "
    "units. Where words arrive they sum to 1.</p>"
)
_ASK = """
<form><textarea rows="3" aria-label="sentence" autofocus>南京市长江大桥</textarea><p><button>Tag</button></p></form><div id="out"></div>
<script>
const out = document.getElementById("out");
document.forms[0].addEventListener("submit", async event => {
  event.preventDefault();
  const text = document.querySelector("textarea").value.replace(/\\s+/g, " ").trim();
  try {
    const answer = await fetch("explain", {method: "POST", body: JSON.stringify({text})});
    const found = await answer.json();
    if (answer.ok) out.innerHTML = found.html; else out.textContent = found.error;
  } catch (error) { out.textContent = String(error); }
});
</script>
"""


def explanation_page(explanation: Explanation) -> str:
    """A page of one sentence."""
    shown = f"<p>{marked(explanation.text, explanation.entities)}</p>{lattice_table(explanation)}"
    return _page(explanation.text[:40], shown)


def asking_page() -> str:
    """A page that asks the server it came from; see `lattice_lstm.serve`."""
    return _page("Lattice LSTM", _ASK)


def lattice_table(explanation: Explanation) -> str:
    """A row for each word of the lattice, with its weight where it ends, forwards."""
    text = explanation.text
    head = "".join(f"<td>{escape(char)}</td>" for char in text)
    own = "".join(_cell(share) for share in explanation.own[:, 0].tolist())
    rows = [f"<tr><th></th>{head}</tr>", f"<tr><th>character</th>{own}</tr>"]
    for (start, end, word), share in zip(explanation.words, explanation.shares[:, 0].tolist(), strict=True):
        cells = "".join(
            _cell(share, "word")
            if at == end - 1
            else f'<td class="{"word" if start <= at < end else ""}"></td>'
            for at in range(len(text))
        )
        rows.append(f"<tr><th>{escape(word)}</th>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>{_ABOUT}"


def marked(text: str, entities: Sequence[Entity]) -> str:
    """A sentence with its entities marked."""
    parts, at = [], 0
    for entity in entities:
        parts.append(escape(text[at : entity.start]))
        parts.append(
            f"<mark>{escape(entity.text)}<small>{escape(entity.type)} {entity.score:.2f}</small></mark>"
        )
        at = entity.end
    return "".join([*parts, escape(text[at:])])


def _page(title: str, content: str) -> str:
    return (
        f'<!doctype html><html lang="zh"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"{content}</html>\n"
    )


def _cell(share: float, name: str = "") -> str:
    return f'<td class="{name}" style="background: rgba(47, 111, 159, {share:.2f})">{share:.2f}</td>'
