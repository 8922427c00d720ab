"""The bank of colour filters: light moves lightness alone, and what lies beside the part moves nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m3dm.colour import ColourBank, opponent
from m3dm.features import foreground
from m3dm.scan import Scan, ScanError


def test_half_the_light_moves_lightness_and_leaves_hues() -> None:
    rgb = np.random.default_rng(0).integers(120, 250, (20, 20, 3)).astype(np.uint8)
    bright, dim = opponent(rgb), opponent(rgb // 2)
    assert np.abs((bright - dim)[..., 0] - np.log(2)).max() < 0.1
    assert np.abs((bright - dim)[..., 1:]).max() < 0.1
    yellow = rgb.copy()
    yellow[..., 2] //= 2
    assert (opponent(yellow) - bright)[..., 2].max() < -0.5


def test_an_even_colour_has_no_slopes_whatever_lies_beside_the_part(good_scans: list[Scan]) -> None:
    part = foreground(good_scans[0])
    even = np.where(part[..., None], np.uint8([150, 120, 60]), np.uint8(0))
    found = ColourBank().at_pixels(even, part)
    assert found.shape == (part.sum(), 36)
    np.testing.assert_allclose(found[:, :3], np.broadcast_to(found[0, :3], (len(found), 3)), atol=1e-4)
    np.testing.assert_allclose(found[:, 9:], 0, atol=1e-3)  # filters end at four standard deviations


def test_the_background_changes_no_feature(good_scans: list[Scan]) -> None:
    scan = good_scans[0]
    other = np.random.default_rng(0).integers(0, 255, scan.rgb.shape).astype(np.uint8)
    repainted = np.where(foreground(scan)[..., None], scan.rgb, other)
    part = foreground(scan)
    np.testing.assert_allclose(
        ColourBank().at_pixels(repainted, part), ColourBank().at_pixels(scan.rgb, part), atol=1e-4
    )


def test_a_scan_without_an_image_is_refused(good_scans: list[Scan]) -> None:
    with pytest.raises(ScanError, match="no rgb"):
        ColourBank()(replace(good_scans[0], rgb=None))
