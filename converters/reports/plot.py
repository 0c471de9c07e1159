"""The relative difference of each layer, in the order of computation, as a drawing in a page."""

import html
import math
from collections.abc import Sequence

from converters.proof.compare import LayerComparison

_WIDTH, _HEIGHT = 1000, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 34
_LEAST = 1e-9  # differences below it, and equal results, lie on the lower edge


def draw_differences(layers: Sequence[LayerComparison], tolerance: float) -> str:
    """An SVG with a dot for each layer over a logarithmic scale, and a line at the tolerance.

    Args:
        layers: rows of a comparison.
        tolerance: largest relative difference that is accepted.
    """
    finite = [layer.relative for layer in layers if math.isfinite(layer.relative)]
    most = max([1e-3, 10 * tolerance, *finite])
    low, high = math.floor(math.log10(_LEAST)), math.ceil(math.log10(most))

    def height(value: float) -> float:
        inside = min(max(value, _LEAST), 10.0**high) if math.isfinite(value) else 10.0**high
        share = (math.log10(inside) - low) / (high - low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(layers))
    radius = min(4.5, max(1.5, step / 2.5))
    parts = []
    for exponent in range(low, high + 1):
        y = height(10.0**exponent)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        label = f"≤ 1e{exponent}" if exponent == low else f"1e{exponent}"
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    y = height(tolerance)
    parts.append(f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{y - 5:.1f}" text-anchor="end">accepted up to {tolerance:g}</text>')
    for index, layer in enumerate(layers):
        kind = "good" if layer.relative <= tolerance else "bad"
        x, y = _LEFT + (index + 0.5) * step, height(layer.relative)
        words = html.escape(f"{layer.layer}: {layer.relative:.2g}")
        parts.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{words}</title></circle>'
        )
    names = (layers[0].layer, "start"), (layers[-1].layer, "end")
    for (name, anchor), x in zip(names, (_LEFT, _WIDTH - _RIGHT), strict=True):
        parts.append(f'<text x="{x}" y="{_HEIGHT - 10}" text-anchor="{anchor}">{html.escape(name)}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Relative difference of {len(layers)} layers">'
        f"{''.join(parts)}</svg>"
    )
