"""A page to look through predictions: image, depth, maps, and the part in 3D, turned with the mouse. One file, nothing loaded.

Points and colours lie in the page as they are; a hundred lines of script draw them on a canvas.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from offprints.atomic import write_text

from m3dm.arrays import Colours
from m3dm.detector import Prediction
from m3dm.figures import depth_colours, heat_colours
from m3dm.files import write_ply
from m3dm.scan import Scan

POINTS = 6000


def write_gallery(
    path: Path | str,
    rows: Sequence[tuple[Scan, Prediction]],
    title: str,
    highest: float,
    threshold: float | None = None,
) -> None:
    """Write the page.

    Args:
        path: of the HTML file.
        rows: prepared scans and what was said of them, in the order of the page.
        title: of the page.
        highest: score that is shown brightest.
        threshold: score from which on a part is rejected; None draws no verdict.
    """
    cards = [_card(number, scan, said, highest, threshold) for number, (scan, said) in enumerate(rows)]
    write_text(path, _PAGE.replace("@TITLE@", html.escape(title)).replace("@CARDS@", "\n".join(cards)))


def export_ply(path: Path | str, scan: Scan, prediction: Prediction, highest: float) -> None:
    """The points of a scan in the colours of its heat map, with the score as a property.

    Args:
        path: of the PLY file.
        scan: prepared, with points.
        prediction: of it.
        highest: score that is shown brightest.

    Raises:
        InputError: it has no points.
    """
    xyz = scan.only("xyz").xyz
    assert xyz is not None
    valid = scan.points
    colours = heat_colours(prediction.map, 0, highest)
    write_ply(path, xyz[valid], colours[valid], prediction.map[valid])


def _card(number: int, scan: Scan, said: Prediction, highest: float, threshold: float | None) -> str:
    heat = heat_colours(said.map, 0, highest)
    pictures = [
        ("image", scan.rgb),
        ("depth", depth_colours(scan) if scan.xyz is not None else None),
        ("anomaly", heat),
    ]
    if scan.mask is not None:
        pictures.insert(2, ("truth", np.repeat(scan.mask[..., None], 3, 2).astype(np.uint8) * np.uint8(255)))
    shown = "".join(
        f'<figure><img alt="{name}" src="{_png(picture)}"><figcaption>{name}</figcaption></figure>'
        for name, picture in pictures
        if picture is not None
    )
    facts = [f"score {said.score:.3f}"]
    if said.p_value is not None:
        facts.append(f"p = {said.p_value:.3f}")
    facts += [f"{name} p = {value:.3f}" for name, value in said.p_values.items()]
    verdict = "" if threshold is None else ("reject" if said.score > threshold else "pass")
    known = "" if scan.defect is None else f"<em>{html.escape(scan.defect)}</em>"
    return (
        f'<article class="{verdict}"><h2>{html.escape(said.name)} {known} <b>{verdict}</b></h2>'
        f"<p>{' · '.join(facts)}</p><div class=row>{shown}{_cloud(number, scan, heat)}</div></article>"
    )


def _cloud(number: int, scan: Scan, heat: Colours) -> str:
    if scan.xyz is None or not scan.points.any():
        return ""
    where = np.argwhere(scan.points)
    where = where[np.linspace(0, len(where) - 1, min(POINTS, len(where))).astype(int)]
    points = scan.xyz[where[:, 0], where[:, 1]].astype(np.float64)
    points -= (points.min(0) + points.max(0)) / 2
    points /= np.abs(points).max() or 1.0
    seen = scan.rgb if scan.rgb is not None else depth_colours(scan)
    parts = [
        (points * 32767).astype("<i2").tobytes(),
        seen[where[:, 0], where[:, 1]].tobytes(),
        heat[where[:, 0], where[:, 1]].tobytes(),
    ]
    data = " ".join(
        f'data-{name}="{base64.b64encode(part).decode()}"' for name, part in zip("pch", parts, strict=True)
    )
    return (
        f'<figure><canvas id="c{number}" width="224" height="224" {data}></canvas>'
        "<figcaption>3D: drag to turn, click for colours</figcaption></figure>"
    )


def _png(picture: Colours) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>@TITLE@</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem auto; max-width: 76rem; padding: 0 1rem; color: #222; background: #faf8f5 }
article { background: #fff; border: 1px solid #ddd; border-left: 6px solid #9aa5ad; border-radius: 4px; margin: 1rem 0; padding: .6rem 1rem }
article.reject { border-left-color: #b2452f } article.pass { border-left-color: #5f8f4f }
h2 { font-size: 1rem; margin: 0 } em { font-weight: 400; color: #777 } p { margin: .2rem 0 .6rem; color: #555 }
.row { display: flex; flex-wrap: wrap; gap: .8rem } figure { margin: 0 } figcaption { font-size: .8rem; color: #777 }
img, canvas { width: 14rem; height: 14rem; image-rendering: pixelated; background: #111; border-radius: 3px; touch-action: none }
</style>
<h1>@TITLE@</h1>
@CARDS@
<script>
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
document.querySelectorAll("canvas").forEach(canvas => {
  const p = new Int16Array(bytes(canvas.dataset.p).buffer), looks = [bytes(canvas.dataset.h), bytes(canvas.dataset.c)];
  const g = canvas.getContext("2d"), n = p.length / 3, order = [...Array(n).keys()], depth = new Float32Array(n);
  let look = 0, yaw = 0.5, pitch = 0.6, from = null, moved = false;
  function draw() {
    const cy = Math.cos(yaw), sy = Math.sin(yaw), cp = Math.cos(pitch), sp = Math.sin(pitch), x = [], y = [];
    for (let i = 0; i < n; i++) {
      const a = p[3*i] / 32767, b = p[3*i+1] / 32767, c = p[3*i+2] / 32767;
      const u = cy*a + sy*c, w = cy*c - sy*a;
      x[i] = 112 + 80*u; y[i] = 112 + 80*(cp*b - sp*w); depth[i] = cp*w + sp*b;
    }
    order.sort((i, j) => depth[j] - depth[i]);
    g.fillStyle = "#111"; g.fillRect(0, 0, 224, 224);
    const c = looks[look];
    for (const i of order) { g.fillStyle = `rgb(${c[3*i]},${c[3*i+1]},${c[3*i+2]})`; g.fillRect(x[i], y[i], 2, 2); }
  }
  canvas.onpointerdown = e => { from = [e.clientX, e.clientY]; moved = false; canvas.setPointerCapture(e.pointerId); };
  canvas.onpointermove = e => {
    if (!from) return;
    yaw += (e.clientX - from[0]) / 100; pitch += (e.clientY - from[1]) / 100;
    from = [e.clientX, e.clientY]; moved = true; draw();
  };
  canvas.onpointerup = () => { if (!moved) { look = 1 - look; draw(); } from = null; };
  draw();
});
</script>
</html>
"""
