"""A bar chart of ratios as SVG: horizontal bars on a logarithmic axis that start at 1x."""

import html
import math

STYLE = """
text { font: 13px system-ui, 'DejaVu Sans', sans-serif; fill: #24292f; }
.small { font-size: 11px; } .title { font-weight: 600; font-size: 15px; } .end { text-anchor: end; }
.middle { text-anchor: middle; }
.grid { stroke: #8c959f; stroke-opacity: .35; } .one { stroke: #24292f; stroke-width: 1.5; }
.bar0 { fill: #0969da; } .bar1 { fill: #54aeff; } .bar2 { fill: #1a7f37; } .bar3 { fill: #bf8700; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .one { stroke: #e6edf3; }
  .bar0 { fill: #4493f8; } .bar1 { fill: #a5d6ff; } .bar2 { fill: #3fb950; } .bar3 { fill: #d29922; }
}
"""
LEFT, RIGHT, TOP, WIDTH = 150, 56, 74, 860
BAR, GAP = 10, 12


def bar_chart(title, series, rows):
    """`series`: the names of the bars of a row; `rows`: (label, [value or None for each])."""
    values = [value for _, bars in rows for value in bars if value]
    low = math.log(min(values + [0.8]))
    high = math.log(max(values + [2.0]))

    def x(value):
        return LEFT + (math.log(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    row_height = len(series) * BAR + GAP
    bottom = TOP + len(rows) * row_height
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 34}" width="{WIDTH}"'
             f' role="img"><title>{html.escape(title)}</title><style>{STYLE}</style>',
             f'<text class="title" x="12" y="22">{html.escape(title)}</text>']
    for index, name in enumerate(series):
        left = 12 + index * 170
        parts.append(f'<rect class="bar{index}" x="{left}" y="37" width="12" height="12" rx="2"/>'
                     f'<text x="{left + 18}" y="48">{html.escape(name)}</text>')
    for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200):
        if low <= math.log(tick) <= high:
            parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP - 8}" y2="{bottom}"/>'
                         f'<text class="small middle" x="{x(tick):.1f}" y="{bottom + 18}">{tick:g}×</text>')
    for index, (label, bars) in enumerate(rows):
        top = TOP + index * row_height
        middle = top + len(series) * BAR / 2 + 4
        parts.append(f'<text class="end" x="{LEFT - 10}" y="{middle:.1f}">{html.escape(label)}</text>')
        for place, value in enumerate(bars):
            if value:
                left, right = sorted((x(1), x(value)))
                y = top + place * BAR
                parts.append(f'<rect class="bar{place}" x="{left:.1f}" y="{y}" width="{max(right - left, 1):.1f}"'
                             f' height="{BAR - 1}"/>'
                             f'<text class="small" x="{right + 5:.1f}" y="{y + BAR - 1}">{value:.2f}</text>')
    parts.append(f'<line class="one" x1="{x(1):.1f}" x2="{x(1):.1f}" y1="{TOP - 8}" y2="{bottom}"/></svg>\n')
    return "\n".join(parts)
