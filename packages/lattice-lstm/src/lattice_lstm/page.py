"""A sentence, its entities and its lattice as a page that needs nothing else."""

from __future__ import annotations

from html import escape

from lattice_lstm.tagger import Explanation

_STYLE = """
body { font: 16px/1.6 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #22303c }
mark { background: #cfe3f3; border-radius: .3em; padding: .1em .2em } mark small { color: #2f6f9f; margin-left: .3em }
table { border-collapse: collapse; margin: 1rem 0; overflow-x: auto; display: block }
th, td { padding: .15em .4em; text-align: center; font-weight: normal; font-size: .9rem; min-width: 1.6em }
td.word { border-bottom: 3px solid #d98324 } th { color: #66727a; text-align: right; white-space: nowrap }
"""


def explanation_page(explanation: Explanation) -> str:
    """HTML of one sentence: entities marked, and below it a row for each word with its weight where it ends, forwards."""
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
    return (
        f'<!doctype html><html lang="zh"><meta charset="utf-8"><title>{escape(text[:40])}</title><style>{_STYLE}</style>'
        f"<p>{marked(explanation)}</p><table>{''.join(rows)}</table>"
        "<p>Weights of the words that end at a character, and of the character's own candidate, in its cell; read forwards, mean over all "
        "units. Where words arrive they sum to 1.</p></html>\n"
    )


def marked(explanation: Explanation) -> str:
    """The sentence with its entities marked, as HTML."""
    text, parts, at = explanation.text, [], 0
    for entity in explanation.entities:
        parts.append(escape(text[at : entity.start]))
        parts.append(
            f"<mark>{escape(entity.text)}<small>{escape(entity.type)} {entity.score:.2f}</small></mark>"
        )
        at = entity.end
    return "".join([*parts, escape(text[at:])])


def _cell(share: float, name: str = "") -> str:
    return f'<td class="{name}" style="background: rgba(47, 111, 159, {share:.2f})">{share:.2f}</td>'
