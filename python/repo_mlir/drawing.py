"""Drawing on a sheet of given size: SVG written here, PNG by matplotlib where it is installed.

A sheet takes a few primitives in pixels, y downwards, so that both kinds of file show the same picture.
"""

import math
import warnings
from xml.sax.saxutils import escape

from .errors import RepoError


class Sheet:
    """Collects primitives; `save` writes them."""

    def __init__(self, width, height):
        self.width, self.height, self.items = width, height, []

    def rectangle(self, x, y, width, height, *, fill="none", stroke="none"):
        self.items.append(("rectangle", x, y, width, height, fill, stroke))

    def line(self, points, color, *, width=1.0, opacity=1.0, dashed=False):
        self.items.append(("line", list(points), color, width, opacity, dashed))

    def dots(self, points, color, *, radius=2.0, opacity=1.0):
        self.items.append(("dots", list(points), color, radius, opacity))

    def text(self, x, y, text, *, size=11, color="#222222", anchor="start", turned=0, bold=False):
        """`turned`: degrees counterclockwise around the anchor, which lies on the baseline."""
        self.items.append(("text", x, y, _printable(text), size, color, anchor, turned, bold))

    def save(self, path):
        """Writes the kind of file that the name says: .svg or .png."""
        if str(path).endswith(".png"):
            return self._save_png(path)
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.svg())

    def svg(self):
        out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:g}" height="{self.height:g}" '
               f'viewBox="0 0 {self.width:g} {self.height:g}" font-family="Helvetica, Arial, DejaVu Sans, sans-serif">',
               f'<rect width="{self.width:g}" height="{self.height:g}" fill="#ffffff"/>']
        for kind, *item in self.items:
            out.append(getattr(self, "_svg_" + kind)(*item))
        return "\n".join([*out, "</svg>", ""])

    @staticmethod
    def _svg_rectangle(x, y, width, height, fill, stroke):
        return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" stroke="{stroke}"/>'

    @staticmethod
    def _svg_line(points, color, width, opacity, dashed):
        dashes = ' stroke-dasharray="4 3"' if dashed else ""
        place = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return (f'<polyline points="{place}" fill="none" stroke="{color}" stroke-width="{width:g}" '
                f'stroke-opacity="{opacity:g}" stroke-linejoin="round"{dashes}/>')

    @staticmethod
    def _svg_dots(points, color, radius, opacity):
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>' for x, y in points)
        return f'<g fill="{color}" fill-opacity="{opacity:g}">{dots}</g>'

    @staticmethod
    def _svg_text(x, y, text, size, color, anchor, turned, bold):
        turn = f' transform="rotate({-turned:g} {x:.1f} {y:.1f})"' if turned else ""
        weight = ' font-weight="bold"' if bold else ""
        return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{color}" text-anchor="{anchor}"{weight}{turn} '
                f'xml:space="preserve">{escape(text)}</text>')

    def _save_png(self, path):
        try:
            import matplotlib
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.collections import CircleCollection, LineCollection
            from matplotlib.figure import Figure
            from matplotlib.patches import Rectangle
        except ImportError:
            raise RepoError(f"{path}: expected the package matplotlib for PNG, found none; a name ending in .svg needs "
                            "no package") from None
        dpi = 144  # two pixels for each of the sheet's
        figure = Figure(figsize=(self.width / 72, self.height / 72), dpi=dpi)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0))
        axes.set_axis_off()
        anchors = {"start": "left", "middle": "center", "end": "right"}
        for order, (kind, *item) in enumerate(self.items):
            if kind == "rectangle":
                x, y, width, height, fill, stroke = item
                axes.add_patch(Rectangle((x, y), width, height, facecolor=fill, edgecolor=stroke, linewidth=1,
                                         zorder=order))
            elif kind == "line":
                points, color, width, opacity, dashed = item
                axes.add_collection(LineCollection([points], colors=color, linewidths=width, alpha=opacity,
                                                   linestyles=[(0, (4, 3))] if dashed else "solid", zorder=order))
            elif kind == "dots":
                points, color, radius, opacity = item
                axes.add_collection(CircleCollection([math.pi * radius**2], offsets=points, facecolors=color,
                                                     edgecolors="none", alpha=opacity,
                                                     offset_transform=axes.transData, zorder=order))
            else:
                x, y, text, size, color, anchor, turned, bold = item
                axes.text(x, y, text, fontsize=size, color=color, ha=anchors[anchor], va="baseline", rotation=turned,
                          rotation_mode="anchor", weight="bold" if bold else "normal", parse_math=False, zorder=order)
        with matplotlib.rc_context({"font.family": ["DejaVu Sans"]}):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a character that the font lacks is drawn as a box
                figure.savefig(path, dpi=dpi, facecolor="white", format="png")


