"""The page of `task=serve`: one file, drawn by the browser's own MathML, with nothing to fetch from elsewhere."""

from __future__ import annotations

from matrix_calculus.transcript import STYLE

_SCRIPT = """
const field = name => document.getElementById(name);
const names = ["expression", "wrt", "symbols", "kind", "layout"];
const asked = () => Object.fromEntries(names.map(name => [name, field(name).value]));
const text = (tag, words, more) => Object.assign(document.createElement(tag), {textContent: words}, more);
async function post(path, content) {
  const answer = await fetch(path, {method: "POST", body: JSON.stringify(content)});
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}
function fail(place, error) { place.replaceChildren(text("pre", error.message, {className: "error"})); }
function steps(found) {
  const all = document.createElement("section");
  let list, title = "";
  for (const step of found.steps) {
    if (step.title !== title) {
      title = step.title;
      list = document.createElement("ol");
      all.append(text("h3", title), list);
    }
    const details = document.createElement("details"), summary = document.createElement("summary"), line = document.createElement("li");
    summary.title = step.shape;
    summary.innerHTML = step.mathml;
    summary.append(text("small", " " + step.shape));
    const off = step.error.toExponential(0);
    details.append(summary, text("p", `${step.rule}: ${step.reason}. ` + (step.holds ? `Checked, off by ${off}` : `FAILS by ${off}`)));
    line.append(details);
    list.append(line);
  }
  return all;
}
function code(found) {
  const part = document.createElement("section"), shown = text("pre", found.code.numpy, {id: "code"});
  const copy = text("button", "copy", {type: "button", id: "copy"});
  for (const name of ["numpy", "torch", "jax", "latex"]) {
    const button = text("button", name, {type: "button"});
    button.onclick = () => { shown.textContent = found.code[name]; copy.textContent = "copy"; };
    part.append(button);
  }
  copy.onclick = async () => { await navigator.clipboard.writeText(shown.textContent); copy.textContent = "copied"; };
  part.append(copy, shown);
  return part;
}
async function derive() {
  const place = field("answer-place");
  place.replaceChildren(text("p", "deriving"));
  try {
    const found = await post("/derive", asked());
    const formula = document.createElement("p");
    formula.id = "formula";
    formula.title = found.shape;
    formula.innerHTML = found.mathml;
    place.replaceChildren(
      text("h2", `${found.name}, ${found.shape}`), formula, text("code", found.formula, {id: "typed"}),
      ...(found.kronecker ? [text("p", `as one matrix, of vec by vec: ${found.kronecker}`, {id: "kronecker"})] : []), text("p", found.proof, {id: "proof"}),
      text("h2", "Steps"), found.untold ? text("p", found.untold) : steps(found), text("h2", "Code"), code(found),
      ...(found.notes.length ? [text("h2", "Notes")] : []), ...found.notes.map(note => text("p", note)));
    history.replaceState(null, "", "#" + new URLSearchParams(asked()));
  } catch (error) { fail(place, error); }
}
async function grade() {
  const place = field("verdict");
  try {
    const found = await post("/grade", {...asked(), answer: field("learner").value});
    place.replaceChildren(text("p", (found.right ? "right: " : "wrong: ") + found.reason, {className: found.right ? "right" : "wrong"}));
  } catch (error) { fail(place, error); }
}
field("ask").onsubmit = event => { event.preventDefault(); derive(); };
field("check").onsubmit = event => { event.preventDefault(); grade(); };
function linked() {
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (names.includes(name)) field(name).value = value;
  if (location.hash) derive();
}
addEventListener("hashchange", linked);
linked();
"""

_MORE_STYLE = (
    "label{display:block;margin:.4rem 0}input,select,button{font:inherit;padding:.3rem}input{width:100%;box-sizing:border-box}"
    "pre{overflow-x:auto;background:#f3f5f7;padding:.6rem}.error,.wrong{color:#a02020}.right{color:#207040}#formula{overflow:auto hidden;padding:.35rem 0}"
    "button{margin-right:.4rem}:focus-visible{outline:3px solid #2f6f9f}"
)


def asking_page() -> str:
    """The whole page."""
    kinds = "".join(f"<option>{one}</option>" for one in ("derivative", "hessian", "hvp", "differential"))
    layouts = "".join(f"<option>{one}</option>" for one in ("numerator", "denominator"))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Matrix calculus</title><style>{STYLE}{_MORE_STYLE}</style><main><h1>Matrix calculus</h1>"
        '<form id="ask"><label>Expression<input id="expression" value="max(0, w·x + b)" maxlength="500" autofocus spellcheck="false"></label>'
        '<label>by<input id="wrt" value="w" maxlength="40" spellcheck="false"></label>'
        '<label>Symbols<input id="symbols" value="w: vector(n); x: vector(n); b: scalar" maxlength="500" spellcheck="false"></label>'
        f'<label>What <select id="kind">{kinds}</select> <select id="layout" aria-label="layout">{layouts}</select></label>'
        '<button>Derive</button></form><div id="answer-place" aria-live="polite"></div>'
        '<h2>Check your own answer</h2><form id="check"><label>Answer<input id="learner" maxlength="500" spellcheck="false"></label>'
        f'<button>Check</button></form><div id="verdict" aria-live="polite"></div></main><script>{_SCRIPT}</script></html>'
    )
