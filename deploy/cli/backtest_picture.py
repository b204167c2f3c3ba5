"""A backtest as a picture: what each meter brought and would bring, and how many accounts change how much."""

from collections.abc import Iterator
from html import escape

from libs.contracts.credits import format_credits
from services.credits.domain.backtests import BANDS, Summary, Sums

_WIDTH = 900
_MOST_METERS = 12
_BAR = 480
_ROW = 52
_HISTOGRAM = 180
_STYLE = """<style>
text{font-family:ui-sans-serif,system-ui,sans-serif;font-size:13px;fill:#1f2937} .t{font-weight:600;font-size:17px}
.s{font-size:12px;fill:#6b7280} .m{text-anchor:middle} .then{fill:#9ca3af} .draft{fill:#2563eb} .more{fill:#d97706}
.less{fill:#059669} .b{font-size:10.5px;fill:#6b7280;text-anchor:middle}
@media (prefers-color-scheme:dark){text{fill:#e5e7eb} .s,.b{fill:#9ca3af} .then{fill:#6b7280} .draft{fill:#60a5fa}}
</style>"""


def picture(summary: Summary, version: str) -> str:
    """Draw a summary as SVG."""
    largest = sorted(summary.meters.items(), key=lambda item: max(item[1].charged, item[1].draft), reverse=True)
    shown = largest[:_MOST_METERS]
    top = 80 + _ROW * len(shown)
    height = top + _HISTOGRAM + 90
    label = f"Backtest of {version}: {_change(summary.total)}"
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(label)}</title>",
        _STYLE,
        f'<text class="t" x="20" y="32">{escape(label)}</text>',
        f'<text class="s" x="20" y="54">{_legend(summary, len(shown))}</text>',
        *_meters(shown, top=76),
        f'<text class="t" x="20" y="{top + 20}">Accounts by the change of what they would pay</text>',
        *_accounts(summary, bottom=top + 50 + _HISTOGRAM),
        "</svg>",
    ]
    return "\n".join(drawn) + "\n"


def _legend(summary: Summary, shown: int) -> str:
    left_out = f"; {len(summary.meters) - shown} smaller meters are left out" if len(summary.meters) > shown else ""
    return f"Credits by meter: charged then (grey), by the draft (blue){left_out}"


def _meters(meters: list[tuple[str, Sums]], *, top: int) -> Iterator[str]:
    """Draw two bars for each meter, all to one scale."""
    whole = max((max(sums.charged, sums.draft) for _, sums in meters), default=0) or 1
    for number, (name, sums) in enumerate(meters):
        y = top + _ROW * number
        yield f'<text x="20" y="{y + 22}">{escape(name if len(name) < 26 else name[:24] + "…")}</text>'
        for offset, kind, credits in ((4, "then", sums.charged), (22, "draft", sums.draft)):
            width = credits * _BAR / whole
            said = format_credits(credits) if kind == "then" else f"{format_credits(credits)}{_percent(sums)}"
            yield f'<rect class="{kind}" x="200" y="{y + offset}" width="{width:.1f}" height="16" rx="2"/>'
            yield f'<text class="s" x="{206 + width:.1f}" y="{y + offset + 12}">{said}</text>'


def _accounts(summary: Summary, *, bottom: int) -> Iterator[str]:
    """Draw a bar for each band of change."""
    most = max(summary.bands.values(), default=0) or 1
    step = (_WIDTH - 40) / len(BANDS)
    same = BANDS.index("the same")
    for number, band in enumerate(BANDS):
        accounts, x = summary.bands[band], 20 + number * step
        kind = "then" if number == same else "less" if number < same else "more"
        height = accounts * (_HISTOGRAM - 30) / most
        middle, y = x + step / 2, bottom - height
        yield f'<rect class="{kind}" x="{x + 4:.1f}" y="{y:.1f}" width="{step - 8:.1f}" height="{height:.1f}"/>'
        yield f'<text class="m" x="{middle:.1f}" y="{y - 6:.1f}">{accounts}</text>'
        yield f'<text class="b" x="{middle:.1f}" y="{bottom + 18}">{band}</text>'


def _percent(sums: Sums) -> str:
    return f" ({sums.percent} %)" if sums.percent is not None else ""


def _change(total: Sums) -> str:
    return f"{format_credits(total.draft)} credits, not {format_credits(total.charged)}{_percent(total)}"