def _printable(text):
    """Without what XML forbids or a picture cannot show."""
    return "".join(c if c.isprintable() else "\N{SYMBOL FOR SUBSTITUTE FORM TWO}" for c in str(text))


def ticks(low, high, count=6):
    """Round numbers from low to high, about `count` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / max(1, count)
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= raw * 0.999)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


class Panel:
    """A rectangle of the sheet with axes: values x0..x1 and y0..y1."""

    def __init__(self, sheet, x, y, width, height, x_range, y_range):
        self.sheet, self.x, self.y, self.width, self.height = sheet, x, y, width, height
        self.x_range, self.y_range = x_range, y_range
        sheet.rectangle(x, y, width, height, fill="#fafafa")

    def place(self, x, y):
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        return (self.x + (x - x0) / ((x1 - x0) or 1) * self.width,
                self.y + self.height - (y - y0) / ((y1 - y0) or 1) * self.height)

    def axes(self, title="", *, note="", x_ticks=True):
        for tick in ticks(*self.y_range):
            _, y = self.place(0, tick)
            self.sheet.line([(self.x, y), (self.x + self.width, y)], "#dddddd", width=0.7)
            self.sheet.text(self.x - 5, y + 3.5, f"{tick:g}", size=9, color="#666666", anchor="end")
        if x_ticks:
            for tick in ticks(*self.x_range):
                x, _ = self.place(tick, 0)
                self.sheet.line([(x, self.y + self.height), (x, self.y + self.height + 3)], "#888888", width=0.7)
                self.sheet.text(x, self.y + self.height + 13, f"{tick:g}", size=9, color="#666666", anchor="middle")
        self.sheet.line([(self.x, self.y + self.height), (self.x + self.width, self.y + self.height)], "#888888",
                        width=0.7)
        self.sheet.text(self.x, self.y - 6, title, size=11, bold=True)
        self.sheet.text(self.x + self.width, self.y - 6, note, size=9, color="#666666", anchor="end")

    def diagonal(self, color="#999999"):
        """The line y = x, as far as it is inside."""
        low, high = max(self.x_range[0], self.y_range[0]), min(self.x_range[1], self.y_range[1])
        if high > low:
            self.sheet.line([self.place(low, low), self.place(high, high)], color, dashed=True)

    def curve(self, values, color, *, start=0, width=1.2, opacity=0.9, dots=False):
        """Values at start, start + 1, ... Of more than can be seen: the middle of each few columns, and pale behind it
        the extremes of each column."""
        points, columns = list(enumerate(map(float, values), start)), int(self.width)
        points = [(x, y) for x, y in points if math.isfinite(y)]
        if len(points) > 3 * columns:
            extremes, middle = [], []
            for part in _parts(points, columns):
                extremes += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
            for part in _parts(points, columns // 4):
                middle.append((sum(x for x, _ in part) / len(part), sorted(y for _, y in part)[len(part) // 2]))
            self.sheet.line([self.place(*point) for point in extremes], color, width=0.7, opacity=0.25 * opacity)
            points = middle
        points = [self.place(*point) for point in points]
        if len(points) > 1:
            self.sheet.line(points, color, width=width, opacity=opacity)
        if dots or len(points) == 1:
            self.sheet.dots(points, color, opacity=opacity)


def _parts(points, count):
    return (points[i * len(points) // count:(i + 1) * len(points) // count] for i in range(count))


_CATEGORIES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5fc4", "#4d4d4d"]
_SCALE = [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (235, 200, 30)]


def color_of(number, count):
    """Colours told apart where they are few; a scale from the first to the last where they are many."""
    if count <= len(_CATEGORIES):
        return _CATEGORIES[number]
    place = number / (count - 1) * (len(_SCALE) - 1)
    low = min(int(place), len(_SCALE) - 2)
    mixed = (round(a + (b - a) * (place - low)) for a, b in zip(_SCALE[low], _SCALE[low + 1]))
    return "#{:02x}{:02x}{:02x}".format(*mixed)
