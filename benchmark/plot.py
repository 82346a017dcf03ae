"""Shares of the limit as a picture: a bar for ours and one for each peer, case by case."""


def draw(record, path):
    """Draws a record of run.py to `path`, whose suffix says the format."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    cases = {}
    for row in record["results"]:
        shares = cases.setdefault(f"{row['case']}, {row['dtype']}, {row['threads']} thr", {})
        shares["ours"] = row["ours_over_limit"]
        if row.get("peer"):
            shares[row["peer_name"]] = row["peer"] / row["limit"]
    names = list(dict.fromkeys(name for shares in cases.values() for name in shares))
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.16 * len(cases) * (len(names) + 1)))
    height = 1 / (len(names) + 1)
    for number, name in enumerate(names):
        places = [i + number * height for i, shares in enumerate(cases.values()) if name in shares]
        axes.barh(places, [shares[name] for shares in cases.values() if name in shares], height, label=name)
    axes.set_yticks([i + height * (len(names) - 1) / 2 for i in range(len(cases))], cases, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"share of the limit, {record['machine']['cpu']}")
    axes.legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(path)
